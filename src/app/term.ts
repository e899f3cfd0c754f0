/**
 * One term of leadership at work: the TrustDomain first, then every loop, until the term ends.
 */

import type { Changes, DesiredState, StatusWriter } from "../controller/ports.ts";
import { faultyStatus, trustDomainStatusChanges } from "../controller/trust-domain-status.ts";
import { milliseconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";
import { isOperatorError, type OperatorError } from "../core/errors.ts";
import type { Engine } from "./engine.ts";
import type { PolicyHolder } from "./policy-holder.ts";

export type TermTask = (signal: AbortSignal) => Promise<void>;

/** The TrustDomain objects, as `TrustDomainKeeper` keeps them. */
interface Keeper {
  ensure(signal: AbortSignal): Promise<void>;
  keep(signal: AbortSignal): Promise<void>;
}

export interface TermParts {
  readonly desired: Pick<DesiredState, "trustDomain"> & { attach(changes: Changes): void };
  readonly engine: Engine;
  readonly policies: PolicyHolder;
  readonly keeper: Keeper;
  readonly status: Pick<StatusWriter, "writeTrustDomainStatus">;
  /** Further loops, each until its signal aborts. */
  readonly tasks: readonly TermTask[];
  readonly clock: Clock;
  /** Why this process cannot do a leader's work at present, whoever else could. */
  readonly unfit: () => OperatorError | undefined;
  readonly onError: (error: unknown) => void;
}

export interface TermSignals {
  /** Nothing new is begun. */
  readonly stop: AbortSignal;
  /** What is in work is given up. */
  readonly working: AbortSignal;
}

/** What is in work when a process is told to stop may take this long. */
const FINISH = milliseconds(1500);
/** TrustDomains and clocks are at hand: looking costs nothing. */
const LOOK_AGAIN = milliseconds(1000);
const RETRY = milliseconds(5000);

/** A signal that aborts a little later than `stop`, so that what is in work can be finished. */
export function finishWithin(stop: AbortSignal, clock: Clock): Disposable & { readonly signal: AbortSignal } {
  const working = new AbortController();
  const done = new AbortController();
  const wait = (): void => void clock.sleep(FINISH, done.signal).then(() => working.abort(stop.reason));
  if (stop.aborted) wait();
  else stop.addEventListener("abort", wait, { once: true, signal: done.signal });
  return { signal: working.signal, [Symbol.dispose]: () => done.abort() };
}

/** Until `stop` aborts, or another has to lead; what fails for good ends the term. */
export async function runTerm(parts: TermParts, { stop, working }: TermSignals): Promise<void> {
  const { desired, engine, tasks } = parts;
  if (!(await untilServable(parts, { stop, working }))) return;
  const unfit = parts.unfit();
  // Nobody else has wanted the Lease, or the next holder will say that all is well.
  if (unfit !== undefined) return reportFault(parts, unfit, working);
  // First: what changes while everything is read must not be lost.
  desired.attach(engine);
  await engine.open();
  const ending = new AbortController();
  const stopping = AbortSignal.any([stop, ending.signal]);
  const loops = [
    engine.run(stopping, working),
    keepTrustDomains(parts, { stop: stopping, working }),
    untilUnfit(parts, stopping).then(() => ending.abort()),
    ...tasks.map((task) => task(stopping)),
  ];
  for (const loop of loops) loop.catch((error: unknown) => ending.abort(error));
  const ended = await Promise.allSettled(loops);
  const fault = ended.find((one) => one.status === "rejected");
  if (fault !== undefined) throw fault.reason;
}

/** False: stopped before the TrustDomain was there and could be served. */
async function untilServable(parts: TermParts, { stop, working }: TermSignals): Promise<boolean> {
  const { keeper, policies, clock, onError } = parts;
  while (!stop.aborted) {
    try {
      await keeper.ensure(working);
      policies.current();
      return true;
    } catch (error) {
      if (stop.aborted) break;
      onError(error);
      await reportFault(parts, error, working).catch(onError);
    }
    await clock.sleep(RETRY, stop);
  }
  return false;
}

async function reportFault(
  { desired, status, clock }: TermParts,
  error: unknown,
  working: AbortSignal,
): Promise<void> {
  if (isOperatorError(error, "NOT_FOUND")) return;
  const domain = desired.trustDomain();
  const next = faultyStatus(domain, error, clock.now());
  if (next === undefined || !trustDomainStatusChanges(domain.status, next).isChanged) return;
  await status.writeTrustDomainStatus(next, working);
}

async function untilUnfit({ unfit, clock }: TermParts, stop: AbortSignal): Promise<void> {
  while (!stop.aborted && unfit() === undefined) await clock.sleep(LOOK_AGAIN, stop);
}

async function keepTrustDomains(
  { keeper, clock, onError }: TermParts,
  { stop, working }: TermSignals,
): Promise<void> {
  while (!stop.aborted) {
    let pause = LOOK_AGAIN;
    try {
      await keeper.keep(working);
    } catch (error) {
      if (!isOperatorError(error, "ABORTED")) onError(error);
      pause = RETRY;
    }
    await clock.sleep(pause, stop);
  }
}
