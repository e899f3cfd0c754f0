/**
 * The objects under OUT: Secrets and ConfigMaps as volumes, PeerAuthentications as files. What was last seen of each is
 * kept in memory as facts, and held against the disk again and again.
 */

import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import type { Applier, Changes, ObservedState, SecretChange } from "../controller/ports.ts";
import type { Clock } from "../core/clock.ts";
import { throwIfAborted, toRfc3339 } from "../core/clock.ts";
import { isOperatorError, OperatorError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import { observeConfigMap, observeSecret } from "../reconcile/facts.ts";
import type { Manifest, PeerAuthenticationManifest } from "../reconcile/manifests/manifest.ts";
import { MANAGED_BY_LABELS } from "../reconcile/manifests/manifest.ts";
import type {
  ObjectRef,
  ObservedConfigMap,
  ObservedPeerAuthentication,
  ObservedSecret,
} from "../reconcile/state.ts";
import { tryEach } from "./faults.ts";
import { errnoOf, ifPresent, replaceFile, storing } from "./files.ts";
import {
  fingerprintOf,
  isIncomplete,
  mendVolume,
  needsMending,
  own,
  readVolume,
  refuseForeign,
  removeVolume,
  type Volume,
  type VolumeModes,
  writeVolume,
} from "./volume.ts";

type Known =
  | { readonly kind: "Secret"; readonly object: ObservedSecret; readonly fingerprint: string | undefined }
  | {
      readonly kind: "ConfigMap";
      readonly object: ObservedConfigMap;
      readonly fingerprint: string | undefined;
    }
  | {
      readonly kind: "PeerAuthentication";
      readonly object: ObservedPeerAuthentication;
      readonly fingerprint: string | undefined;
    };

const OWNER_ANNOTATION = "meshid.dev/owner-uid";
const PEER_AUTHENTICATION = ".peerauthentication.yaml";
/** Objects read, and objects merely looked at, without letting others run: a few milliseconds each. */
const CHUNK = { read: 10, look: 100 } as const;

export interface ObjectStoreOptions {
  readonly out: string;
  readonly gid: number | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

export class ObjectStore implements ObservedState, Applier {
  readonly #options: ObjectStoreOptions;
  readonly #objects = new Map<string, Known>();
  readonly #byOwner = new Map<string, Map<string, ObjectRef>>();
  readonly #damaged: ObjectRef[] = [];

  constructor(options: ObjectStoreOptions) {
    this.#options = options;
  }

  /** Reads everything of ours that is under OUT; writes nothing. */
  async load(): Promise<void> {
    let count = 0;
    for (const ref of this.#find()) {
      this.#refresh(ref);
      if (++count % CHUNK.read === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Repairs what `load` has found damaged. What shows nothing is removed: it is written anew where it is wanted. */
  mend(): void {
    for (const ref of this.#damaged.splice(0)) {
      const path = this.pathOf(ref);
      if (isIncomplete(path)) removeVolume(path);
      else mendVolume(path);
      this.#refresh(ref);
    }
  }

  secret(namespace: string, name: string): ObservedSecret | undefined {
    const known = this.#objects.get(idOf({ kind: "Secret", namespace, name }));
    return known?.kind === "Secret" ? known.object : undefined;
  }

  configMap(namespace: string, name: string): ObservedConfigMap | undefined {
    const known = this.#objects.get(idOf({ kind: "ConfigMap", namespace, name }));
    return known?.kind === "ConfigMap" ? known.object : undefined;
  }

  peerAuthentication(namespace: string, name: string): ObservedPeerAuthentication | undefined {
    const known = this.#objects.get(idOf({ kind: "PeerAuthentication", namespace, name }));
    return known?.kind === "PeerAuthentication" ? known.object : undefined;
  }

  ownedBy(ownerUid: string): readonly ObjectRef[] {
    return [...(this.#byOwner.get(ownerUid)?.values() ?? [])];
  }

  peerAuthentications(namespace: string): readonly ObservedPeerAuthentication[] {
    const all = [...this.#objects.values()].filter((known) => known.kind === "PeerAuthentication");
    return all.map(({ object }) => object).filter(({ ref }) => ref.namespace === namespace);
  }

  servesPeerAuthentication(): boolean {
    return true;
  }

  /** Every object of ours, for those who read them from the disk. */
  refs(): readonly ObjectRef[] {
    return [...this.#objects.values()].map(({ object }) => object.ref);
  }

  /** What is on the disk now, past what is kept in memory. */
  read(ref: ObjectRef): Volume | undefined {
    return readVolume(this.pathOf(ref));
  }

  pathOf({ kind, namespace, name }: ObjectRef): string {
    return join(
      this.#options.out,
      namespace,
      kind === "PeerAuthentication" ? name + PEER_AUTHENTICATION : name,
    );
  }

  async apply(manifest: Manifest, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    const { ref } = manifest;
    prepareNamespace(this.#options.out, ref.namespace, this.#modes());
    if (manifest.kind === "PeerAuthentication") this.#applyPeerAuthentication(manifest);
    else {
      const owner = readVolume(this.pathOf(ref))?.marker.ownerUid;
      if (owner !== undefined && owner !== manifest.owner?.uid) throw notOwned(this.pathOf(ref));
      const marker = {
        kind: manifest.kind,
        ownerUid: manifest.owner?.uid,
        annotations: manifest.annotations,
        ...(manifest.kind === "Secret" ? { type: manifest.type } : {}),
      };
      const content = manifest.kind === "Secret" ? manifest.data.reveal() : asBytes(manifest.data);
      return this.#write(ref, { marker, content });
    }
    this.#refresh(ref);
  }

  async amend(change: SecretChange, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    const { ref, ownerUid, annotations } = change;
    const path = this.pathOf(ref);
    const found = readVolume(path);
    if (found === undefined) refuseForeign(path);
    if (found === undefined)
      throw new OperatorError("NOT_FOUND", `${path} does not exist`, { retryable: true, details: { path } });
    if (found.marker.ownerUid !== ownerUid) throw notOwned(path);
    const content = { ...found.content, ...change.set.reveal() };
    for (const key of change.remove) delete content[key];
    this.#write(ref, { marker: { ...found.marker, annotations }, content });
  }

  async prune(ref: ObjectRef, ownerUid: string): Promise<void> {
    const path = this.pathOf(ref);
    if (ref.kind === "PeerAuthentication") {
      if (this.#readPeerAuthentication(ref)?.ownerUid === ownerUid)
        storing("removing", path, () => rmSync(path));
      // One that shows nothing is what an earlier attempt has left.
    } else if (readVolume(path)?.marker.ownerUid === ownerUid || isIncomplete(path)) removeVolume(path);
    this.#refresh(ref);
  }

  /**
   * Looks at every object once, with pauses, and tells of those that someone else has touched.
   * @throws STORAGE_FAILED for the first that cannot be mended, once all the others were looked at.
   */
  async sweep(changes: Changes, pause: () => Promise<void>, signal: AbortSignal): Promise<void> {
    let count = 0;
    await tryEach(this.#objects, async ([id, known]) => {
      if (++count % CHUNK.look === 0) await pause();
      if (signal.aborted) return;
      const { ref, ownerUid } = known.object;
      if (this.#fingerprint(ref) !== known.fingerprint && this.#objects.get(id) === known) {
        this.#restore(ref);
        changes.outputChanged(ref, ownerUid);
      }
    });
  }

  /** Takes up what someone has changed; what they put in the place of our files goes. */
  #restore(ref: ObjectRef): void {
    const path = this.pathOf(ref);
    if (ref.kind !== "PeerAuthentication" && readable(() => needsMending(path)) === true) mendVolume(path);
    this.#refresh(ref);
  }

  #write(ref: ObjectRef, volume: Volume): void {
    writeVolume(this.pathOf(ref), volume, this.#modes(), this.#revision());
    // What was just written need not be read again: the fingerprint tells when that is no longer so.
    this.#refresh(ref, volume);
  }

  #modes(): VolumeModes {
    return modesFor(this.#options.gid);
  }

  /** As kubelet names them: `2026_11_24_10_00_00.1234567890`. */
  #revision(): string {
    const { clock, random } = this.#options;
    const stamp = toRfc3339(clock.now()).replace("Z", "").replaceAll(/[-:T]/g, "_");
    return `${stamp}.${Buffer.from(random.bytes(5)).readUIntBE(0, 5)}`;
  }

  #applyPeerAuthentication(manifest: PeerAuthenticationManifest): void {
    const path = this.pathOf(manifest.ref);
    const known = this.#readPeerAuthentication(manifest.ref);
    const isFree = known === undefined && ifPresent(path, () => lstatSync(path)) === undefined;
    if (!isFree && known?.ownerUid !== manifest.owner?.uid) throw notOwned(path);
    const object = {
      apiVersion: "security.istio.io/v1",
      kind: "PeerAuthentication",
      metadata: {
        name: manifest.ref.name,
        namespace: manifest.ref.namespace,
        labels: MANAGED_BY_LABELS,
        annotations: { ...manifest.annotations, [OWNER_ANNOTATION]: manifest.owner?.uid ?? "" },
      },
      spec: manifest.spec,
    };
    const { file, gid } = this.#modes();
    replaceFile(path, stringify(object), { mode: file, durable: false });
    own(path, file, gid);
  }

  #readPeerAuthentication(ref: ObjectRef): ObservedPeerAuthentication | undefined {
    const path = this.pathOf(ref);
    const text = ifPresent(path, () => (lstatSync(path).isFile() ? readFileSync(path, "utf8") : undefined));
    try {
      const { metadata, spec } = parse(text ?? "") as {
        metadata: { annotations: Record<string, string> };
        spec: Record<string, unknown>;
      };
      const { [OWNER_ANNOTATION]: ownerUid, ...annotations } = metadata.annotations;
      return { ref, ownerUid, annotations, creationTimestamp: "", spec };
    } catch {
      return undefined; // not written by us
    }
  }

  /** Makes what is in memory what is on the disk; `volume`: what is known to be there. */
  #refresh(ref: ObjectRef, volume?: Volume): void {
    const id = idOf(ref);
    const before = this.#objects.get(id);
    if (before !== undefined) this.#byOwner.get(before.object.ownerUid ?? "")?.delete(id);
    const fingerprint = this.#fingerprint(ref);
    const known = readable(() => this.#observe(ref, fingerprint, volume));
    if (known === undefined) {
      this.#objects.delete(id);
      return;
    }
    this.#objects.set(id, known);
    const owner = known.object.ownerUid ?? "";
    const owned = this.#byOwner.get(owner);
    if (owned === undefined) this.#byOwner.set(owner, new Map([[id, ref]]));
    else owned.set(id, ref);
  }

  #observe(ref: ObjectRef, fingerprint: string | undefined, written?: Volume): Known | undefined {
    if (ref.kind === "PeerAuthentication") {
      const object = this.#readPeerAuthentication(ref);
      return object && { kind: ref.kind, object, fingerprint };
    }
    const volume = written ?? readVolume(this.pathOf(ref));
    if (volume === undefined || volume.marker.kind !== ref.kind) return undefined;
    const { ownerUid, annotations } = volume.marker;
    if (ref.kind === "ConfigMap") {
      return {
        kind: ref.kind,
        object: observeConfigMap(ref, { ownerUid, annotations }, volume.content),
        fingerprint,
      };
    }
    return {
      kind: ref.kind,
      object: observeSecret(ref, { ownerUid, annotations }, volume.content),
      fingerprint,
    };
  }

  #fingerprint(ref: ObjectRef): string | undefined {
    const path = this.pathOf(ref);
    if (ref.kind !== "PeerAuthentication") return readable(() => fingerprintOf(path));
    return readable(() => {
      const { ino, mtimeMs, size } = lstatSync(path);
      return `${ino}:${mtimeMs}:${size}`;
    });
  }

  *#find(): Generator<ObjectRef> {
    const { out } = this.#options;
    const entries = directoriesIn(out).flatMap((namespace) =>
      readdirSync(join(out, namespace), { withFileTypes: true }).map((entry) => ({ namespace, entry })),
    );
    for (const { namespace, entry } of entries) {
      if (entry.isDirectory()) {
        const kind = this.#kindOf(namespace, entry.name);
        if (kind !== undefined) yield { kind, namespace, name: entry.name };
      } else if (entry.isFile() && entry.name.endsWith(PEER_AUTHENTICATION)) {
        const name = entry.name.slice(0, -PEER_AUTHENTICATION.length);
        yield { kind: "PeerAuthentication", namespace, name };
      }
    }
  }

  #kindOf(namespace: string, name: string): "Secret" | "ConfigMap" | undefined {
    const path = join(this.#options.out, namespace, name);
    const kind = readable(() => readVolume(path))?.marker.kind;
    if (readable(() => (kind === undefined ? isIncomplete(path) : needsMending(path))) === true)
      this.#damaged.push({ kind: kind ?? "Secret", namespace, name });
    return kind;
  }
}

/** A directory of ours or a free place for one. @throws NOT_OWNED for a link or a file in its place. */
export function prepareNamespace(out: string, namespace: string, modes: VolumeModes): void {
  const path = join(out, namespace);
  const isDirectory = ifPresent(path, () => lstatSync(path).isDirectory());
  if (isDirectory === false) throw notOwned(path);
  if (isDirectory === true) return;
  storing("creating", path, () => mkdirSync(path, { mode: modes.directory }));
  storing("creating", path, () => own(path, modes.directory, modes.gid));
}

/** With a group everything under OUT is for it to read, STATE excepted. */
export function modesFor(gid: number | undefined): VolumeModes {
  return gid === undefined ? { directory: 0o700, file: 0o600, gid } : { directory: 0o750, file: 0o640, gid };
}

/** Names of the real directories in `path` that are not hidden. */
function directoriesIn(path: string): readonly string[] {
  const entries = ifPresent(path, () => readdirSync(path, { withFileTypes: true })) ?? [];
  return entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
    .map((entry) => entry.name);
}

/** What cannot be read counts as not there: who wants it writes it, and is told what is in the way. */
function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (errnoOf(error) !== undefined || isOperatorError(error, "STORAGE_FAILED")) return undefined;
    throw error;
  }
}

function idOf({ kind, namespace, name }: ObjectRef): string {
  return `${kind}/${namespace}/${name}`;
}

function asBytes(data: Readonly<Record<string, string>>): Readonly<Record<string, Uint8Array>> {
  return Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text)]));
}

function notOwned(path: string): OperatorError {
  return new OperatorError("NOT_OWNED", `${path} exists and is not meshid's`, { details: { path } });
}
