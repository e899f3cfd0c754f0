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
import { RewriteGuard } from "./rewrite-guard.ts";

export interface BundleReconcilerDeps {
  readonly desired: DesiredState;
  readonly observed: ObservedState;
  readonly applier: Applier;
  readonly authority: Authority;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly policy: () => TrustDomainPolicy;
  /** Called when a namespace's bundle became current or was found in another's hands. */
  readonly onChanged: () => void;
}

/** Another's object in the way is looked for again after this long. */
const BLOCKED_RETRY = seconds(60);

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
    const { desired, applier, authority, clock, onChanged } = this.#deps;
    const { name, uid } = desired.trustDomain().metadata;
    const place = {
      namespace,
      name: this.#deps.policy().bundle.configMapName,
      owner: { kind: "TrustDomain", name, uid } as const,
    };
    if (!desired.bundleNamespaces().includes(namespace)) {
      this.#blocked.delete(namespace);
      this.#written.delete(namespace);
      await applier.prune({ kind: "ConfigMap", namespace, name: place.name }, uid, signal);
      await this.#pruneFormer(namespace, signal);
      return {};
    }
    if (!authority.isReady()) return {};
    if (this.isCurrent(namespace)) {
      await this.#pruneFormer(namespace, signal);
      return {};
    }
    const hash = this.#wantedHash();
    const heldUntil = this.#written.get(namespace) === hash ? this.#rewrites.take(namespace) : undefined;
    if (heldUntil !== undefined) return { requeueAt: heldUntil };
    try {
      await applier.apply(bundleManifest(place, authority.view()), signal);
    } catch (error) {
      if (!isOperatorError(error, "NOT_OWNED")) throw error;
      this.#block(namespace, place.name);
      return { requeueAt: seconds(clock.now() + BLOCKED_RETRY) };
    }
    this.#written.set(namespace, hash);
    this.#blocked.delete(namespace);
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

  #block(namespace: string, name: string): void {
    if (this.#blocked.has(namespace)) return;
    this.#blocked.add(namespace);
    this.#deps.events.record({
      regarding: { kind: "TrustDomain", name: this.#deps.desired.trustDomain().metadata.name },
      type: "Warning",
      reason: "BundleConflict",
      message: `ConfigMap ${namespace}/${name} exists and is not meshid's: delete it or choose another bundle.configMapName`,
    });
    this.#deps.onChanged();
  }
}

function bundleHash(view: PublishedBundle): string {
  const content = { "ca.crt": view.caPem, "bundle.json": view.bundleJson, "jwks.json": view.jwksJson };
  const bytes = Object.entries(content).map(([key, text]) => [key, Buffer.from(text)] as const);
  return publicHash(Object.fromEntries(bytes)) ?? "";
}
