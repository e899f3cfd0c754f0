/**
 * What `meshid status` shows, wherever the objects come from: as `kubectl get si` would show them, and the authority's keys.
 */

import type { Seconds } from "../core/brand.ts";
import { parseRfc3339 } from "../core/clock.ts";
import { OperatorError, quoted } from "../core/errors.ts";
import type { Condition } from "../registration/conditions.ts";
import type { AuthorityStatus, ServiceIdentityStatus } from "../registration/service-identity.ts";
import type { Io } from "./io.ts";
import type { ObservedIdentities, ObservedIdentity, ObservedTrustDomain } from "./observed-objects.ts";
import { type GivenOptions, isSet, textOf } from "./options.ts";
import { type Cell, formatTable, type Paint, visible } from "./output.ts";
import { didYouMean } from "./suggest.ts";
import { relativeTime, shortLength } from "./times.ts";

export interface StatusFindings extends ObservedIdentities {
  readonly trustDomain: ObservedTrustDomain | undefined;
  readonly now: Seconds;
}

/** What was asked for. */
export interface StatusQuestion {
  readonly name: string | undefined;
  /** Undefined: all. */
  readonly namespace: string | undefined;
}

export const STATUS_FORMATS = ["table", "wide", "json", "yaml"] as const;
const COLUMNS = ["NAMESPACE", "NAME", "READY", "SPIFFE-ID", "SECRET", "EXPIRES", "AGE"];
const CONDITION_COLUMNS = ["CONDITION", "STATUS", "REASON", "MESSAGE"];
const WIDE_COLUMNS = ["REASON", "MTLS", "RENEWS", "SERIAL", "MESSAGE"];
const AUTHORITY_COLUMNS = [
  "KIND",
  "KEY-ID",
  "STATE",
  "EXPIRES",
  "SIGNED-UNTIL",
  "SINCE",
  "WAITS-UNTIL",
  "WAITING-FOR",
];

/** @throws INVALID_CONFIGURATION for one namespace and all of them. */
export function statusQuestion(options: GivenOptions): StatusQuestion {
  const namespace = textOf(options, "namespace");
  if (namespace !== undefined && isSet(options, "all-namespaces"))
    throw usage("--all-namespaces: cannot be used with --namespace; expected one of the two");
  return { name: textOf(options, "NAME"), namespace };
}

export function printStatus(
  { identities, now, trustDomain }: StatusFindings,
  isWide: boolean,
  paint: Paint,
): string {
  const header = isWide ? [...COLUMNS, ...WIDE_COLUMNS] : COLUMNS;
  const rows = identities.map((identity) => [
    ...identityCells(identity, now),
    ...(isWide ? wideCells(identity, now) : []),
  ]);
  const table = identities.length === 0 ? "No identities.\n" : formatTable(header, rows, paint);
  if (trustDomain === undefined) return table;
  return table + authorityTable(trustDomain, now, paint) + conditionTable(trustDomain, paint);
}

function authorityTable(trustDomain: ObservedTrustDomain, now: Seconds, paint: Paint): string {
  const authorities = trustDomain.status.authorities ?? [];
  if (authorities.length === 0) return "";
  const head = `\n${paint("bold", `Authority of ${trustDomain.name}`)}\n${rotationLine(trustDomain, now, paint)}`;
  const cells = authorities.map((each) => authorityCells(each, now));
  return head + formatTable(AUTHORITY_COLUMNS, cells, paint);
}

function conditionTable({ name, status: { conditions = [] } }: ObservedTrustDomain, paint: Paint): string {
  // A rotation that is under way stands above its keys.
  const shown = conditions.filter(({ type, status }) => type !== "RotationInProgress" || status !== "True");
  if (shown.length === 0) return "";
  const head = `\n${paint("bold", `TrustDomain ${name}`)}\n`;
  return head + formatTable(CONDITION_COLUMNS, shown.map(conditionCells), paint);
}

function conditionCells({ type, status, reason, message }: Condition): readonly Cell[] {
  const isWrong = status !== "True" && type !== "RotationInProgress";
  const shown: Cell = isWrong ? { text: status, style: "bad" } : { text: status };
  const why: Cell = reason === "Degraded" ? { text: reason, style: "warn" } : { text: reason };
  return [{ text: type }, shown, why, { text: message }];
}

/** What is going on among the keys, and since when; nothing where nothing is. */
function rotationLine({ status }: ObservedTrustDomain, now: Seconds, paint: Paint): string {
  const condition = status.conditions?.find(({ type }) => type === "RotationInProgress");
  if (condition === undefined || condition.status !== "True") return "";
  const { reason, message, lastTransitionTime } = condition;
  const since = relative(lastTransitionTime, now);
  return `Rotation in progress, begun ${since}: ${paint("warn", reason)}: ${visible(message)}\n`;
}

function identityCells(
  { namespace, name, status, creationTimestamp }: ObservedIdentity,
  now: Seconds,
): readonly Cell[] {
  const ready = conditionOf(status, "Ready");
  const isDegraded = ready?.reason === "Degraded";
  const style = ready?.status === "True" ? (isDegraded ? "warn" : "good") : "bad";
  const created = instantOf(creationTimestamp);
  return [
    { text: namespace },
    { text: name },
    { text: ready?.status ?? "Unknown", style },
    { text: status.spiffeID ?? "" },
    { text: status.x509?.secretName ?? "" },
    expiryCell(status.x509?.notAfter, now),
    { text: created === undefined ? "" : shortLength(Math.max(0, now - created)) },
  ];
}

function wideCells({ status }: ObservedIdentity, now: Seconds): readonly Cell[] {
  const condition = explanation(status);
  return [
    { text: condition?.reason ?? "" },
    { text: status.mtls?.mode ?? "" },
    { text: relative(status.x509?.renewalTime, now) },
    { text: status.x509?.serialNumber ?? "" },
    { text: condition?.message ?? "" },
  ];
}

function authorityCells(
  { kind, keyID, state, notAfter, signedUntil, since, waitingFor, waitingUntil }: AuthorityStatus,
  now: Seconds,
): readonly Cell[] {
  return [
    { text: kind },
    { text: keyID },
    { text: state, style: state === "Active" ? "good" : "dim" },
    expiryCell(notAfter, now),
    // Nothing is signed with one that is only prepared.
    { text: state === "Prepared" ? "" : relative(signedUntil, now) },
    { text: relative(since, now) },
    { text: relative(waitingUntil, now) },
    { text: waitingFor ?? "" },
  ];
}

function expiryCell(text: string | undefined, now: Seconds): Cell {
  const instant = instantOf(text);
  if (instant === undefined) return { text: "" };
  return now > instant
    ? { text: relativeTime(instant, now), style: "bad" }
    : { text: relativeTime(instant, now) };
}

/** The condition that says why it is not Ready, or not fully so. */
function explanation(
  status: ServiceIdentityStatus,
): { readonly reason: string; readonly message: string } | undefined {
  const ready = conditionOf(status, "Ready");
  if (ready?.status === "True" && ready.reason !== "Degraded") return ready;
  return status.conditions?.find(({ type, status: value }) => type !== "Ready" && value !== "True") ?? ready;
}

/** What a table cannot say: to standard error, so that a program reading the answer is not disturbed. */
export function tellWhatIsOff({ identities, unreadable, trustDomain }: StatusFindings, { stderr }: Io): void {
  for (const { path, message } of unreadable) stderr.write(`meshid status: ${path}: ${message}\n`);
  for (const { namespace, name, status } of identities) {
    if (isReady(status)) continue;
    const condition = explanation(status);
    stderr.write(
      `${namespace}/${name} is not Ready: ${condition === undefined ? "meshid has not looked at it yet" : `${condition.reason}: ${condition.message}`}\n`,
    );
  }
  for (const { type, status, reason, message } of trustDomain?.status.conditions ?? []) {
    if ((type === "Ready" || type === "AuthorityReady") && status !== "True")
      stderr.write(`trust domain ${trustDomain?.name ?? ""}: ${type} is ${status}: ${reason}: ${message}\n`);
  }
}

/** Whether every identity and the authority are Ready. */
export function isHealthy({ identities, unreadable, trustDomain }: StatusFindings): boolean {
  const isAuthorityReady = (trustDomain?.status.conditions ?? []).every(
    ({ type, status }) => (type !== "Ready" && type !== "AuthorityReady") || status === "True",
  );
  return unreadable.length === 0 && isAuthorityReady && identities.every(({ status }) => isReady(status));
}

/** For a program. */
export function statusData({ identities, trustDomain, unreadable }: StatusFindings): object {
  return {
    identities: identities.map(({ namespace, name, creationTimestamp, status }) => ({
      namespace,
      name,
      creationTimestamp,
      status,
    })),
    ...(trustDomain === undefined ? {} : { trustDomain }),
    unreadable,
  };
}

export function unknownIdentity(
  name: string,
  all: readonly ObservedIdentity[],
  namespace: string | undefined,
): OperatorError {
  const where = namespace === undefined ? "in any namespace" : `in the namespace ${quoted(namespace)}`;
  return usage(
    `NAME: there is no identity ${quoted(name)} ${where}; expected the name of one${didYouMean(name, [...new Set(all.map((each) => each.name))])}`,
  );
}

function conditionOf(
  status: ServiceIdentityStatus,
  type: string,
): NonNullable<ServiceIdentityStatus["conditions"]>[number] | undefined {
  return status.conditions?.find((condition) => condition.type === type);
}

function isReady(status: ServiceIdentityStatus): boolean {
  return conditionOf(status, "Ready")?.status === "True";
}

function relative(text: string | undefined, now: Seconds): string {
  const instant = instantOf(text);
  return instant === undefined ? "" : relativeTime(instant, now);
}

function instantOf(text: string | undefined): Seconds | undefined {
  return text === undefined ? undefined : parseRfc3339(text);
}

function usage(message: string): OperatorError {
  return new OperatorError("INVALID_CONFIGURATION", message);
}
