/**
 * The TrustDomain objects of the cluster in memory: the one that is served, and others that someone has made.
 */

import { type AcceptedTrustDomain, isOtherWish, trustDomainOf } from "./identity-objects.ts";
import { type KubeObject, versionOf } from "./objects.ts";
import type { Sink } from "./reflector.ts";
import { Tombstones } from "./tombstones.ts";

export class TrustDomainTable {
  readonly #domains = new Map<string, AcceptedTrustDomain>();
  readonly #gone = new Tombstones();
  readonly #onChanged: () => void;

  /** `onChanged`: more than a status differs. */
  constructor(onChanged: () => void) {
    this.#onChanged = onChanged;
  }

  get(name: string): AcceptedTrustDomain | undefined {
    return this.#domains.get(name);
  }

  values(): Iterable<AcceptedTrustDomain> {
    return this.#domains.values();
  }

  /** Takes an object up, unless a newer state of it is known. */
  set(object: KubeObject): void {
    const { name, deletionTimestamp, finalizers = [] } = object.metadata;
    const version = versionOf(object);
    const before = this.#domains.get(name);
    if (before === undefined ? this.#gone.covers(name, version) : version <= before.version) return;
    const isDeleted = deletionTimestamp !== undefined;
    const after = { object: trustDomainOf(object), version, isDeleted, finalizers };
    this.#domains.set(name, after);
    const isOther = before === undefined || isOtherWish(before, after);
    if (isOther || before.finalizers.join() !== finalizers.join()) this.#onChanged();
  }

  sink(): Sink {
    return {
      set: (object) => this.set(object),
      remove: (object) => {
        const known = this.#domains.get(object.metadata.name);
        if (known === undefined || known.version <= versionOf(object))
          this.#drop(object.metadata.name, versionOf(object));
      },
      retain: (keys, version) => {
        for (const [name, known] of this.#domains)
          if (known.version <= version && !keys.has(name)) this.#drop(name, version);
      },
    };
  }

  #drop(name: string, version: bigint): void {
    this.#gone.add(name, version);
    if (this.#domains.delete(name)) this.#onChanged();
  }
}
