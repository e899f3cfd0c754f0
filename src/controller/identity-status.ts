/**
 * The status of a ServiceIdentity from what is there now and how the reconciliation ended.
 */

import { isDeepStrictEqual } from "node:util";
import { type Seconds, seconds } from "../core/brand.ts";
import { parseRfc3339, toRfc3339 } from "../core/clock.ts";
import { formatDuration, parseDuration } from "../core/duration.ts";
import { revisionIn, TTL_ANNOTATION } from "../reconcile/annotations.ts";
import { x509RenewAt } from "../reconcile/checks.ts";
import { lifeOf } from "../reconcile/renewal.ts";
import type { ObservedSecret } from "../reconcile/state.ts";
import { type Condition, condition, mergeConditions, type NewCondition } from "../registration/conditions.ts";
import type { RegistrationEntry } from "../registration/registration-entry.ts";
import type { ServiceIdentity, ServiceIdentityStatus, X509Status } from "../registration/service-identity.ts";
import type { ObservedState } from "./ports.ts";
import type { Fault, MeshOutcome, Outcome } from "./work.ts";

export interface StatusInput {
  readonly identity: ServiceIdentity;
  readonly outcome: Outcome;
  readonly observed: ObservedState;
  readonly now: Seconds;
}

export function identityStatus({ identity, outcome, observed, now }: StatusInput): ServiceIdentityStatus {
  const { entry } = outcome;
  const previous = identity.status;
  const secret = entry && ownSecret(observed, entry, entry.x509.secretName);
  const jwtSecret = entry?.jwt && ownSecret(observed, entry, entry.jwt.secretName);
  const x509 = entry && secret && x509Status(entry, secret);
  const renewed = outcome.renewed ?? previous?.lastManualRenewal;
  return {
    observedGeneration: identity.metadata.generation,
    // What was issued under an earlier spec stays visible while a faulty one stands.
    ...optional("spiffeID", entry === undefined ? previous?.spiffeID : entry.spiffeId),
    ...optional("x509", entry === undefined ? previous?.x509 : x509),
    ...optional("jwt", entry === undefined ? previous?.jwt : jwtSecret && jwtStatus(entry, jwtSecret)),
    ...optional("mtls", mtlsStatus(entry, outcome.mesh)),
    ...optional("lastManualRenewal", renewed),
    conditions: mergeConditions(previous?.conditions, conditions(outcome, { x509, now }), {
      now,
      generation: identity.metadata.generation,
    }),
  };
}

/** Whether a status differs, and which conditions came to another status or reason. */
export function statusChanges(
  before: ServiceIdentityStatus | undefined,
  after: ServiceIdentityStatus,
): { readonly isChanged: boolean; readonly conditions: readonly Condition[] } {
  const known = new Map(before?.conditions?.map((one) => [one.type, one]));
  const changed = (after.conditions ?? []).filter((one) => {
    const old = known.get(one.type);
    return old?.status !== one.status || old.reason !== one.reason;
  });
  return { isChanged: !isDeepStrictEqual(before, after), conditions: changed };
}

function ownSecret(
  observed: ObservedState,
  entry: RegistrationEntry,
  name: string,
): ObservedSecret | undefined {
  const secret = observed.secret(entry.namespace, name);
  return secret?.ownerUid === entry.uid ? secret : undefined;
}

function x509Status(entry: RegistrationEntry, secret: ObservedSecret): X509Status | undefined {
  const { x509: facts, annotations } = secret;
  if (facts === undefined) return undefined;
  const life = lifeOf(facts.notBefore, facts.notAfter);
  const ttl = seconds(Math.max(0, facts.notAfter - life.issuedAt));
  const asked = askedTtl(annotations);
  const isCapped = asked !== undefined && ttl < asked;
  return {
    serialNumber: facts.serialNumber,
    notBefore: toRfc3339(facts.notBefore),
    notAfter: toRfc3339(facts.notAfter),
    renewalTime: toRfc3339(x509RenewAt(entry, facts)),
    ttl: formatDuration(ttl),
    ttlReason: isCapped ? "CappedByAuthority" : "Requested",
    authorityKeyID: facts.authorityKeyID,
    secretName: entry.x509.secretName,
    revision: Math.max(1, revisionIn(annotations)),
  };
}

/** Of a note that others can change, and have not always repaired when the status is made. */
function askedTtl(annotations: ObservedSecret["annotations"]): Seconds | undefined {
  try {
    return parseDuration(annotations[TTL_ANNOTATION] ?? "", TTL_ANNOTATION);
  } catch {
    return undefined;
  }
}

function jwtStatus(entry: RegistrationEntry, secret: ObservedSecret): ServiceIdentityStatus["jwt"] {
  const tokens = (entry.jwt?.tokens ?? []).flatMap((token) => {
    const facts = secret.tokens[token.key];
    if (facts === undefined) return [];
    const { audience, key } = token;
    return [{ audience, key, keyID: facts.keyID, notAfter: toRfc3339(facts.expiresAt) }];
  });
  return { tokens, secretName: secret.ref.name };
}

function mtlsStatus(
  entry: RegistrationEntry | undefined,
  mesh: MeshOutcome | undefined,
): ServiceIdentityStatus["mtls"] {
  if (entry?.mtls === undefined || mesh?.reason !== "Applied") return undefined;
  return { mode: entry.mtls.mode, peerAuthentication: entry.name };
}

function conditions(
  outcome: Outcome,
  { x509, now }: { readonly x509: X509Status | undefined; readonly now: Seconds },
): readonly NewCondition[] {
  const parts = [
    partCondition("X509Issued", outcome.x509, issuedMessage(x509)),
    ...(outcome.entry?.jwt !== undefined || outcome.jwt !== undefined
      ? [partCondition("JWTIssued", outcome.jwt, "every token is issued")]
      : []),
  ];
  const { mesh } = outcome;
  const isApplied = mesh === undefined || mesh.reason === "Applied";
  const ready = readyCondition(parts, isApplied ? undefined : mesh, stillValid(x509, now));
  const mtls = mesh && condition("MTLSApplied", isApplied ? "True" : "False", mesh.reason, mesh.message);
  return [ready, ...parts, ...(mtls === undefined ? [] : [mtls])];
}

function partCondition(
  type: "X509Issued" | "JWTIssued",
  fault: Fault | undefined,
  issued: string,
): NewCondition {
  if (fault === undefined) return condition(type, "True", "Issued", issued);
  return condition(type, "False", fault.reason, fault.message);
}

function readyCondition(
  parts: readonly NewCondition[],
  mesh: MeshOutcome | undefined,
  validity: string,
): NewCondition {
  const failed = parts.find((part) => part.status !== "True");
  if (failed !== undefined) {
    return condition(
      "Ready",
      "False",
      "Pending",
      `${failed.type} is False (${failed.reason}): ${failed.message}${validity}`,
    );
  }
  if (mesh === undefined) return condition("Ready", "True", "Issued", "every credential asked for is issued");
  // Waiting for the certificate to arrive is the normal course, not a fault.
  if (mesh.reason === "WaitingForCertificate") return condition("Ready", "True", "Issued", mesh.message);
  return condition(
    "Ready",
    "True",
    "Degraded",
    `the mesh manifest is not applied (${mesh.reason}): ${mesh.message}`,
  );
}

function issuedMessage(x509: X509Status | undefined): string {
  if (x509 === undefined) return "the certificate is issued";
  const capped =
    x509.ttlReason === "CappedByAuthority" ? `, ttl capped to ${x509.ttl} by the issuing authority` : "";
  return `valid until ${x509.notAfter}, renewed from ${x509.renewalTime}${capped}`;
}

function stillValid(x509: X509Status | undefined, now: Seconds): string {
  const end = x509 && parseRfc3339(x509.notAfter);
  return end !== undefined && end > now
    ? ` (the certificate in place stays valid until ${x509?.notAfter})`
    : "";
}

function optional<K extends string, V>(key: K, value: V | undefined): { readonly [key in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [key in K]?: V };
}
