/**
 * The objects that meshid writes, and all PeerAuthentications, as facts in memory: fed by reflectors and by the answers to
 * our own writes, so that a decision right after a write sees it.
 */

import type { ObservedState } from "../controller/ports.ts";
import { unreachable } from "../core/errors.ts";
import { authoritiesIn, type Content, observeConfigMap, observeSecret } from "../reconcile/facts.ts";
import type {
  KnownX509,
  ObjectRef,
  ObservedConfigMap,
  ObservedPeerAuthentication,
  ObservedSecret,
} from "../reconcile/state.ts";
import {
  configMapContent,
  isOwnedByMeshid,
  type KubeObject,
  ownerUidOf,
  refOf,
  secretContent,
  versionOf,
} from "./objects.ts";
import { Tombstones } from "./tombstones.ts";

type AnyObserved = ObservedSecret | ObservedConfigMap | ObservedPeerAuthentication;

interface Known {
  readonly uid: string;
  readonly version: bigint;
  readonly object: AnyObserved;
}

/** The authorities that a set of public documents carries. */
export type CarriedAuthorities = ReturnType<typeof authoritiesIn>;

type Kind = ObjectRef["kind"];

const MIN_AUTHORITIES = 100;

/** What meshid itself writes stays well below each of these. Bytes for content, characters for the others. */
const MAX_CONTENT = 524_288;
const MAX_KEYS = 64;
const MAX_ANNOTATION = 8192;
const MAX_SPEC = 16_384;
const OWN_ANNOTATION = "meshid.dev/";

export class ObservedObjects implements ObservedState {
  readonly #objects: Readonly<Record<Kind, Map<string, Known>>> = {
    Secret: new Map(),
    ConfigMap: new Map(),
    PeerAuthentication: new Map(),
  };
  readonly #byOwner = new Map<string, Map<string, ObjectRef>>();
  /** PeerAuthentications by namespace. */
  readonly #policies = new Map<string, Map<string, ObservedPeerAuthentication>>();
  /** By digest of the documents: they are the same almost everywhere. */
  readonly #authorities = new Map<string, CarriedAuthorities>();
  readonly #gone = new Tombstones();
  #authoritiesLimit = MIN_AUTHORITIES;
  #servesPeerAuthentication = false;

  secret(namespace: string, name: string): ObservedSecret | undefined {
    return this.#find("Secret", namespace, name) as ObservedSecret | undefined;
  }

  configMap(namespace: string, name: string): ObservedConfigMap | undefined {
    return this.#find("ConfigMap", namespace, name) as ObservedConfigMap | undefined;
  }

  peerAuthentication(namespace: string, name: string): ObservedPeerAuthentication | undefined {
    return this.#policies.get(namespace)?.get(name);
  }

  peerAuthentications(namespace: string): readonly ObservedPeerAuthentication[] {
    return [...(this.#policies.get(namespace)?.values() ?? [])];
  }

  ownedBy(ownerUid: string): readonly ObjectRef[] {
    return [...(this.#byOwner.get(ownerUid)?.values() ?? [])];
  }

  servesPeerAuthentication(): boolean {
    return this.#servesPeerAuthentication;
  }

  /** Whether that is news. */
  setServesPeerAuthentication(serves: boolean): boolean {
    const isNews = serves !== this.#servesPeerAuthentication;
    this.#servesPeerAuthentication = serves;
    return isNews;
  }

  /** All Secrets that are known. */
  *secrets(): Iterable<ObservedSecret> {
    for (const { object } of this.#objects.Secret.values()) yield object as ObservedSecret;
  }

  /** What the public documents of an object with this digest carry. */
  authorities(bundleHash: string): CarriedAuthorities | undefined {
    return this.#authorities.get(bundleHash);
  }

  /** The uid of an object that is there. */
  uidOf(ref: ObjectRef): string | undefined {
    return this.#objects[ref.kind].get(keyOfRef(ref))?.uid;
  }

  /** The version of an object that is there. */
  versionOf(ref: ObjectRef): bigint | undefined {
    return this.#objects[ref.kind].get(keyOfRef(ref))?.version;
  }

  /** The uid of the controller owner of an object that is there. */
  ownerUidOf(ref: ObjectRef): string | undefined {
    return this.#objects[ref.kind].get(keyOfRef(ref))?.object.ownerUid;
  }

  /** Takes an object up, unless a newer state of it is known. Whether it was news. `known`: as for `observeSecret`. */
  set(kind: Kind, object: KubeObject, known?: KnownX509): boolean {
    const ref = refOf(kind, object);
    const before = this.#objects[kind].get(keyOfRef(ref));
    const version = versionOf(object);
    if (before === undefined ? this.#gone.covers(idOf(ref), version) : version <= before.version)
      return false;
    this.#forget(ref, before);
    const observed = this.#observe(ref, object, known);
    this.#remember(ref, { uid: object.metadata.uid, version, object: observed });
    return true;
  }

  /** Forgets an object, unless a newer one has its name. Its owner, where it was known. */
  remove(kind: Kind, object: KubeObject): { readonly ownerUid: string | undefined } | undefined {
    const ref = refOf(kind, object);
    const known = this.#objects[kind].get(keyOfRef(ref));
    if (known !== undefined && known.version > versionOf(object)) return undefined;
    this.#gone.add(idOf(ref), versionOf(object));
    this.#forget(ref, known);
    return known === undefined ? undefined : { ownerUid: known.object.ownerUid };
  }

  /** Forgets an object that a write has found to be gone, or a list of this version. */
  drop(ref: ObjectRef, version?: bigint): void {
    if (version !== undefined) this.#gone.add(idOf(ref), version);
    this.#forget(ref, this.#objects[ref.kind].get(keyOfRef(ref)));
  }

  /** The objects of a kind that a list of a collection has not shown, although they are no newer than it. */
  missing(
    kind: Kind,
    list: { readonly keys: ReadonlySet<string>; readonly version: bigint },
    isWithin: (namespace: string) => boolean,
  ): readonly (ObjectRef & { readonly ownerUid: string | undefined })[] {
    return [...this.#objects[kind]].flatMap(([key, { object, version }]) =>
      list.keys.has(key) || version > list.version || !isWithin(object.ref.namespace)
        ? []
        : [{ ...object.ref, ownerUid: object.ownerUid }],
    );
  }

  #find(kind: Kind, namespace: string, name: string): AnyObserved | undefined {
    return this.#objects[kind].get(`${namespace}/${name}`)?.object;
  }

  #observe(ref: ObjectRef, object: KubeObject, known: KnownX509 | undefined): AnyObserved {
    const meta = { ownerUid: ownerUidOf(object), annotations: ownAnnotations(object) };
    switch (ref.kind) {
      case "Secret":
        return this.#ofContent(object, secretContent, (content, annotations) =>
          observeSecret(ref, { ...meta, annotations }, content, known),
        );
      case "ConfigMap":
        return this.#ofContent(object, configMapContent, (content, annotations) =>
          observeConfigMap(ref, { ...meta, annotations }, content),
        );
      case "PeerAuthentication":
        return {
          ref,
          ...meta,
          creationTimestamp: object.metadata.creationTimestamp,
          spec: boundedSpec((object["spec"] ?? {}) as Readonly<Record<string, unknown>>),
        };
      default:
        return unreachable(ref.kind);
    }
  }

  /**
   * Anyone can give an object our label. Of one that no object of meshid owns nothing is kept but that it is there; one whose
   * content defeats its readers, or is far more than meshid writes, is taken for one without content, which its owner replaces.
   */
  #ofContent<T extends ObservedSecret | ObservedConfigMap>(
    object: KubeObject,
    contentOf: (object: KubeObject) => Content,
    observe: (content: Content, annotations: Readonly<Record<string, string>>) => T,
  ): T {
    if (!isOwnedByMeshid(object)) return observe({}, {});
    const annotations = ownAnnotations(object);
    try {
      const content = contentOf(object);
      if (isOversized(content)) return observe({}, annotations);
      return this.#withAuthorities(observe(content, annotations), content);
    } catch {
      return observe({}, annotations);
    }
  }

  #withAuthorities<T extends ObservedSecret | ObservedConfigMap>(observed: T, content: Content): T {
    const { bundleHash } = observed;
    if (bundleHash !== undefined && !this.#authorities.has(bundleHash)) {
      this.#pruneAuthorities();
      this.#authorities.set(bundleHash, authoritiesIn(content));
    }
    return observed;
  }

  /** Only what some object carries is kept. */
  #pruneAuthorities(): void {
    if (this.#authorities.size < this.#authoritiesLimit) return;
    const used = new Set<string | undefined>();
    for (const kind of ["Secret", "ConfigMap"] as const) {
      for (const { object } of this.#objects[kind].values())
        used.add((object as ObservedSecret | ObservedConfigMap).bundleHash);
    }
    for (const hash of this.#authorities.keys()) if (!used.has(hash)) this.#authorities.delete(hash);
    this.#authoritiesLimit = Math.max(MIN_AUTHORITIES, 2 * this.#authorities.size);
  }

  #remember(ref: ObjectRef, known: Known): void {
    this.#objects[ref.kind].set(keyOfRef(ref), known);
    const { ownerUid } = known.object;
    if (ownerUid !== undefined) addTo(this.#byOwner, ownerUid, idOf(ref), ref);
    if (ref.kind === "PeerAuthentication")
      addTo(this.#policies, ref.namespace, ref.name, known.object as ObservedPeerAuthentication);
  }

  #forget(ref: ObjectRef, known: Known | undefined): void {
    if (known === undefined) return;
    this.#objects[ref.kind].delete(keyOfRef(ref));
    const { ownerUid } = known.object;
    if (ownerUid !== undefined) removeFrom(this.#byOwner, ownerUid, idOf(ref));
    if (ref.kind === "PeerAuthentication") removeFrom(this.#policies, ref.namespace, ref.name);
  }
}

/** The others are nothing to us, and may be long. */
function ownAnnotations({ metadata }: KubeObject): Readonly<Record<string, string>> {
  const own = Object.entries(metadata.annotations ?? {}).filter(
    ([key, value]) => key.startsWith(OWN_ANNOTATION) && value.length <= MAX_ANNOTATION,
  );
  return Object.fromEntries(own);
}

function isOversized(content: Content): boolean {
  const values = Object.values(content);
  return (
    values.length > MAX_KEYS || values.reduce((sum, { byteLength }) => sum + byteLength, 0) > MAX_CONTENT
  );
}

/** Of a policy that nobody would write by hand only what it does to workloads: so it is never taken for one of ours. */
function boundedSpec(spec: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  if (JSON.stringify(spec).length <= MAX_SPEC) return spec;
  const { selector, mtls } = spec;
  const decisive = {
    ...(selector === undefined ? {} : { selector }),
    ...(mtls === undefined ? {} : { mtls }),
  };
  return JSON.stringify(decisive).length <= MAX_SPEC ? decisive : { oversized: true };
}

function addTo<T>(index: Map<string, Map<string, T>>, at: string, key: string, value: T): void {
  const inner = index.get(at);
  if (inner === undefined) index.set(at, new Map([[key, value]]));
  else inner.set(key, value);
}

function removeFrom<T>(index: Map<string, Map<string, T>>, at: string, key: string): void {
  const inner = index.get(at);
  inner?.delete(key);
  if (inner?.size === 0) index.delete(at);
}

function keyOfRef({ namespace, name }: ObjectRef): string {
  return `${namespace}/${name}`;
}

function idOf({ kind, namespace, name }: ObjectRef): string {
  return `${kind}/${namespace}/${name}`;
}
