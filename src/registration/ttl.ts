/**
 * Durations within their bounds.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { parseDuration } from "../core/duration.ts";
import { quoted } from "../core/errors.ts";
import { type Report, reported } from "./field-path.ts";

/** In the syntax of durations, so that messages show what documents say. */
export interface DurationBounds {
  readonly min: string;
  readonly max?: string;
}

/** Of a certificate. */
export const X509_TTL_BOUNDS: DurationBounds = { min: "1m", max: "2160h" };
/** Of a token. */
export const TOKEN_TTL_BOUNDS: DurationBounds = { min: "1m", max: "24h" };

/** Reports bad syntax and a length out of bounds; the result is then of no use. */
export function boundedDuration(
  report: Report,
  field: string,
  text: string,
  bounds: DurationBounds,
): Seconds {
  const expected =
    bounds.max === undefined
      ? `a duration of at least ${bounds.min}`
      : `a duration from ${bounds.min} to ${bounds.max}`;
  const length = reported(report, field, () => parseDuration(text, field));
  if (length === undefined) return seconds(0);
  const isLong = bounds.max !== undefined && length > parseDuration(bounds.max, field);
  if (isLong || length < parseDuration(bounds.min, field)) {
    report(field, `${quoted(text)} is out of bounds`, expected);
  }
  return length;
}
