/**
 * The mesh part of an identity: its PeerAuthentication, applied only once the workloads hold valid certificates.
 */

import { isDeepStrictEqual } from "node:util";
import { seconds } from "../core/brand.ts";
import { parseRfc3339, toRfc3339 } from "../core/clock.ts";
import { isOperatorError } from "../core/errors.ts";
import { ISSUED_SINCE_ANNOTATION } from "../reconcile/annotations.ts";
import { peerAuthenticationManifest } from "../reconcile/manifests/peer-authentication.ts";
import type { IdentityReconcilerDeps, MeshOutcome, Work } from "./work.ts";

/** Undefined where no mesh manifest is asked for. @throws STORAGE_FAILED. */
export async function reconcileMesh(
  deps: IdentityReconcilerDeps,
  work: Work,
  signal: AbortSignal,
): Promise<MeshOutcome | undefined> {
  const { entry } = work;
  if (entry.mtls === undefined) return undefined;
  if (!deps.observed.servesPeerAuthentication()) {
    const message = "the cluster serves no PeerAuthentication: install Istio, or remove spec.mtls";
    return { reason: "IstioNotInstalled", message };
  }
  const known = deps.observed.peerAuthentication(entry.namespace, entry.name);
  const manifest = peerAuthenticationManifest(entry, entry.mtls);
  const isOurs = known?.ownerUid === entry.uid;
  const wait = isOurs || entry.mtls.mode !== "Strict" ? undefined : waitForCertificate(deps, work);
  if (wait !== undefined) return wait;
  if (!isOurs || !isDeepStrictEqual(known.spec, manifest.spec)) {
    try {
      await deps.applier.apply(manifest, signal);
    } catch (error) {
      if (!isOperatorError(error, "NOT_OWNED")) throw error;
      const message = `PeerAuthentication ${entry.namespace}/${entry.name} exists and is not meshid's: delete it or rename the ServiceIdentity`;
      return { reason: "PeerAuthenticationConflict", message, requeueAt: seconds(work.now + 60) };
    }
  }
  const count = entry.mtls.exceptions.length;
  const exceptions = count === 0 ? "" : `, ${count} port exception${count === 1 ? "" : "s"}`;
  return {
    reason: "Applied",
    message: `${entry.mtls.mode} applied as PeerAuthentication ${entry.name}${exceptions}`,
  };
}

/** STRICT waits until the workloads have had a certificate for `rotation.propagation`. */
function waitForCertificate(deps: IdentityReconcilerDeps, { entry, now }: Work): MeshOutcome | undefined {
  const secret = deps.observed.secret(entry.namespace, entry.x509.secretName);
  const since = parseRfc3339(secret?.annotations[ISSUED_SINCE_ANNOTATION] ?? "");
  const isIssued = secret?.ownerUid === entry.uid && secret.x509 !== undefined && secret.x509.notAfter > now;
  if (!isIssued || since === undefined) {
    const message = "STRICT is applied once the certificate has been issued: see condition X509Issued";
    return { reason: "WaitingForCertificate", message };
  }
  const until = seconds(since + deps.policy().rotation.propagation);
  if (now >= until) return undefined;
  const message = `the certificate was issued at ${toRfc3339(since)}; STRICT is applied at ${toRfc3339(until)}, when it has reached the workloads (rotation.propagation)`;
  return { reason: "WaitingForCertificate", message, requeueAt: until };
}
