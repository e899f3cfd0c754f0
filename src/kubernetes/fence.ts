/**
 * Until when the holder of a Lease may write: (start of the last successful renewal + renew deadline). Others take the
 * Lease no sooner than its duration after they saw that renewal, which is later.
 */

import { type Milliseconds, milliseconds, type Seconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";

/** One instant on both clocks, read before the request that it stands for is sent. */
export interface Reading {
  readonly monotonic: Milliseconds;
  readonly wall: Seconds;
}

export function readClocks(clock: Clock): Reading {
  return { monotonic: clock.monotonic(), wall: clock.now() };
}

/**
 * Milliseconds until `deadline` after `since`; 0 or less: over. The wall clock counts too, because the monotonic one of
 * Linux stands still while a machine is suspended. It is in whole seconds, hence one second more; set forward by hand it
 * ends a term too early, which costs a moment and harms nobody.
 */
export function timeLeft(clock: Clock, since: Reading, deadline: Milliseconds): Milliseconds {
  const now = readClocks(clock);
  const byMonotonic = since.monotonic + deadline - now.monotonic;
  const byWall = (since.wall + 1 - now.wall) * 1000 + deadline;
  return milliseconds(Math.min(byMonotonic, byWall));
}
