import { milliseconds } from "../../../src/core/brand.ts";
import { type Clock, systemClock } from "../../../src/core/clock.ts";

/** The real clock for one who sleeps `factor` times as fast: what waits ten seconds by rule waits a fraction of it. */
export function hurriedClock(factor: number): Clock {
  return {
    now: () => systemClock.now(),
    monotonic: () => systemClock.monotonic(),
    sleep: (length, signal) => systemClock.sleep(milliseconds(length / factor), signal),
  };
}
