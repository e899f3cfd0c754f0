/**
 * Conditions and their closed lists of reasons. Reasons are only ever added to; `docs/conditions.md` explains each.
 */

import type { Seconds } from "../core/brand.ts";
import { toRfc3339 } from "../core/clock.ts";

/** In the order in which they are shown. */
export const REASONS = {
  Ready: ["Issued", "Pending", "Degraded", "NotServed"],
  X509Issued: [
    "Issued",
    "InvalidSpec",
    "LimitExceeded",
    "ServiceAccountNotFound",
    "SecretConflict",
    "IdentityConflict",
    "AuthorityNotReady",
    "SigningFailed",
    "SecretRewritten",
    "WriteRefused",
  ],
  JWTIssued: [
    "Issued",
    "InvalidSpec",
    "LimitExceeded",
    "ServiceAccountNotFound",
    "SecretConflict",
    "IdentityConflict",
    "AuthorityNotReady",
    "SigningFailed",
    "SecretRewritten",
    "WriteRefused",
  ],
  MTLSApplied: [
    "Applied",
    "WaitingForCertificate",
    "IstioNotInstalled",
    "PeerAuthenticationConflict",
    "ShadowedByOlderPolicy",
    "PermissiveFirst",
    "WriteRefused",
  ],
  AuthorityReady: [
    "Active",
    "Bootstrapping",
    "JournalMissing",
    "JournalCorrupt",
    "JournalVersionUnsupported",
    "JournalForeign",
    "SecretInvalid",
    "ClockSkew",
    "InvalidSpec",
  ],
  RotationInProgress: [
    "Idle",
    "WaitingForPropagation",
    "WaitingForConsumers",
    "ConsumersExcluded",
    "Reissuing",
    "Retiring",
    "Paused",
  ],
  BundlePublished: ["Published", "Publishing", "BundleConflict"],
} as const;

export type ConditionType = keyof typeof REASONS;
export type Reason<T extends ConditionType = ConditionType> = (typeof REASONS)[T][number];

/** Kubernetes' standard condition. */
export interface Condition<T extends ConditionType = ConditionType> {
  readonly type: T;
  readonly status: "True" | "False" | "Unknown";
  readonly reason: Reason<T>;
  /** What is so and, where something is wrong, what to do; at most `MAX_MESSAGE` characters. */
  readonly message: string;
  readonly observedGeneration: number;
  /** RFC 3339: when `status` last changed. */
  readonly lastTransitionTime: string;
}

/** A condition as a reconciliation finds it: when and for which generation is filled in by `mergeConditions`. */
export type NewCondition<T extends ConditionType = ConditionType> = Pick<
  Condition<T>,
  "type" | "status" | "reason" | "message"
>;

/** Characters. A longer one in a status is not ours, and is not read back. */
export const MAX_MESSAGE = 4096;

export function condition<T extends ConditionType>(
  type: T,
  status: Condition["status"],
  reason: Reason<T>,
  message: string,
): NewCondition<T> {
  // Cut within a character, it would not come back from an API server as it was written.
  return { type, status, reason, message: message.slice(0, MAX_MESSAGE).toWellFormed() };
}

/**
 * The next conditions in their fixed order: `lastTransitionTime` moves only with `status`; a part that is not asked for
 * any more has no condition.
 */
export function mergeConditions(
  previous: readonly Condition[] | undefined,
  next: readonly NewCondition[],
  { now, generation }: { readonly now: Seconds; readonly generation: number },
): readonly Condition[] {
  const order = Object.keys(REASONS);
  const sorted = [...next].sort((a, b) => order.indexOf(a.type) - order.indexOf(b.type));
  return sorted.map((one) => {
    const before = previous?.find((known) => known.type === one.type);
    const since = before?.status === one.status ? before.lastTransitionTime : toRfc3339(now);
    return { ...one, observedGeneration: generation, lastTransitionTime: since };
  });
}

/** Part of the ordinary course, although their status is not True. */
const ORDINARY: ReadonlySet<Reason> = new Set(["WaitingForCertificate", "Publishing", "Idle"]);

/** Want somebody's attention although their status is True. */
const TROUBLED: ReadonlySet<Reason> = new Set(["Degraded", "ConsumersExcluded"]);

/** Whether a condition calls for nobody's attention: the type of the Event that tells of it. */
export function isOrdinary(one: Pick<Condition, "type" | "status" | "reason">): boolean {
  return one.status === "True" ? !TROUBLED.has(one.reason) : ORDINARY.has(one.reason);
}
