/**
 * One ServiceIdentity: gather, decide, sign, act, report.
 */

import type { AuthorityView } from "../authority/authority-state.ts";
import { type Seconds, seconds } from "../core/brand.ts";
import { isOperatorError } from "../core/errors.ts";
import { jwtSecretRef, x509SecretRef } from "../reconcile/manifests/secret.ts";
import { planIdentity } from "../reconcile/plan.ts";
import type { ObjectRef } from "../reconcile/state.ts";
import { type Condition, isOrdinary } from "../registration/conditions.ts";
import type { RegistrationEntry } from "../registration/registration-entry.ts";
import { registerIdentity } from "../registration/registration-entry.ts";
import type { ServiceIdentity } from "../registration/service-identity.ts";
import type { KeyId } from "../x509/keys.ts";
import { refreshBundle } from "./bundle-refresh.ts";
import type { ReconcileResult, Reconciler } from "./controller.ts";
import { identityStatus, statusChanges } from "./identity-status.ts";
import { ManualRenewals, type Part } from "./manual-renewals.ts";
import { reconcileMesh } from "./mesh.ts";
import { consumerName, retryRefusedAfter } from "./refusals.ts";
import { issueTokens } from "./token-issuance.ts";
import type { Fault, IdentityReconcilerDeps, Outcome, PartResult, Work } from "./work.ts";
import { issueX509 } from "./x509-issuance.ts";

export class ServiceIdentityReconciler implements Reconciler {
  readonly #deps: IdentityReconcilerDeps;
  readonly #renewals = new ManualRenewals();

  constructor(deps: IdentityReconcilerDeps) {
    this.#deps = deps;
  }

  async reconcile(key: string, signal: AbortSignal): Promise<ReconcileResult> {
    const identity = this.#deps.desired.identity(key);
    if (identity === undefined) {
      this.#renewals.forget(key);
      return {};
    }
    const registered = this.#register(key, identity);
    if ("fault" in registered) {
      this.#refuse(key, identity, registered.fault);
      await this.#report(identity, refusedOutcome(identity, registered.fault, registered.entry), signal);
      return this.#refreshBundle(identity, signal);
    }
    const work = this.#plan(identity, registered.entry);
    return this.#carryOut(work, signal);
  }

  /** Who may hold what: the faults that nothing but a change of some object can mend. */
  #register(
    key: string,
    identity: ServiceIdentity,
  ): { readonly entry: RegistrationEntry } | { readonly entry?: RegistrationEntry; readonly fault: Fault } {
    const { desired, claims, authority } = this.#deps;
    const policy = this.#deps.policy().registration;
    const registered = registerIdentity(identity, policy);
    if (!registered.ok) {
      const { reason, field, message } = registered.fault;
      return { fault: { reason, message: `${field}: ${message}` } };
    }
    const { entry } = registered;
    const limit = policy.limits.identitiesPerNamespace;
    if (claims.exceeds(key, limit)) {
      const message = `namespace ${entry.namespace} has ${limit} older ServiceIdentities, the most that limits.identitiesPerNamespace of the TrustDomain allows: delete some or have the limit raised`;
      return { entry, fault: { reason: "LimitExceeded", message } };
    }
    const holder = claims.otherHolder(key);
    if (holder !== undefined) {
      const message = `ServiceIdentity ${holder} holds ServiceAccount ${entry.serviceAccountName}: delete one of the two or give this one another spec.serviceAccountName`;
      return { entry, fault: { reason: "IdentityConflict", message } };
    }
    if (!desired.serviceAccountExists(entry.namespace, entry.serviceAccountName)) {
      const message = `ServiceAccount ${entry.serviceAccountName} does not exist in namespace ${entry.namespace}: create it or set spec.serviceAccountName`;
      return { entry, fault: { reason: "ServiceAccountNotFound", message } };
    }
    if (!authority.isReady()) {
      return {
        entry,
        fault: { reason: "AuthorityNotReady", message: "the authority cannot sign: see the TrustDomain" },
      };
    }
    return { entry };
  }

  #plan(identity: ServiceIdentity, entry: RegistrationEntry): Work {
    const { observed, authority, clock } = this.#deps;
    const view = authority.view();
    const now = clock.now();
    const x509Secret = observed.secret(entry.namespace, entry.x509.secretName);
    const jwtSecret = entry.jwt && observed.secret(entry.namespace, entry.jwt.secretName);
    const plan = planIdentity({
      entry,
      x509Secret,
      jwtSecret,
      owned: observed.ownedBy(entry.uid),
      authority: {
        issuers: keyIDsOf(view, "Issuing"),
        distrusted: new Set(view.distrusted.map(({ keyID }) => keyID)),
        jwtKeyIDs: keyIDsOf(view, "JWT"),
        issuer: view.issuer,
        caPem: view.caPem,
        bundleJson: view.bundleJson,
        jwksJson: view.jwksJson,
      },
      lastManualRenewal: identity.status?.lastManualRenewal,
      renewed: this.#renewals.honouredBy(entry),
      now,
    });
    return { identity, entry, view, plan, x509Secret, jwtSecret, now };
  }

  async #carryOut(work: Work, signal: AbortSignal): Promise<ReconcileResult> {
    const { entry, plan, identity } = work;
    const x509 = await this.#part(work, "x509", () => issueX509(this.#deps, work, signal));
    // There is nothing to report of what has never been issued; what is in place is of use meanwhile.
    const isNothingThere = work.x509Secret?.x509 === undefined;
    if (x509.isPutOff === true && isNothingThere) return requeue([x509.requeueAt]);
    const jwt = entry.jwt && (await this.#part(work, "jwt", () => issueTokens(this.#deps, work, signal)));
    const mesh = await reconcileMesh(this.#deps, work, signal);
    const pruneAt = await this.#prune(work, signal);
    const isUnhindered = x509.fault === undefined && x509.isPutOff !== true && jwt?.fault === undefined;
    const isRenewed = isUnhindered && plan.renewNotBefore === undefined;
    const outcome: Outcome = {
      entry,
      x509: x509.fault,
      jwt: jwt?.fault,
      mesh,
      renewed: isRenewed ? entry.renew : undefined,
    };
    await this.#report(identity, outcome, signal);
    if (isRenewed) this.#renewals.forget(entry.key);
    await this.#pruneIfGone(work, signal);
    if (x509.changed || jwt?.changed === true || plan.prune.length > 0) this.#deps.onChanged(identity);
    const faults = [x509.fault, jwt?.fault].filter((fault) => fault !== undefined);
    // Who rewrites a Secret again and again is not to be answered each time.
    const isKept = faults.length > 0 && !faults.some(({ reason }) => reason === "SecretRewritten");
    const { requeueAt } = isKept ? await this.#refreshBundle(identity, signal) : {};
    const { renewNotBefore } = plan;
    return requeue([x509.requeueAt, jwt?.requeueAt, mesh?.requeueAt, renewNotBefore, requeueAt, ...pruneAt]);
  }

  /** Takes away what is not wanted any more; when to try again where others keep putting it there. */
  async #prune({ entry, plan }: Work, signal: AbortSignal): Promise<readonly Seconds[]> {
    const { applier, rewrites, refusals } = this.#deps;
    const heldUntil: Seconds[] = [];
    for (const ref of plan.prune) {
      const consumer = consumerName(ref);
      const held = rewrites.take(`${consumer} is not wanted`);
      if (held !== undefined) {
        refusals.noteRevert(consumer, held);
        heldUntil.push(held);
        continue;
      }
      await applier.prune(ref, entry.uid, signal);
      refusals.clear(consumer);
    }
    return heldUntil;
  }

  /** What is in place goes on being of use while nothing new can be issued. */
  async #refreshBundle(identity: ServiceIdentity, signal: AbortSignal): Promise<ReconcileResult> {
    const { changed, requeueAt } = await refreshBundle(this.#deps, identity.metadata, signal);
    if (changed) this.#deps.onChanged(identity);
    return requeue([requeueAt]);
  }

  /** An identity that went away meanwhile has just been given credentials that nobody would collect. */
  async #pruneIfGone({ entry }: Work, signal: AbortSignal): Promise<void> {
    const { desired, observed, applier } = this.#deps;
    if (desired.identity(entry.key)?.metadata.uid === entry.uid) return;
    const given = observed.ownedBy(entry.uid).filter(({ namespace }) => namespace === entry.namespace);
    for (const ref of given) await applier.prune(ref, entry.uid, signal);
  }

  /** Turns the faults that belong in a condition into one; everything else is retried. */
  async #part(work: Work, kind: Part, run: () => Promise<PartResult>): Promise<PartResult> {
    const { entry, identity, plan } = work;
    const ref =
      kind === "x509" ? x509SecretRef(entry) : jwtSecretRef(entry.namespace, entry.jwt?.secretName ?? "");
    try {
      const result = await run();
      const isRenewalDue =
        entry.renew !== identity.status?.lastManualRenewal && plan.renewNotBefore === undefined;
      if (isRenewalDue && result.fault === undefined && result.isPutOff !== true)
        this.#renewals.honour(entry, kind);
      this.#noteOutcome(ref, result);
      return result;
    } catch (error) {
      return this.#failed(work, kind, { ref, error });
    }
  }

  #failed(
    { entry, now }: Work,
    kind: Part,
    { ref, error }: { readonly ref: ObjectRef; readonly error: unknown },
  ): PartResult {
    const { audit, refusals, policy } = this.#deps;
    const fault = isOperatorError(error, "NOT_OWNED")
      ? this.#conflict(ref.namespace, ref.name)
      : faultOf(error, `${ref.namespace}/${ref.name}`);
    if (fault === undefined) throw error;
    if (isOperatorError(error, "NOT_OWNED") || isOperatorError(error, "WRITE_REFUSED"))
      refusals.note(consumerName(ref), error.message);
    const { reason, message } = fault;
    audit.refused({ kind, serviceIdentity: entry.key, spiffeId: entry.spiffeId, reason, message });
    const requeueAt = seconds(now + retryRefusedAfter(policy().rotation.propagation));
    return { fault, changed: false, requeueAt };
  }

  /** For a rotation that waits for this Secret. */
  #noteOutcome(ref: ObjectRef, { fault, isPutOff, requeueAt }: PartResult): void {
    const { refusals } = this.#deps;
    if (fault?.reason === "SecretRewritten" && requeueAt !== undefined)
      refusals.noteRevert(consumerName(ref), requeueAt);
    else if (fault === undefined && isPutOff !== true) refusals.clear(consumerName(ref));
  }

  #conflict(namespace: string, name: string): Fault {
    const { observed, desired } = this.#deps;
    const owner = observed.secret(namespace, name)?.ownerUid;
    const holder = [...desired.identities()].find(({ metadata }) => metadata.uid === owner)?.metadata.name;
    const message =
      holder === undefined
        ? `Secret ${namespace}/${name} exists and is not meshid's: delete it or choose another secretName`
        : `Secret ${namespace}/${name} is that of ServiceIdentity ${namespace}/${holder}: choose another secretName`;
    return { reason: "SecretConflict", message };
  }

  #refuse(key: string, identity: ServiceIdentity, fault: Fault): void {
    const known = identity.status?.conditions?.find((condition) => condition.type === "X509Issued");
    if (known?.reason === fault.reason && known.message === fault.message) return;
    const { reason, message } = fault;
    this.#deps.audit.refused({ kind: "x509", serviceIdentity: key, spiffeId: undefined, reason, message });
  }

  async #report(identity: ServiceIdentity, outcome: Outcome, signal: AbortSignal): Promise<void> {
    const { status, events, observed, clock } = this.#deps;
    const next = identityStatus({ identity, outcome, observed, now: clock.now() });
    const changes = statusChanges(identity.status, next);
    if (!changes.isChanged) return;
    await status.writeIdentityStatus(identity, next, signal);
    const { namespace, name } = identity.metadata;
    for (const condition of worthAnEvent(changes.conditions)) {
      events.record({
        regarding: { kind: "ServiceIdentity", namespace, name },
        type: isOrdinary(condition) ? "Normal" : "Warning",
        reason: condition.reason,
        message: condition.message,
      });
    }
  }
}

/** What stands in the way, each; else that it is ready: a person reads few events, and each costs a write. */
function worthAnEvent(changed: readonly Condition[]): readonly Condition[] {
  const faults = changed.filter((one) => one.type !== "Ready" && !isOrdinary(one));
  return faults.length > 0 ? faults : changed.filter((one) => one.type === "Ready");
}

function faultOf(error: unknown, secret: string): Fault | undefined {
  if (isOperatorError(error, "AUTHORITY_NOT_READY") || isOperatorError(error, "CLOCK_SKEW")) {
    return { reason: "AuthorityNotReady", message: error.message };
  }
  if (isOperatorError(error, "WRITE_REFUSED")) {
    return {
      reason: "WriteRefused",
      message: `the API server refuses to write Secret ${secret}: ${error.message}`,
    };
  }
  if (isOperatorError(error, "SIGNING_FAILED")) return { reason: "SigningFailed", message: error.message };
  return undefined;
}

/** A fault of the identity itself: it stands in the way of each part that is asked for. */
function refusedOutcome(
  identity: ServiceIdentity,
  fault: Fault,
  entry: RegistrationEntry | undefined,
): Outcome {
  const mesh = { reason: "WaitingForCertificate", message: `no certificate: ${fault.message}` } as const;
  return {
    entry,
    x509: fault,
    jwt: identity.spec.jwt === undefined ? undefined : fault,
    mesh: identity.spec.mtls === undefined ? undefined : mesh,
    renewed: undefined,
  };
}

function keyIDsOf(view: AuthorityView, kind: "Issuing" | "JWT"): ReadonlySet<KeyId> {
  return new Set(view.slots.flatMap((slot) => (slot.kind === kind ? [slot.keyID] : [])));
}

function requeue(instants: readonly (Seconds | undefined)[]): ReconcileResult {
  const known = instants.filter((instant) => instant !== undefined);
  return known.length === 0 ? {} : { requeueAt: seconds(Math.min(...known)) };
}
