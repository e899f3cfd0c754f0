/**
 * The TrustDomain objects of the cluster in memory: the one that is served, and others that someone has made.
 */

import type { TrustDomainObject } from "../registration/service-identity.ts";
import { type Accepted, isOtherWish, trustDomainOf } from "./identity-objects.ts";
import { type KubeObject, versionOf } from "./objects.ts";
import type { Sink } from "./reflector.ts";

export class TrustDomainTable {
  readonly #domains = new Map<string, Accepted<TrustDomainObject>>();
  readonly #onChanged: () => void;

  /** `onChanged`: more than a status differs. */
  constructor(onChanged: () => void) {
    this.#onChanged = onChanged;
  }

  get(name: string): Accepted<TrustDomainObject> | undefined {
    return this.#domains.get(name);
  }

  values(): Iterable<Accepted<TrustDomainObject>> {
    return this.#domains.values();
  }

  /** Takes an object up, unless a newer state of it is known. */
  set(object: KubeObject): void {
    const { name, deletionTimestamp } = object.metadata;
    const version = versionOf(object);
    const before = this.#domains.get(name);
    if (before !== undefined && version <= before.version) return;
    const after = { object: trustDomainOf(object), version, isDeleted: deletionTimestamp !== undefined };
    this.#domains.set(name, after);
    if (before === undefined || isOtherWish(before, after)) this.#onChanged();
  }

  sink(): Sink {
    return {
      set: (object) => this.set(object),
      remove: (object) => {
        const known = this.#domains.get(object.metadata.name);
        if (known !== undefined && known.version <= versionOf(object)) this.#drop(object.metadata.name);
      },
      retain: (keys, version) => {
        for (const [name, known] of this.#domains)
          if (known.version <= version && !keys.has(name)) this.#drop(name);
      },
    };
  }

  #drop(name: string): void {
    if (this.#domains.delete(name)) this.#onChanged();
  }
}
