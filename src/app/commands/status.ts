/**
 * `meshid status [NAME]`: what `meshid local` has written, as `kubectl get si` would show it.
 */

import type { Seconds } from "../../core/brand.ts";
import { parseRfc3339 } from "../../core/clock.ts";
import { OperatorError, quoted } from "../../core/errors.ts";
import type { AuthorityStatus, ServiceIdentityStatus } from "../../registration/service-identity.ts";
import { EXIT, type Io } from "../io.ts";
import {
  type ObservedIdentities,
  type ObservedIdentity,
  type ObservedTrustDomain,
  readIdentities,
  readTrustDomain,
} from "../observed-objects.ts";
import { type GivenOptions, isSet, textOf } from "../options.ts";
import { type Cell, formatData, formatTable, outputFormat, type Paint, painter } from "../output.ts";
import { findPlaces, holderOf, type Places } from "../places.ts";
import { didYouMean } from "../suggest.ts";
import { relativeTime, shortLength } from "../times.ts";

const FORMATS = ["table", "wide", "json", "yaml"] as const;
const COLUMNS = ["NAMESPACE", "NAME", "READY", "SPIFFE-ID", "SECRET", "EXPIRES", "AGE"];
const WIDE_COLUMNS = ["REASON", "MTLS", "RENEWS", "SERIAL", "MESSAGE"];
const AUTHORITY_COLUMNS = ["KIND", "KEY-ID", "STATE", "EXPIRES", "SIGNED-UNTIL", "SINCE", "WAITING-FOR"];

interface Findings extends ObservedIdentities {
  readonly places: Places;
  readonly trustDomain: ObservedTrustDomain | undefined;
  readonly holder: { readonly pid: number } | undefined;
  readonly now: Seconds;
}

/** @throws INVALID_CONFIGURATION for an unknown NAME or namespace; NOT_FOUND, STORAGE_FAILED. */
export async function runStatus(options: GivenOptions, io: Io): Promise<number> {
  const format = outputFormat(options, FORMATS);
  const name = textOf(options, "NAME");
  const namespace = textOf(options, "namespace");
  if (namespace !== undefined && isSet(options, "all-namespaces"))
    throw usage("--all-namespaces: cannot be used with --namespace; expected one of the two");
  const places = await findPlaces(options);
  const { identities, unreadable } = await readIdentities(places.out, namespace);
  const findings: Findings = {
    places,
    identities: identities.filter((identity) => name === undefined || identity.name === name),
    unreadable,
    trustDomain: await readTrustDomain(places.out),
    holder: holderOf(places.state),
    now: io.clock.now(),
  };
  if (name !== undefined && findings.identities.length === 0)
    throw unknownIdentity(name, identities, namespace);
  if (format === "json" || format === "yaml") io.stdout.write(await formatData(toData(findings), format));
  else io.stdout.write(print(findings, format === "wide", painter(io)));
  tellWhatIsOff(findings, io);
  return isHealthy(findings) ? EXIT.ok : EXIT.checkFailed;
}

function print(findings: Findings, isWide: boolean, paint: Paint): string {
  const { identities, now, trustDomain } = findings;
  const header = isWide ? [...COLUMNS, ...WIDE_COLUMNS] : COLUMNS;
  const rows = identities.map((identity) => [
    ...identityCells(identity, now),
    ...(isWide ? wideCells(identity, now) : []),
  ]);
  const table = identities.length === 0 ? "No identities.\n" : formatTable(header, rows, paint);
  const authorities = trustDomain?.status.authorities ?? [];
  if (trustDomain === undefined || authorities.length === 0) return table;
  const head = `\n${paint("bold", `Authority of ${trustDomain.name}`)}\n`;
  return `${table}${head}${formatTable(
    AUTHORITY_COLUMNS,
    authorities.map((each) => authorityCells(each, now)),
    paint,
  )}`;
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
  { kind, keyID, state, notAfter, signedUntil, since, waitingFor }: AuthorityStatus,
  now: Seconds,
): readonly Cell[] {
  return [
    { text: kind },
    { text: keyID },
    { text: state, style: state === "Active" ? "good" : "dim" },
    expiryCell(notAfter, now),
    { text: relative(signedUntil, now) },
    { text: relative(since, now) },
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
function tellWhatIsOff(findings: Findings, io: Io): void {
  const { identities, unreadable, trustDomain, holder, places } = findings;
  for (const { path, message } of unreadable) io.stderr.write(`meshid status: ${path}: ${message}\n`);
  for (const { namespace, name, status } of identities) {
    if (isReady(status)) continue;
    const condition = explanation(status);
    io.stderr.write(
      `${namespace}/${name} is not Ready: ${condition === undefined ? "meshid has not looked at it yet" : `${condition.reason}: ${condition.message}`}\n`,
    );
  }
  for (const { type, status, reason, message } of trustDomain?.status.conditions ?? []) {
    if ((type === "Ready" || type === "AuthorityReady") && status !== "True")
      io.stderr.write(
        `trust domain ${trustDomain?.name ?? ""}: ${type} is ${status}: ${reason}: ${message}\n`,
      );
  }
  if (holder === undefined) {
    io.stderr.write(
      `No meshid process serves ${places.state}: nothing is renewed. Start it with: meshid local --identities DIR --out ${places.out}\n`,
    );
  }
}

function isHealthy({ identities, unreadable, trustDomain }: Findings): boolean {
  const isAuthorityReady = (trustDomain?.status.conditions ?? []).every(
    ({ type, status }) => (type !== "Ready" && type !== "AuthorityReady") || status === "True",
  );
  return unreadable.length === 0 && isAuthorityReady && identities.every(({ status }) => isReady(status));
}

function toData({ identities, trustDomain, holder, places, unreadable }: Findings): unknown {
  return {
    identities: identities.map(({ namespace, name, creationTimestamp, status }) => ({
      namespace,
      name,
      creationTimestamp,
      status,
    })),
    ...(trustDomain === undefined ? {} : { trustDomain }),
    unreadable,
    state: places.state,
    out: places.out,
    ...(holder === undefined ? {} : { pid: holder.pid }),
  };
}

function unknownIdentity(
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
