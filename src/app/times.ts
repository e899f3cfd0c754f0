/**
 * Instants and lengths of time for a person: what matters first, exact second.
 */

import type { Seconds } from "../core/brand.ts";
import { toRfc3339 } from "../core/clock.ts";

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;

/** `in 11h58m (2026-11-24T22:00:00Z)`, `3 days ago (…)`, `now (…)`. */
export function describeInstant(instant: Seconds, now: Seconds): string {
  return `${relativeTime(instant, now)} (${toRfc3339(instant)})`;
}

export function relativeTime(instant: Seconds, now: Seconds): string {
  if (instant === now) return "now";
  return instant > now ? `in ${shortLength(instant - now)}` : `${longLength(now - instant)} ago`;
}

/** Two units, as kubectl shows an age: `45s`, `2m5s`, `11h58m`, `6d4h`, `400d`. */
export function shortLength(length: number): string {
  if (length < MINUTE) return `${length}s`;
  if (length < HOUR) return pair(length, [MINUTE, "m"], [1, "s"]);
  if (length < 2 * DAY) return pair(length, [HOUR, "h"], [MINUTE, "m"]);
  if (length < 10 * DAY) return pair(length, [DAY, "d"], [HOUR, "h"]);
  return `${Math.floor(length / DAY)}d`;
}

/** One unit in words, for the past: `3 days`. */
function longLength(length: number): string {
  if (length < 2 * MINUTE) return words(length, "second");
  if (length < 2 * HOUR) return words(Math.floor(length / MINUTE), "minute");
  if (length < 2 * DAY) return words(Math.floor(length / HOUR), "hour");
  return words(Math.floor(length / DAY), "day");
}

function words(count: number, unit: string): string {
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

type Unit = readonly [seconds: number, name: string];

function pair(length: number, [major, majorUnit]: Unit, [minor, minorUnit]: Unit): string {
  const rest = Math.floor((length % major) / minor);
  return `${Math.floor(length / major)}${majorUnit}${rest === 0 ? "" : `${rest}${minorUnit}`}`;
}
