/**
 * The status of a TrustDomain: where each key stands, what is waited for, who carries the bundle.
 */

import { isDeepStrictEqual } from "node:util";
import type { AuthorityView } from "../authority/authority-state.ts";
import type { Waiting } from "../authority/rotation-plan.ts";
import type { AuthorityKind } from "../authority/slot.ts";
import type { Seconds } from "../core/brand.ts";
import { toRfc3339 } from "../core/clock.ts";
import { type ErrorCode, isOperatorError, messageOf } from "../core/errors.ts";
import {
  type Condition,
  condition,
  mergeConditions,
  type NewCondition,
  type Reason,
} from "../registration/conditions.ts";
import type {
  AuthorityStatus,
  TrustDomainObject,
  TrustDomainStatus,
} from "../registration/service-identity.ts";

export interface TrustDomainStatusInput {
  readonly domain: TrustDomainObject;
  readonly view: AuthorityView;
  readonly waiting: readonly Waiting[];
  readonly fault: { readonly code: "ClockSkew"; readonly message: string } | undefined;
  readonly bundles: {
    readonly namespaces: number;
    readonly current: number;
    readonly blocked: readonly string[];
  };
  /** Why the spec as it is now is not in force; undefined where it is. */
  readonly specProblem: string | undefined;
  readonly now: Seconds;
}

/** The errors that are for a person, as they are called in a condition. */
const FAULT_REASONS: Readonly<Partial<Record<ErrorCode, Reason<"AuthorityReady">>>> = {
  JOURNAL_MISSING: "JournalMissing",
  JOURNAL_CORRUPT: "JournalCorrupt",
  JOURNAL_VERSION_UNSUPPORTED: "JournalVersionUnsupported",
  JOURNAL_FOREIGN: "JournalForeign",
  AUTHORITY_NOT_READY: "SecretInvalid",
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
    authorities: view.slots.map((slot): AuthorityStatus => {
      const waiting = input.waiting.find((one) => one.keyID === slot.keyID);
      return {
        kind: slot.kind,
        keyID: slot.keyID,
        state: slot.state,
        notBefore: toRfc3339(slot.notBefore),
        notAfter: toRfc3339(slot.notAfter),
        signedUntil: toRfc3339(slot.signedUntil),
        since: toRfc3339(slot.since),
        ...(waiting === undefined ? {} : { waitingFor: waiting.message }),
      };
    }),
    ...(honoured.length === 0 ? {} : { lastManualRotation: Object.fromEntries(honoured) }),
    conditions: mergeConditions(domain.status?.conditions, conditionsOf(input), { now, generation }),
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
  const message = `the rules so far stay in force, since the spec as it is now cannot be served: ${specProblem}`;
  return condition("Ready", "True", "Degraded", message);
}

function bundleCondition({ namespaces, current, blocked }: TrustDomainStatusInput["bundles"]): NewCondition {
  if (blocked.length > 0) {
    const message = `an object that is not meshid's has the bundle's name in ${named(blocked)}: delete it or choose another bundle.configMapName`;
    return condition("BundlePublished", "False", "BundleConflict", message);
  }
  if (current === namespaces)
    return condition(
      "BundlePublished",
      "True",
      "Published",
      `current in ${namespaces} of ${namespaces} namespaces`,
    );
  return condition(
    "BundlePublished",
    "False",
    "Publishing",
    `current in ${current} of ${namespaces} namespaces`,
  );
}

function rotationCondition({ view, waiting }: TrustDomainStatusInput): NewCondition {
  const type = "RotationInProgress";
  const byConsumers = waiting.find((one) => one.for === "consumers");
  if (byConsumers !== undefined) return condition(type, "True", "WaitingForConsumers", byConsumers.message);
  const byTime = waiting.find((one) => one.for === "propagation");
  if (byTime !== undefined) return condition(type, "True", "WaitingForPropagation", byTime.message);
  const retired = view.slots.filter((slot) => slot.state === "Retired");
  if (retired.length === 0) return condition(type, "False", "Idle", "no rotation is in progress");
  const names = named(retired.map(({ kind, keyID }) => `${kind} ${keyID}`));
  return condition(type, "True", "Retiring", `published until nothing that they signed is alive: ${names}`);
}

function named(items: readonly string[]): string {
  const more = items.length > MAX_NAMED ? ` and ${items.length - MAX_NAMED} more` : "";
  return items.slice(0, MAX_NAMED).join(", ") + more;
}
