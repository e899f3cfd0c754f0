/**
 * Carries out the X.509 part of a plan: a new key and certificate, or the public documents anew.
 */

import { milliseconds, type Seconds, seconds } from "../core/brand.ts";
import { Secret } from "../core/secret.ts";
import { CONTENT_ANNOTATION, PASSWORD_ANNOTATION } from "../reconcile/annotations.ts";
import { type IssueReason, issuedHashes, REWRITE_REASONS, x509RenewAt } from "../reconcile/checks.ts";
import { publicHash } from "../reconcile/facts.ts";
import {
  issuedAnnotations,
  x509PublicContent,
  x509SecretManifest,
  x509SecretRef,
} from "../reconcile/manifests/secret.ts";
import { renewAt } from "../reconcile/renewal.ts";
import type { RegistrationEntry } from "../registration/registration-entry.ts";
import { encodeKey, generateKey, type PrivateKey, publicKeyOf } from "../x509/keys.ts";
import { passwordCheck } from "../x509/keystore.ts";
import { refreshID } from "./rewrite-guard.ts";
import type { IdentityReconcilerDeps, PartResult, Work } from "./work.ts";

const PASSWORD_RETRY = 30;
/** Whoever must wait for an RSA key is called; this is for the case that nobody does. */
const TURN_RETRY = 60;
/** Java takes ASCII alone, and calls any other password wrong; nobody can type what an editor left at the end. */
const PASSWORD = /^[\x20-\x7e]{1,1024}$/;
const PASSWORD_SHAPE = "1 to 1024 printable ASCII characters and no line end";

/** @throws NOT_OWNED, AUTHORITY_NOT_READY, SIGNING_FAILED, STORAGE_FAILED, ABORTED. */
export async function issueX509(
  deps: IdentityReconcilerDeps,
  work: Work,
  signal: AbortSignal,
): Promise<PartResult> {
  const { entry, plan, x509Secret } = work;
  const password = await passwordOf(deps, entry, signal);
  if (password === "missing") return passwordFault(work, "does not exist: create it");
  if (password === "unusable")
    return passwordFault(work, `is no usable password; expected ${PASSWORD_SHAPE}`);
  const reason = plan.x509.issue ?? wrongPassword(work, password);
  if (reason !== undefined) return issue(deps, work, { reason, password }, signal);
  const heldUntil = plan.x509.refresh ? await refresh(deps, work, password, signal) : undefined;
  if (heldUntil !== undefined) return rewritten(entry.x509.secretName, heldUntil);
  const facts = x509Secret?.x509;
  const requeueAt = facts === undefined ? {} : { requeueAt: x509RenewAt(entry, facts) };
  return { changed: plan.x509.refresh, ...requeueAt };
}

/** The public documents anew; when it may be tried where others keep putting other ones there. */
async function refresh(
  { applier, rewrites }: IdentityReconcilerDeps,
  { entry, x509Secret, view }: Work,
  password: Secret | undefined,
  signal: AbortSignal,
): Promise<Seconds | undefined> {
  if (x509Secret === undefined) return undefined;
  const ref = x509SecretRef(entry);
  const content = x509PublicContent(entry, view.caPem, password);
  const repair = refreshID(ref, publicHash(content));
  const heldUntil = rewrites.heldUntil(repair);
  if (heldUntil !== undefined) return heldUntil;
  const notes = issuedAnnotations(entry, content, issuedHashes(x509Secret));
  const annotations = { ...x509Secret.annotations, [CONTENT_ANNOTATION]: notes[CONTENT_ANNOTATION] ?? "" };
  const change = { ref, ownerUid: entry.uid, set: new Secret(content), remove: [], annotations };
  await applier.amend(change, signal);
  rewrites.repaired(repair);
  return undefined;
}

/** The keystore cannot be opened with the password as it is now, and a truststore written beside it could not with the old. */
function wrongPassword({ entry, x509Secret }: Work, password: Secret | undefined): IssueReason | undefined {
  if (password === undefined) return undefined;
  const known = x509Secret?.annotations[PASSWORD_ANNOTATION];
  return known === passwordCheck(password, entry.uid) ? undefined : "WrongPassword";
}

async function issue(
  deps: IdentityReconcilerDeps,
  work: Work,
  { reason, password }: { readonly reason: IssueReason; readonly password: Secret | undefined },
  signal: AbortSignal,
): Promise<PartResult> {
  const { entry, plan } = work;
  const started = deps.clock.monotonic();
  if (isRsa(entry) && deps.keyTurns.sendsAway(entry.key))
    return { changed: false, isPutOff: true, requeueAt: seconds(work.now + TURN_RETRY) };
  const heldUntil = isRepair(deps, work) ? deps.rewrites.take(`${entry.uid}/x509`) : undefined;
  if (heldUntil !== undefined) return rewritten(entry.x509.secretName, heldUntil);
  const privateKey = await makeKey(deps, entry, signal);
  const { pem: privateKeyPem, spki } = encodeKey(privateKey);
  const svid = await deps.authority.signX509Svid({
    spiffeId: entry.spiffeId,
    dnsNames: entry.x509.dnsNames,
    publicKey: publicKeyOf(privateKey),
    spki,
    ttl: entry.x509.ttl,
  });
  const manifest = x509SecretManifest({
    entry,
    privateKey,
    privateKeyPem,
    chainPem: svid.chainPem,
    leaf: svid.leaf,
    authorityKeyID: svid.authorityKeyID,
    caPem: deps.authority.view().caPem,
    password,
    revision: plan.x509.revision,
    issuedSince: plan.x509.issuedSince,
  });
  await deps.applier.apply(manifest, signal);
  deps.audit.x509Issued({
    serviceIdentity: entry.key,
    spiffeId: entry.spiffeId,
    serialNumber: svid.serialNumber,
    authorityKeyID: svid.authorityKeyID,
    notAfter: svid.notAfter,
    reason,
    duration: milliseconds(deps.clock.monotonic() - started),
  });
  const life = { issuedAt: work.now, notAfter: svid.notAfter };
  return { changed: true, requeueAt: renewAt(life, entry.x509.renewAfterPercent, entry.uid) };
}

function makeKey(
  { keyTurns }: IdentityReconcilerDeps,
  entry: RegistrationEntry,
  signal: AbortSignal,
): Promise<PrivateKey> {
  const { keyAlgorithm } = entry.x509;
  if (!isRsa(entry)) return generateKey(keyAlgorithm);
  return keyTurns.take(entry.namespace, () => generateKey(keyAlgorithm), signal);
}

function isRsa({ x509 }: RegistrationEntry): boolean {
  return x509.keyAlgorithm.startsWith("RSA");
}

/** Whether someone else's hand is what asks for the issuance of something that was issued before. */
function isRepair({ rewrites }: IdentityReconcilerDeps, { identity, entry, plan }: Work): boolean {
  return (
    plan.x509.issue !== undefined &&
    REWRITE_REASONS.has(plan.x509.issue) &&
    rewrites.wasIssued(entry.uid, "x509", identity.status)
  );
}

export function rewritten(secretName: string, until: PartResult["requeueAt"]): PartResult {
  const message = `Secret ${secretName} was changed or deleted by another writer again and again: find it (managedFields, audit log) and stop it; the next repair is tried in at most two minutes`;
  return {
    fault: { reason: "SecretRewritten", message },
    changed: false,
    ...(until === undefined ? {} : { requeueAt: until }),
  };
}

async function passwordOf(
  deps: IdentityReconcilerDeps,
  entry: RegistrationEntry,
  signal: AbortSignal,
): Promise<Secret | undefined | "missing" | "unusable"> {
  const ref = entry.x509.passwordSecretRef;
  if (!entry.x509.formats.includes("PKCS12") || ref === undefined) return undefined;
  const password = await deps.desired.secretValue(entry.namespace, ref.name, ref.key, signal);
  if (password === undefined) return "missing";
  return PASSWORD.test(password.reveal()) ? password : "unusable";
}

function passwordFault({ entry, now }: Work, problem: string): PartResult {
  const { name, key } = entry.x509.passwordSecretRef ?? { name: "", key: "" };
  const message = `spec.x509.pkcs12.passwordSecretRef: key ${key} of Secret ${entry.namespace}/${name} ${problem}`;
  // Not every adapter tells us when it changes.
  const requeueAt = seconds(now + PASSWORD_RETRY);
  return { fault: { reason: "InvalidSpec", message }, changed: false, requeueAt };
}
