/**
 * How urgent an identity is.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { parseRfc3339 } from "../core/clock.ts";
import type { ServiceIdentity } from "../registration/service-identity.ts";
import type { Priority } from "./work-queue.ts";

/** A credential in the last tenth of its life does not wait behind renewals that have time. */
const LAST_SHARE = 0.1;

/** First issuances and credentials about to end are urgent; else the one that ends first goes first. */
export function priorityOf(identity: ServiceIdentity | undefined, now: Seconds): Priority {
  const x509 = identity?.status?.x509;
  const tokens = identity?.status?.jwt?.tokens ?? [];
  const ends = [x509?.notAfter, ...tokens.map((token) => token.notAfter)].map(
    (end) => parseRfc3339(end ?? "") ?? now,
  );
  const deadline = seconds(Math.min(...ends));
  const start = parseRfc3339(x509?.notBefore ?? "");
  const isFirst = x509 === undefined || start === undefined;
  const isEnding = !isFirst && deadline - now < (deadline - start) * LAST_SHARE;
  return { urgency: isFirst || isEnding ? "Urgent" : "Routine", deadline };
}
