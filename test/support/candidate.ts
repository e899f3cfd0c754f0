/**
 * A process that stands for election in a test, and what it did.
 */

import { milliseconds } from "../../src/core/brand.ts";
import type { Clock } from "../../src/core/clock.ts";
import type { KubeClient } from "../../src/kubernetes/client.ts";
import { LeaderElection, type LeadershipState, type Term } from "../../src/kubernetes/lease.ts";
import { fakeRandom } from "./fake-random.ts";

export const LEASE = { namespace: "meshid-system", name: "meshid" } as const;

export interface CandidateOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly identity: string;
  readonly seed?: number;
  /** Milliseconds from the end of a term's signal until `lead` settles. */
  readonly drain?: number;
  /** Instead of waiting for the end of the term. */
  readonly lead?: (term: Term) => Promise<void>;
  readonly isFit?: () => boolean;
}

export interface Candidate {
  readonly identity: string;
  /** Every term that was led, the last one perhaps still. */
  readonly terms: readonly Term[];
  readonly states: readonly LeadershipState[];
  readonly errors: readonly unknown[];
  /** Whether `lead` has been called and has not settled. */
  readonly isAtWork: boolean;
  /** Whether `run` has settled. */
  readonly hasStopped: boolean;
  /** Whether a write would be let through now. */
  mayWrite(): boolean;
  stop(): Promise<void>;
}

export function startCandidate(options: CandidateOptions): Candidate {
  const { client, clock, identity, seed = 1, drain = 0 } = options;
  const stopping = new AbortController();
  const terms: Term[] = [];
  const states: LeadershipState[] = [];
  const errors: unknown[] = [];
  let atWork = 0;
  const election = new LeaderElection({
    client,
    clock,
    random: fakeRandom(seed),
    ...LEASE,
    identity,
    onChange: (state) => states.push(state),
    onError: (error) => errors.push(error),
    ...(options.isFit === undefined ? {} : { isFit: options.isFit }),
  });
  const lead = async (term: Term): Promise<void> => {
    terms.push(term);
    atWork += 1;
    try {
      if (options.lead !== undefined) return await options.lead(term);
      await new Promise((resolve) => term.signal.addEventListener("abort", resolve, { once: true }));
      if (drain > 0) await clock.sleep(milliseconds(drain), new AbortController().signal);
    } finally {
      atWork -= 1;
    }
  };
  let hasStopped = false;
  const ended = election.run(lead, stopping.signal).finally(() => {
    hasStopped = true;
  });
  return {
    identity,
    terms,
    states,
    errors,
    get isAtWork() {
      return atWork > 0;
    },
    get hasStopped() {
      return hasStopped;
    },
    mayWrite: () => {
      try {
        terms.at(-1)?.fence();
        return terms.length > 0;
      } catch {
        return false;
      }
    },
    stop: () => {
      stopping.abort();
      return ended;
    },
  };
}
