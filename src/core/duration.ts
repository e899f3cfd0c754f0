/**
 * Durations in Go syntax of h, m and s: the one parser for CRDs, flags and engine.
 */

import { type Seconds, seconds } from "./brand.ts";
import { invalidInput } from "./errors.ts";

/** The same pattern stands in the CRDs. */
export const DURATION_PATTERN = "^([0-9]{1,6}h)?([0-9]{1,8}m)?([0-9]{1,9}s)?$";

const FORM = new RegExp(DURATION_PATTERN);

/** `90m` → 5400. @throws INVALID_INPUT naming `field`. */
export function parseDuration(text: string, field: string): Seconds {
  if (text === "" || !FORM.test(text)) {
    throw invalidInput(
      field,
      `"${text}" is not a duration`,
      "hours, minutes and seconds such as 24h, 90m or 1h30m",
    );
  }
  let total = 0;
  for (const [, count, unit] of text.matchAll(/([0-9]+)([hms])/g)) {
    total += Number(count) * (unit === "h" ? 3600 : unit === "m" ? 60 : 1);
  }
  return seconds(total);
}

/** 86400 → `24h0m0s`, as Go prints it. */
export function formatDuration(length: Seconds): string {
  const hours = Math.floor(length / 3600);
  const minutes = Math.floor((length % 3600) / 60);
  const rest = length % 60;
  if (hours > 0) return `${hours}h${minutes}m${rest}s`;
  return minutes > 0 ? `${minutes}m${rest}s` : `${rest}s`;
}
