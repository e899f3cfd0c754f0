/**
 * Gathers what reflectors see in one turn of the event loop and tells it as one call: ten thousand objects of a list are one
 * change.
 */

import type { Changes } from "../controller/ports.ts";
import type { ObjectRef } from "../reconcile/state.ts";
import type { IdentityKey } from "../registration/registration-entry.ts";

export class ChangeBuffer {
  readonly #onError: (error: unknown) => void;
  #changes: Changes | undefined;
  #identities = new Set<IdentityKey>();
  #configMaps: ObjectRef[] = [];
  #isTrustDomainChanged = false;
  #areNamespacesChanged = false;
  #isScheduled = false;

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  /** Who is told; nobody: what happens is dropped, since who comes later looks at everything. */
  attach(changes: Changes | undefined): void {
    this.#changes = changes;
  }

  identity(key: IdentityKey): void {
    if (this.#changes === undefined) return;
    this.#identities.add(key);
    this.#schedule();
  }

  configMap(ref: ObjectRef): void {
    if (this.#changes === undefined) return;
    this.#configMaps.push(ref);
    this.#schedule();
  }

  trustDomain(): void {
    this.#isTrustDomainChanged = true;
    this.#schedule();
  }

  namespaces(): void {
    this.#areNamespacesChanged = true;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#changes === undefined) return;
    this.#isScheduled = true;
    setImmediate(() => this.#tell());
  }

  #tell(): void {
    this.#isScheduled = false;
    const [changes, identities, configMaps] = [this.#changes, this.#identities, this.#configMaps];
    const [isTrustDomainChanged, areNamespacesChanged] = [
      this.#isTrustDomainChanged,
      this.#areNamespacesChanged,
    ];
    this.#identities = new Set();
    this.#configMaps = [];
    this.#isTrustDomainChanged = false;
    this.#areNamespacesChanged = false;
    if (changes === undefined) return;
    if (isTrustDomainChanged) {
      changes.trustDomainChanged();
      changes.rotationRequested();
    }
    if (areNamespacesChanged) changes.namespacesChanged();
    for (const ref of configMaps) changes.outputChanged(ref, undefined);
    if (identities.size > 0) changes.identitiesChanged([...identities]).catch(this.#onError);
  }
}
