/**
 * The ServiceIdentities of the cluster in memory, findable by namespace and by uid.
 */

import type { IdentityKey } from "../registration/registration-entry.ts";
import type { ServiceIdentity } from "../registration/service-identity.ts";
import { type Accepted, identityOf, isOtherWish } from "./identity-objects.ts";
import { type KubeObject, keyOf, versionOf } from "./objects.ts";
import type { Sink } from "./reflector.ts";
import { Tombstones } from "./tombstones.ts";

export class IdentityTable {
  readonly #identities = new Map<IdentityKey, Accepted<ServiceIdentity>>();
  readonly #byNamespace = new Map<string, Set<IdentityKey>>();
  readonly #byUid = new Map<string, IdentityKey>();
  readonly #gone = new Tombstones();
  readonly #onChanged: (key: IdentityKey) => void;

  constructor(onChanged: (key: IdentityKey) => void) {
    this.#onChanged = onChanged;
  }

  get(key: IdentityKey): Accepted<ServiceIdentity> | undefined {
    return this.#identities.get(key);
  }

  keys(): Iterable<IdentityKey> {
    return this.#identities.keys();
  }

  keyOfUid(uid: string): IdentityKey | undefined {
    return this.#byUid.get(uid);
  }

  /** Keys of a namespace, or all. */
  *keysIn(namespace: string | undefined): Iterable<IdentityKey> {
    yield* namespace === undefined ? this.#identities.keys() : (this.#byNamespace.get(namespace) ?? []);
  }

  /** Takes an object up, unless a newer state of it is known. Whether it was news. */
  set(object: KubeObject): boolean {
    const key = keyOf(object);
    const version = versionOf(object);
    const known = this.#identities.get(key);
    if (known === undefined ? this.#gone.covers(key, version) : version <= known.version) return false;
    const identity = identityOf(object);
    const { uid, namespace } = identity.metadata;
    if (known !== undefined) this.#byUid.delete(known.object.metadata.uid);
    this.#byUid.set(uid, key);
    const isDeleted = object.metadata.deletionTimestamp !== undefined;
    this.#identities.set(key, { object: identity, version, isDeleted });
    const keys = this.#byNamespace.get(namespace);
    if (keys === undefined) this.#byNamespace.set(namespace, new Set([key]));
    else keys.add(key);
    return true;
  }

  /**
   * Takes up the answer to a write of ours. It is no news, unless it shows a wish that the watch has not told of: the watch
   * will not tell it any more.
   */
  wrote(object: KubeObject): void {
    const key = keyOf(object);
    const before = this.#identities.get(key);
    if (!this.set(object)) return;
    const after = this.#identities.get(key);
    if (before === undefined || after === undefined || isOtherWish(before, after)) this.#onChanged(key);
  }

  sink(namespace: string | undefined): Sink {
    return {
      set: (object) => {
        if (this.set(object)) this.#onChanged(keyOf(object));
      },
      remove: (object) => {
        const known = this.#identities.get(keyOf(object));
        if (known === undefined || known.version <= versionOf(object))
          this.#drop(keyOf(object), versionOf(object));
      },
      retain: (keys, version) => {
        for (const key of this.keysIn(namespace)) {
          const known = this.#identities.get(key);
          if (known !== undefined && known.version <= version && !keys.has(key)) this.#drop(key, version);
        }
      },
    };
  }

  #drop(key: IdentityKey, version: bigint): void {
    this.#gone.add(key, version);
    const known = this.#identities.get(key);
    if (known === undefined) return;
    const { uid, namespace } = known.object.metadata;
    this.#identities.delete(key);
    this.#byUid.delete(uid);
    const keys = this.#byNamespace.get(namespace);
    keys?.delete(key);
    if (keys?.size === 0) this.#byNamespace.delete(namespace);
    this.#onChanged(key);
  }
}
