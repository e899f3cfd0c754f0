/**
 * The mesh part of an identity: carries out what is planned for its PeerAuthentication.
 */

import { isDeepStrictEqual } from "node:util";
import { type Seconds, seconds } from "../core/brand.ts";
import { parseRfc3339, toRfc3339 } from "../core/clock.ts";
import { isOperatorError } from "../core/errors.ts";
import { ISSUED_SINCE_ANNOTATION } from "../reconcile/annotations.ts";
import { type MeshPlan, planMesh, STRICT_AFTER_ANNOTATION } from "../reconcile/mesh.ts";
import type { IdentityReconcilerDeps, MeshOutcome, Work } from "./work.ts";

type MeshApplication = Extract<MeshPlan, { readonly manifest: unknown }>;

/** Another's object in the way is looked for again after this long. */
const BLOCKED_RETRY = 60;

/** Undefined where no mesh manifest is asked for. @throws STORAGE_FAILED. */
export async function reconcileMesh(
  deps: IdentityReconcilerDeps,
  work: Work,
  signal: AbortSignal,
): Promise<MeshOutcome | undefined> {
  const { entry, now } = work;
  const { observed } = deps;
  if (entry.mtls === undefined) return undefined;
  if (!observed.servesPeerAuthentication()) {
    const message = "the cluster serves no PeerAuthentication: install Istio, or remove spec.mtls";
    return { reason: "IstioNotInstalled", message };
  }
  const plan = planMesh({
    entry,
    mtls: entry.mtls,
    policies: observed.peerAuthentications(entry.namespace),
    meshPolicies: observed.peerAuthentications(deps.meshRootNamespace),
    issuedSince: issuedSince(deps, work),
    propagation: deps.policy().rotation.propagation,
    now,
  });
  if ("wait" in plan) {
    const requeueAt = plan.requeueAt === undefined ? {} : { requeueAt: plan.requeueAt };
    return { reason: "WaitingForCertificate", message: plan.wait, ...requeueAt };
  }
  return (await apply(deps, work, plan, signal)) ?? applied(work, plan);
}

/** Undefined: it is there as it should be. */
async function apply(
  deps: IdentityReconcilerDeps,
  { entry, now }: Work,
  { manifest }: MeshApplication,
  signal: AbortSignal,
): Promise<MeshOutcome | undefined> {
  const known = deps.observed.peerAuthentication(entry.namespace, entry.name);
  const isCurrent =
    known?.ownerUid === entry.uid &&
    isDeepStrictEqual(known.spec, manifest.spec) &&
    known.annotations[STRICT_AFTER_ANNOTATION] === manifest.annotations[STRICT_AFTER_ANNOTATION];
  if (isCurrent) return undefined;
  try {
    await deps.applier.apply(manifest, signal);
    return undefined;
  } catch (error) {
    const requeueAt = seconds(now + BLOCKED_RETRY);
    if (isOperatorError(error, "NOT_OWNED")) {
      const message = `PeerAuthentication ${entry.namespace}/${entry.name} exists and is not meshid's: delete it or rename the ServiceIdentity`;
      return { reason: "PeerAuthenticationConflict", message, requeueAt };
    }
    if (isOperatorError(error, "WRITE_REFUSED"))
      return { reason: "WriteRefused", message: error.message, requeueAt };
    throw error;
  }
}

function applied({ entry }: Work, { strictAfter, shadowedBy }: MeshApplication): MeshOutcome {
  const mode = entry.mtls?.mode ?? "Strict";
  const requeueAt = strictAfter === undefined ? {} : { requeueAt: strictAfter };
  if (shadowedBy !== undefined) {
    const { namespace, name } = shadowedBy.ref;
    const message = `PeerAuthentication ${namespace}/${name} selects the same workloads and is older, so Istio follows it: delete it or narrow its selector`;
    return { reason: "ShadowedByOlderPolicy", message, ...requeueAt };
  }
  if (strictAfter !== undefined) {
    const message = `PERMISSIVE until ${toRfc3339(strictAfter)}, then STRICT: mTLS was disabled here, and peers need time to take the change up (rotation.propagation)`;
    return { reason: "PermissiveFirst", message, ...requeueAt };
  }
  const count = entry.mtls?.exceptions.length ?? 0;
  const exceptions = count === 0 ? "" : `, ${count} port exception${count === 1 ? "" : "s"}`;
  return {
    reason: "Applied",
    message: `${mode} applied as PeerAuthentication ${entry.name}${exceptions}`,
  };
}

function issuedSince(deps: IdentityReconcilerDeps, { entry, now }: Work): Seconds | undefined {
  const secret = deps.observed.secret(entry.namespace, entry.x509.secretName);
  const isIssued = secret?.ownerUid === entry.uid && secret.x509 !== undefined && secret.x509.notAfter > now;
  return isIssued ? parseRfc3339(secret.annotations[ISSUED_SINCE_ANNOTATION] ?? "") : undefined;
}
