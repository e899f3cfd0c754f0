/**
 * The authority's own loop: takes the rotation steps that are due, has consumers looked at where a step waits for them,
 * publishes, and reports in the TrustDomain's status.
 */

import type { Authority, RotationOutcome } from "../authority/authority.ts";
import type { Observation } from "../authority/rotation-plan.ts";
import type { JournalStep } from "../authority/rotation-step.ts";
import { milliseconds, type Seconds, seconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";
import { type Condition, isOrdinary } from "../registration/conditions.ts";
import type { TrustDomainPolicy } from "../registration/trust-domain-policy.ts";
import type { BundleReconciler } from "./bundle-reconciler.ts";
import type {
  DesiredState,
  EventRecorder,
  ObservedState,
  Observer,
  RotationRequests,
  StatusWriter,
} from "./ports.ts";
import {
  faultyStatus,
  isForPerson,
  trustDomainStatus,
  trustDomainStatusChanges,
} from "./trust-domain-status.ts";

export interface AuthorityReconcilerDeps {
  readonly authority: Authority;
  readonly desired: DesiredState;
  readonly observed: ObservedState;
  readonly observer: Observer;
  readonly requests: RotationRequests;
  readonly bundles: BundleReconciler;
  readonly status: StatusWriter;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly policy: () => TrustDomainPolicy;
  /** Why the TrustDomain as it is now is not in force; undefined where it is. */
  readonly specProblem: () => string | undefined;
  /** Called when the published documents changed: every consumer has to be brought up to date. */
  readonly onPublished: () => void;
  readonly onStep: (taken: { readonly step: JournalStep; readonly keyID: string | undefined }) => void;
  readonly onError: (error: unknown) => void;
}

/** While consumers lag, they are looked at again after a tenth of the propagation, within these bounds. */
const LOOK_AGAIN = { min: 1, max: 30 } as const;
const RETRY = seconds(5);
/** Each bundle that is written wakes the loop, and each round may write the status: many bundles are one round. */
const REST = milliseconds(250);

export class AuthorityReconciler {
  readonly #deps: AuthorityReconcilerDeps;
  #publishedHash = "";
  #publishedSequence = -1;
  #wake: (() => void) | undefined;
  #isWoken = false;

  constructor(deps: AuthorityReconcilerDeps) {
    this.#deps = deps;
  }

  /** Has the loop look at once: a request, a changed TrustDomain, a bundle that reached a namespace. */
  wake(): void {
    this.#isWoken = true;
    this.#wake?.();
  }

  /** Returns when the authority is open, or when what stands in the way is for a person to mend. */
  async open(signal: AbortSignal, working: AbortSignal): Promise<void> {
    const { authority, clock, onError } = this.#deps;
    while (!signal.aborted && !authority.isReady()) {
      try {
        await this.#open(working);
      } catch (error) {
        if (signal.aborted) return;
        onError(error);
        if (isForPerson(error)) return;
        await clock.sleep(milliseconds(RETRY * 1000), signal);
      }
    }
  }

  /** Until `signal` aborts; a round that is under way then is finished, as long as `working` lets it. */
  async run(signal: AbortSignal, working: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#isWoken = false;
      const wakeAt = await this.#tick(working);
      await this.#deps.clock.sleep(REST, signal);
      await this.#sleepUntil(wakeAt, signal);
    }
  }

  /** One round, whatever is due; the instant of the next. Failures are reported and tried again. */
  async #tick(signal: AbortSignal): Promise<Seconds> {
    const { authority, clock, onError } = this.#deps;
    try {
      return await this.reconcile(signal);
    } catch (error) {
      if (!signal.aborted) onError(error);
      // An authority that is open and can save nothing, or misses a key, goes on for a while and needs a person all the same.
      if (!signal.aborted && authority.isReady()) await this.#reportFault(error, signal).catch(onError);
      return seconds(clock.now() + RETRY);
    }
  }

  /** @throws as `Authority.step`, and what the status writer throws. */
  async reconcile(signal: AbortSignal): Promise<Seconds> {
    const { authority, clock, policy } = this.#deps;
    if (!authority.isReady()) await this.#open(signal);
    await authority.rebundle(policy().bundle.additionalRoots.join(""));
    let outcome = await this.#step(undefined);
    if (outcome.observe.length > 0) outcome = await this.#step(await this.#look(outcome));
    this.#announce();
    await this.#report(outcome, signal);
    const isWaiting = outcome.waiting.some((one) => one.for === "consumers");
    const lookAt = seconds(clock.now() + clamp(Math.floor(policy().rotation.propagation / 10), LOOK_AGAIN));
    return isWaiting ? seconds(Math.min(outcome.wakeAt, lookAt)) : outcome.wakeAt;
  }

  /** Takes the journal over; what stands in the way is for a person to read in the TrustDomain. */
  async #open(signal: AbortSignal): Promise<void> {
    try {
      await this.#deps.authority.open();
    } catch (error) {
      await this.#reportFault(error, signal);
      throw error;
    }
    this.#publishedSequence = -1;
  }

  async #reportFault(error: unknown, signal: AbortSignal): Promise<void> {
    const { desired, clock, status } = this.#deps;
    const domain = desired.trustDomain();
    const next = faultyStatus(domain, error, clock.now());
    if (next === undefined) return;
    const changes = trustDomainStatusChanges(domain.status, next);
    if (!changes.isChanged) return;
    await status.writeTrustDomainStatus(next, signal);
    this.#recordChanges(domain.metadata.name, changes.conditions);
  }

  async #step(observation: Observation | undefined): Promise<RotationOutcome> {
    const { authority, requests, onStep } = this.#deps;
    const outcome = await authority.step(observation, requests.pending());
    for (const step of outcome.taken) {
      const keyID = "keyID" in step ? step.keyID : "made" in step ? step.made.keyID : undefined;
      onStep({ step, keyID });
    }
    // Consumers are told before they are looked at.
    if (outcome.taken.length > 0) this.#announce();
    return outcome;
  }

  async #look(outcome: RotationOutcome): Promise<Observation> {
    const wanted = new Set<string>(outcome.observe);
    const slots = this.#deps.authority.view().slots.filter((slot) => wanted.has(slot.keyID));
    return this.#deps.observer.look(slots);
  }

  #announce(): void {
    const { bundleHash, sequence } = this.#deps.authority.view();
    if (bundleHash === this.#publishedHash && sequence === this.#publishedSequence) return;
    this.#publishedHash = bundleHash;
    this.#publishedSequence = sequence;
    this.#deps.onPublished();
  }

  async #report(outcome: RotationOutcome, signal: AbortSignal): Promise<void> {
    const { desired, bundles, authority, clock, status } = this.#deps;
    const domain = desired.trustDomain();
    const namespaces = desired.bundleNamespaces();
    const next = trustDomainStatus({
      domain,
      view: authority.view(),
      waiting: outcome.waiting,
      fault: outcome.fault,
      bundles: {
        namespaces: namespaces.length,
        current: namespaces.filter((namespace) => bundles.isCurrent(namespace)).length,
        blocked: bundles.blocked,
      },
      specProblem: this.#deps.specProblem(),
      now: clock.now(),
    });
    const changes = trustDomainStatusChanges(domain.status, next);
    if (!changes.isChanged) return;
    await status.writeTrustDomainStatus(next, signal);
    this.#recordChanges(domain.metadata.name, changes.conditions);
  }

  #recordChanges(name: string, changed: readonly Condition[]): void {
    for (const condition of changed) {
      this.#deps.events.record({
        regarding: { kind: "TrustDomain", name },
        type: isOrdinary(condition) ? "Normal" : "Warning",
        reason: condition.reason,
        message: condition.message,
      });
    }
  }

  async #sleepUntil(at: Seconds, signal: AbortSignal): Promise<void> {
    if (this.#isWoken) return;
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    const length = milliseconds(Math.max(0, at - this.#deps.clock.now()) * 1000);
    await this.#deps.clock.sleep(length, AbortSignal.any([signal, woken.signal]));
    this.#wake = undefined;
  }
}

function clamp(value: number, { min, max }: { readonly min: number; readonly max: number }): number {
  return Math.min(max, Math.max(min, value));
}
