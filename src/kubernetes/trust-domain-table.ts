/**
 * The TrustDomain objects of the cluster in memory: the one that is served, and others that someone has made.
 */

import type { TrustDomainObject } from "../registration/service-identity.ts";
import { type Accepted, trustDomainOf } from "./identity-objects.ts";
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

  /** Takes an object up, unless a newer state of it is known. Whether it was news. */
  set(object: KubeObject): boolean {
    const { name, deletionTimestamp } = object.metadata;
    const version = versionOf(object);
    const known = this.#domains.get(name);
    if (known !== undefined && version <= known.version) return false;
    this.#domains.set(name, {
      object: trustDomainOf(object),
      version,
      isDeleted: deletionTimestamp !== undefined,
    });
    return true;
  }

  sink(): Sink {
    return {
      set: (object) => {
        const before = this.#domains.get(object.metadata.name);
        if (!this.set(object)) return;
        const after = this.#domains.get(object.metadata.name);
        if (before === undefined || after === undefined || isOtherWish(before, after)) this.#onChanged();
      },
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

/** Whether more than the status differs. */
function isOtherWish(a: Accepted<TrustDomainObject>, b: Accepted<TrustDomainObject>): boolean {
  const [before, after] = [a.object.metadata, b.object.metadata];
  return (
    before.uid !== after.uid ||
    before.generation !== after.generation ||
    a.isDeleted !== b.isDeleted ||
    JSON.stringify(before.annotations) !== JSON.stringify(after.annotations)
  );
}
