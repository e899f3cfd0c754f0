/**
 * Exponential delay with full jitter.
 */

import { type Milliseconds, milliseconds } from "./brand.ts";
import type { Random } from "./random.ts";

export interface BackoffPolicy {
  readonly base: Milliseconds;
  readonly cap: Milliseconds;
}

/** Delay before attempt `failures + 1`: uniform in (half, whole] of min(cap, base × 2^(failures−1)). */
export function backoff(failures: number, policy: BackoffPolicy, random: Random): Milliseconds {
  const ceiling = Math.min(policy.cap, policy.base * 2 ** Math.min(Math.max(failures, 1) - 1, 30));
  return milliseconds(ceiling * (1 - random.uniform() / 2));
}
