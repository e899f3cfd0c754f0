/**
 * The status of a TrustDomain: where each key stands, what is waited for, who carries the bundle.
 */

import { isDeepStrictEqual } from "node:util";
import type { AuthorityView } from "../authority/authority-state.ts";
import type { AuthorityKind, Slot } from "../authority/slot.ts";
import type { Seconds } from "../core/brand.ts";
import { toRfc3339 } from "../core/clock.ts";
import { type ErrorCode, isOperatorError, messageOf } from "../core/errors.ts";
import {
  type Condition,
  condition,
  MAX_MESSAGE,
  mergeConditions,
  type NewCondition,
  type Reason,
} from "../registration/conditions.ts";
import type {
  AuthorityStatus,
  TrustDomainObject,
  TrustDomainStatus,
} from "../registration/service-identity.ts";
import { type RotationProgress, rotationCondition, waitingText } from "./rotation-condition.ts";

export interface TrustDomainStatusInput extends RotationProgress {
  readonly domain: TrustDomainObject;
  readonly view: AuthorityView;
  readonly fault: { readonly code: "ClockSkew"; readonly message: string } | undefined;
  readonly bundles: {
    readonly namespaces: number;
    readonly current: number;
    readonly blocked: readonly string[];
    /** `ConfigMap shop/meshid-bundle (exceeded quota, since …)`: those that do not take it. */
    readonly refused: readonly string[];
  };
  /** Why the spec as it is now is not in force; undefined where it is. */
  readonly specProblem: string | undefined;
}

/** The errors that are for a person, as they are called in a condition. */
const FAULT_REASONS: Readonly<Partial<Record<ErrorCode, Reason<"AuthorityReady">>>> = {
  JOURNAL_MISSING: "JournalMissing",
  JOURNAL_CORRUPT: "JournalCorrupt",
  JOURNAL_VERSION_UNSUPPORTED: "JournalVersionUnsupported",
  JOURNAL_FOREIGN: "JournalForeign",
  AUTHORITY_NOT_READY: "SecretInvalid",
  SECRET_INVALID: "SecretInvalid",
  CLOCK_SKEW: "ClockSkew",
  INVALID_INPUT: "InvalidSpec",
  INVALID_CONFIGURATION: "InvalidSpec",
};
const HONOURED = { Root: "root", Issuing: "issuing", JWT: "jwt" } as const;
const MAX_NAMED = 5;

export function trustDomainStatus(input: TrustDomainStatusInput): TrustDomainStatus {
  const { domain, view, bundles, now } = input;
  const { generation } = domain.metadata;
  const honoured = (Object.keys(HONOURED) as AuthorityKind[]).flatMap((kind) => {
    const value = view.honoured[kind];
    return value === undefined ? [] : [[HONOURED[kind], value] as const];
  });
  return {
    observedGeneration: generation,
    bundle: {
      sequence: view.sequence,
      hash: view.bundleHash,
      namespaces: bundles.namespaces,
      namespacesCurrent: bundles.current,
    },
    authorities: view.slots.map((slot) => authorityStatus(slot, input)),
    ...(honoured.length === 0 ? {} : { lastManualRotation: Object.fromEntries(honoured) }),
    conditions: mergeConditions(domain.status?.conditions, conditionsOf(input), { now, generation }),
  };
}

function authorityStatus(slot: Slot, input: TrustDomainStatusInput): AuthorityStatus {
  const waiting = input.waiting.find((one) => one.keyID === slot.keyID);
  const text = waiting && waitingText(waiting, input).slice(0, MAX_MESSAGE).toWellFormed();
  return {
    kind: slot.kind,
    keyID: slot.keyID,
    state: slot.state,
    ...(slot.issuerKeyID === undefined ? {} : { issuerKeyID: slot.issuerKeyID }),
    notBefore: toRfc3339(slot.notBefore),
    notAfter: toRfc3339(slot.notAfter),
    signedUntil: toRfc3339(slot.signedUntil),
    since: toRfc3339(slot.since),
    ...(text === undefined ? {} : { waitingFor: text }),
    ...(waiting?.until === undefined ? {} : { waitingUntil: toRfc3339(waiting.until) }),
  };
}

/** Whether an error of the authority stays until somebody does something about it. */
export function isForPerson(error: unknown): boolean {
  return isOperatorError(error) && FAULT_REASONS[error.code] !== undefined;
}

/**
 * Where the authority cannot be opened: what was published before stays in the status, since it tells that there was something.
 * Undefined for an error that passes by itself.
 */
export function faultyStatus(
  domain: TrustDomainObject,
  error: unknown,
  now: Seconds,
): TrustDomainStatus | undefined {
  const reason = isOperatorError(error) ? FAULT_REASONS[error.code] : undefined;
  if (reason === undefined) return undefined;
  const { generation } = domain.metadata;
  const message = messageOf(error);
  const conditions = [
    condition("Ready", "False", "Pending", message),
    condition("AuthorityReady", "False", reason, message),
  ];
  const known = domain.status?.conditions;
  const merged = mergeConditions(known, conditions, { now, generation });
  const kept = known?.filter(({ type }) => !merged.some((one) => one.type === type)) ?? [];
  return { ...domain.status, observedGeneration: generation, conditions: [...merged, ...kept] };
}

/** Before the first journal is there, which takes a while for large keys; undefined where a status tells of an authority. */
export function bootstrappingStatus(domain: TrustDomainObject, now: Seconds): TrustDomainStatus | undefined {
  if (domain.status?.conditions?.some(({ type }) => type === "AuthorityReady") === true) return undefined;
  const { generation } = domain.metadata;
  const message = "the first keys are being made";
  const conditions = [
    condition("Ready", "False", "Pending", message),
    condition("AuthorityReady", "False", "Bootstrapping", message),
  ];
  return {
    ...domain.status,
    observedGeneration: generation,
    conditions: mergeConditions(domain.status?.conditions, conditions, { now, generation }),
  };
}

/** Whether a status differs, and which conditions came to another status or reason. */
export function trustDomainStatusChanges(
  before: TrustDomainStatus | undefined,
  after: TrustDomainStatus,
): { readonly isChanged: boolean; readonly conditions: readonly Condition[] } {
  const known = new Map(before?.conditions?.map((one) => [one.type, one]));
  const conditions = (after.conditions ?? []).filter((one) => {
    const old = known.get(one.type);
    return old?.status !== one.status || old.reason !== one.reason;
  });
  return { isChanged: !isDeepStrictEqual(before, after), conditions };
}

function conditionsOf(input: TrustDomainStatusInput): readonly NewCondition[] {
  const authority =
    input.fault === undefined
      ? condition(
          "AuthorityReady",
          "True",
          "Active",
          `signing with issuing key ${input.view.issuing.keyID} and JWT key ${input.view.jwt.keyID}`,
        )
      : condition("AuthorityReady", "False", "ClockSkew", input.fault.message);
  const bundle = bundleCondition(input.bundles);
  return [readyCondition(input, authority), authority, rotationCondition(input), bundle];
}

function readyCondition({ specProblem }: TrustDomainStatusInput, authority: NewCondition): NewCondition {
  if (authority.status !== "True") return condition("Ready", "False", "Pending", authority.message);
  if (specProblem === undefined) return condition("Ready", "True", "Issued", "credentials are issued");
  const message = `what was in force goes on, since what is asked for now cannot be served: ${specProblem}`;
  return condition("Ready", "True", "Degraded", message);
}

function bundleCondition(bundles: TrustDomainStatusInput["bundles"]): NewCondition {
  const { namespaces, current, blocked, refused } = bundles;
  if (blocked.length > 0) {
    const message = `an object that is not meshid's has the bundle's name in ${named(blocked)}: delete it or choose another bundle.configMapName`;
    return condition("BundlePublished", "False", "BundleConflict", message);
  }
  const count = `current in ${current} of ${namespaces} namespaces`;
  if (current === namespaces) return condition("BundlePublished", "True", "Published", count);
  const message = refused.length === 0 ? count : `${count}; not taken: ${named(refused)}`;
  return condition("BundlePublished", "False", "Publishing", message);
}

function named(items: readonly string[]): string {
  const more = items.length > MAX_NAMED ? ` and ${items.length - MAX_NAMED} more` : "";
  return items.slice(0, MAX_NAMED).join(", ") + more;
}
