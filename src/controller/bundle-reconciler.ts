/**
 * The trust bundle of each selected namespace: key = namespace.
 */

import type { Authority } from "../authority/authority.ts";
import { seconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";
import { isOperatorError } from "../core/errors.ts";
import { publicHash } from "../reconcile/facts.ts";
import { bundleManifest, type PublishedBundle } from "../reconcile/manifests/config-map.ts";
import type { ObjectRef } from "../reconcile/state.ts";
import type { TrustDomainPolicy } from "../registration/trust-domain-policy.ts";
import type { ReconcileResult, Reconciler } from "./controller.ts";
import type { Applier, DesiredState, EventRecorder, ObservedState } from "./ports.ts";
import { consumerName, type Refusals, retryRefusedAfter } from "./refusals.ts";
import { RewriteGuard } from "./rewrite-guard.ts";

export interface BundleReconcilerDeps {
  readonly desired: DesiredState;
  readonly observed: ObservedState;
  readonly applier: Applier;
  readonly authority: Authority;
  readonly events: EventRecorder;
  readonly refusals: Refusals;
  readonly clock: Clock;
  readonly policy: () => TrustDomainPolicy;
  /** Called when a namespace's bundle became current, or was found to be refused or in another's hands. */
  readonly onChanged: () => void;
}

export class BundleReconciler implements Reconciler {
  readonly #deps: BundleReconcilerDeps;
  /** Namespaces where an object that is not meshid's has the bundle's name. */
  readonly #blocked = new Set<string>();
  /** By namespace, what lies under names that the bundle has no more; looked for once for each name. */
  #former: { readonly name: string; readonly refs: Map<string, readonly ObjectRef[]> } | undefined;

  /** Of the view as it was last asked for: each namespace is compared with it, after every change. */
  #wanted: { readonly of: PublishedBundle; readonly hash: string } | undefined;

  /** By namespace, the hash of what was written there last: what is not there any more was changed by someone else. */
  readonly #written = new Map<string, string>();
  readonly #rewrites: RewriteGuard;

  constructor(deps: BundleReconcilerDeps) {
    this.#deps = deps;
    this.#rewrites = new RewriteGuard(deps.clock);
  }

  async reconcile(namespace: string, signal: AbortSignal): Promise<ReconcileResult> {
    const { desired, applier, authority, refusals } = this.#deps;
    const { uid } = desired.trustDomain().metadata;
    const ref = this.#refIn(namespace);
    if (!desired.bundleNamespaces().includes(namespace)) {
      this.#blocked.delete(namespace);
      this.#written.delete(namespace);
      refusals.forget(consumerName(ref));
      await applier.prune(ref, uid, signal);
      await this.#pruneFormer(namespace, signal);
      return {};
    }
    if (!authority.isReady()) return {};
    if (this.isCurrent(namespace)) {
      refusals.clear(consumerName(ref));
      await this.#pruneFormer(namespace, signal);
      return {};
    }
    return this.#write(ref, signal);
  }

  async #write(ref: ObjectRef, signal: AbortSignal): Promise<ReconcileResult> {
    const { desired, applier, authority, refusals, onChanged } = this.#deps;
    const { namespace } = ref;
    const hash = this.#wantedHash();
    const heldUntil = this.#written.get(namespace) === hash ? this.#rewrites.take(namespace) : undefined;
    if (heldUntil !== undefined) {
      refusals.noteRevert(consumerName(ref), heldUntil);
      return { requeueAt: heldUntil };
    }
    const { name, uid } = desired.trustDomain().metadata;
    const place = { namespace, name: ref.name, owner: { kind: "TrustDomain", name, uid } as const };
    try {
      await applier.apply(bundleManifest(place, authority.view()), signal);
    } catch (error) {
      if (isOperatorError(error, "NOT_OWNED")) return this.#block(ref);
      if (isOperatorError(error, "WRITE_REFUSED")) return this.#refused(ref, error.message);
      throw error;
    }
    this.#written.set(namespace, hash);
    this.#blocked.delete(namespace);
    refusals.clear(consumerName(ref));
    onChanged();
    await this.#pruneFormer(namespace, signal);
    return {};
  }

  /** Once the bundle is there under its name, it goes from where it was before. */
  async #pruneFormer(namespace: string, signal: AbortSignal): Promise<void> {
    const { desired, observed, applier } = this.#deps;
    const { uid } = desired.trustDomain().metadata;
    const name = this.#deps.policy().bundle.configMapName;
    if (this.#former?.name !== name) {
      const all = observed.ownedBy(uid).filter((ref) => ref.kind === "ConfigMap" && ref.name !== name);
      this.#former = { name, refs: Map.groupBy(all, (ref) => ref.namespace) };
    }
    for (const ref of this.#former.refs.get(namespace) ?? []) await applier.prune(ref, uid, signal);
    this.#former.refs.delete(namespace);
  }

  /** Whether the namespace holds the bundle as it is now. */
  isCurrent(namespace: string): boolean {
    const { desired, observed } = this.#deps;
    const known = observed.configMap(namespace, this.#deps.policy().bundle.configMapName);
    if (known === undefined || known.ownerUid !== desired.trustDomain().metadata.uid) return false;
    return known.bundleHash === this.#wantedHash();
  }

  #wantedHash(): string {
    const view = this.#deps.authority.view();
    if (this.#wanted?.of !== view) this.#wanted = { of: view, hash: bundleHash(view) };
    return this.#wanted.hash;
  }

  get blocked(): readonly string[] {
    return [...this.#blocked].sort();
  }

  #block(ref: ObjectRef): ReconcileResult {
    this.#deps.refusals.note(consumerName(ref), "an object that is not meshid's has the name");
    if (!this.#blocked.has(ref.namespace)) {
      this.#blocked.add(ref.namespace);
      const remedy = "delete it or choose another bundle.configMapName";
      this.#warn("BundleConflict", `${consumerName(ref)} exists and is not meshid's: ${remedy}`);
      this.#deps.onChanged();
    }
    return this.#tryAgain();
  }

  /**
   * What the API server says no to is for a person to read, and nobody tells when it is mended. It says so once of every
   * namespace that goes: only what stays is worth an Event.
   */
  #refused(ref: ObjectRef, why: string): ReconcileResult {
    const { refusals, onChanged } = this.#deps;
    const before = refusals.of(consumerName(ref));
    refusals.note(consumerName(ref), why);
    if (before === undefined) onChanged();
    else if (before.last === before.since)
      this.#warn("WriteRefused", `the API server refuses to write ${consumerName(ref)}: ${why}`);
    return this.#tryAgain();
  }

  #warn(reason: string, message: string): void {
    const { name } = this.#deps.desired.trustDomain().metadata;
    const regarding = { kind: "TrustDomain", name } as const;
    this.#deps.events.record({ regarding, type: "Warning", reason, message });
  }

  #tryAgain(): ReconcileResult {
    const { clock, policy } = this.#deps;
    return { requeueAt: seconds(clock.now() + retryRefusedAfter(policy().rotation.propagation)) };
  }

  #refIn(namespace: string): ObjectRef {
    return { kind: "ConfigMap", namespace, name: this.#deps.policy().bundle.configMapName };
  }
}

function bundleHash(view: PublishedBundle): string {
  const content = { "ca.crt": view.caPem, "bundle.json": view.bundleJson, "jwks.json": view.jwksJson };
  const bytes = Object.entries(content).map(([key, text]) => [key, Buffer.from(text)] as const);
  return publicHash(Object.fromEntries(bytes)) ?? "";
}
