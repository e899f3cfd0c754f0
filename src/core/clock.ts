/**
 * Time comes in: everything that asks for the time or waits takes a `Clock`.
 */

import { type Milliseconds, milliseconds, type Seconds, seconds } from "./brand.ts";
import { OperatorError } from "./errors.ts";

/** The allowed difference between two clocks: credentials are back-dated by it and keys stay that much longer. */
export const CLOCK_SKEW: Seconds = seconds(60);

/** No sleep is longer: the system's timers hold 24 days at most. */
const MAX_SLEEP: Milliseconds = milliseconds(3_600_000);

export interface Clock {
  /** Wall clock, whole seconds since the Unix epoch, rounded down. */
  now(): Seconds;
  /** Milliseconds that never go back; only differences mean anything. */
  monotonic(): Milliseconds;
  /** Waits, at most `MAX_SLEEP`; ends early, without an error, when `signal` aborts. */
  sleep(length: Milliseconds, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => seconds(Math.floor(Date.now() / 1000)),
  monotonic: () => milliseconds(performance.now()),
  sleep: (length, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, Math.min(Math.max(length, 0), MAX_SLEEP));
      signal.addEventListener("abort", done, { once: true });
    }),
};

/** Timers know nothing of a step of the wall clock, nor of the time that a machine was asleep: it is looked at this often. */
const LOOK_AT_CLOCK: Milliseconds = milliseconds(60_000);

/**
 * Waits until the wall clock shows `instant`; ends early, without an error, when `signal` aborts and when the clock was put back:
 * whoever waits has to look again at what for.
 */
export async function sleepUntil(clock: Clock, instant: Seconds, signal: AbortSignal): Promise<void> {
  for (let before = clock.now(); !signal.aborted && before < instant; ) {
    const left = (instant - before) * 1000;
    await clock.sleep(milliseconds(Math.min(left, LOOK_AT_CLOCK)), signal);
    const now = clock.now();
    if (now < before) return;
    before = now;
  }
}

/** `2026-11-24T10:00:00Z`: the form Kubernetes uses in status. */
export function toRfc3339(instant: Seconds): string {
  return new Date(instant * 1000).toISOString().replace(".000Z", "Z");
}

/** The whole second of an RFC 3339 instant; undefined when `text` is none. */
export function parseRfc3339(text: string): Seconds | undefined {
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/.test(text)) return undefined;
  const time = Date.parse(text);
  return Number.isNaN(time) ? undefined : seconds(Math.floor(time / 1000));
}

/** The whole second of a `Date` header (RFC 9110 §5.6.7); undefined when `text` is none. */
export function parseHttpDate(text: string): Seconds | undefined {
  const time = text.endsWith(" GMT") ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? undefined : seconds(Math.floor(time / 1000));
}

/** The calendar form that X.509 needs. */
export function toDate(instant: Seconds): Date {
  return new Date(instant * 1000);
}

export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new OperatorError("ABORTED", "stopping", { cause: signal.reason });
}
