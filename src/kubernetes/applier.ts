/**
 * Writes objects by server-side apply. A new object is created and nothing else, so that what another has put there is never
 * touched; one of ours is replaced with its uid in hand, so that a namesake never is.
 */

import type { Applier, SecretChange } from "../controller/ports.ts";
import { OperatorError } from "../core/errors.ts";
import type { Content } from "../reconcile/facts.ts";
import { MANAGED_BY_LABELS, type Manifest, type Owner } from "../reconcile/manifests/manifest.ts";
import type { ObjectRef } from "../reconcile/state.ts";
import { API_VERSION } from "../registration/service-identity.ts";
import type { KubeClient, KubeRequest } from "./client.ts";
import { isStatus, KubeApiError } from "./errors.ts";
import { findByList } from "./find.ts";
import { APPLY, CREATE_ONLY, FIELD_MANAGER, type KubeObject, ownerUidOf, secretContent } from "./objects.ts";
import type { ObservedObjects } from "./observed-objects.ts";
import { CONFIG_MAPS, objectPath, PEER_AUTHENTICATIONS, type Resource, SECRETS } from "./resources.ts";

const RESOURCES = {
  Secret: SECRETS,
  ConfigMap: CONFIG_MAPS,
  PeerAuthentication: PEER_AUTHENTICATIONS,
} as const satisfies Record<ObjectRef["kind"], Resource>;

export interface KubeApplierOptions {
  readonly client: KubeClient;
  readonly objects: ObservedObjects;
  /** The write fence: throws once this process may no longer write. */
  readonly fence: () => void;
}

export class KubeApplier implements Applier {
  readonly #options: KubeApplierOptions;

  constructor(options: KubeApplierOptions) {
    this.#options = options;
  }

  async apply(manifest: Manifest, signal: AbortSignal): Promise<void> {
    const { ref, owner } = manifest;
    const { objects } = this.#options;
    const ownerUid = objects.ownerUidOf(ref);
    const knownUid = objects.uidOf(ref);
    if (knownUid !== undefined && ownerUid !== owner?.uid) throw notOwned(ref);
    const body = bodyOf(manifest);
    const x509 = manifest.kind === "Secret" ? manifest.x509 : undefined;
    try {
      const written = await this.#write(
        ref,
        body,
        knownUid === undefined ? undefined : { uid: knownUid },
        signal,
      );
      objects.set(ref.kind, written, x509);
    } catch (error) {
      if (!isLost(error)) throw refusedOr(error);
      // Another object than the one we knew, or one that we did not know: ours without its label, or another's.
      const found = await this.#ownState(ref, owner?.uid, signal);
      const written = await this.#write(ref, body, found, signal).catch((again: unknown) => {
        throw isLost(again) ? conflict(ref, again) : refusedOr(again);
      });
      objects.set(ref.kind, written, x509);
    }
  }

  async amend(change: SecretChange, signal: AbortSignal): Promise<void> {
    const { ref, ownerUid, annotations } = change;
    const found = await this.#get(ref, signal);
    if (found === undefined)
      throw new OperatorError("NOT_FOUND", `Secret ${nameOf(ref)} does not exist`, { retryable: true });
    const owner = found.metadata.ownerReferences?.find((one) => one.controller === true);
    if (owner?.uid !== ownerUid) throw notOwned(ref);
    const content: Record<string, Uint8Array> = { ...secretContent(found), ...change.set.reveal() };
    for (const key of change.remove) delete content[key];
    const body = {
      ...headOf(ref, ownerOf(owner), annotations),
      type: found["type"],
      data: encodeContent(content),
    };
    const { uid, resourceVersion } = found.metadata;
    const written = await this.#write(ref, body, { uid, resourceVersion }, signal).catch((error: unknown) => {
      throw isLost(error) ? conflict(ref, error) : refusedOr(error);
    });
    this.#options.objects.set(ref.kind, written);
  }

  async prune(ref: ObjectRef, ownerUid: string, signal: AbortSignal): Promise<void> {
    const { client, objects, fence } = this.#options;
    const uid = objects.uidOf(ref);
    if (uid === undefined || objects.ownerUidOf(ref) !== ownerUid) return;
    try {
      await client.request(
        { method: "DELETE", path: pathOf(ref), body: { preconditions: { uid } }, fence },
        signal,
      );
    } catch (error) {
      if (!isStatus(error, 404) && !isStatus(error, 409)) throw error;
    }
    objects.drop(ref);
  }

  /** `state`: of the object to replace; undefined: there must be none. */
  async #write(
    ref: ObjectRef,
    { metadata, ...rest }: Body,
    state: State | undefined,
    signal: AbortSignal,
  ): Promise<KubeObject> {
    const { client, fence } = this.#options;
    const request: KubeRequest = {
      method: "PATCH",
      path: pathOf(ref),
      query: { fieldManager: FIELD_MANAGER, ...(state === undefined ? {} : { force: "true" }) },
      contentType: APPLY,
      body: { ...rest, metadata: { ...metadata, ...(state ?? { resourceVersion: CREATE_ONLY }) } },
      fence,
    };
    return (await client.request<KubeObject>(request, signal)).body;
  }

  /** Of the object that has the name, if it is ours. @throws NOT_OWNED. Undefined: there is none any more. */
  async #ownState(
    ref: ObjectRef,
    ownerUid: string | undefined,
    signal: AbortSignal,
  ): Promise<State | undefined> {
    const found = await this.#get(ref, signal);
    this.#options.objects.drop(ref);
    if (found === undefined) return undefined;
    if (ownerUid === undefined || ownerUidOf(found) !== ownerUid) throw notOwned(ref);
    return { uid: found.metadata.uid };
  }

  async #get(ref: ObjectRef, signal: AbortSignal): Promise<KubeObject | undefined> {
    if (ref.kind === "PeerAuthentication")
      return findByList(this.#options.client, PEER_AUTHENTICATIONS, ref, signal);
    try {
      return (await this.#options.client.request<KubeObject>({ method: "GET", path: pathOf(ref) }, signal))
        .body;
    } catch (error) {
      if (isStatus(error, 404)) return undefined;
      throw error;
    }
  }
}

/** What an object must still be when it is replaced. */
interface State {
  readonly uid: string;
  readonly resourceVersion?: string;
}

interface Body {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly [member: string]: unknown;
}

function bodyOf(manifest: Manifest): Body {
  const head = headOf(manifest.ref, manifest.owner, manifest.annotations);
  if (manifest.kind === "Secret")
    return { ...head, type: manifest.type, data: encodeContent(manifest.data.reveal()) };
  if (manifest.kind === "ConfigMap") return { ...head, data: manifest.data };
  return { ...head, spec: manifest.spec };
}

function headOf(
  { kind, namespace, name }: ObjectRef,
  owner: Owner | undefined,
  annotations: Readonly<Record<string, string>>,
): Body {
  const ownerReferences =
    owner === undefined
      ? []
      : [{ apiVersion: API_VERSION, kind: owner.kind, name: owner.name, uid: owner.uid, controller: true }];
  return {
    apiVersion: RESOURCES[kind].apiVersion,
    kind,
    metadata: { name, namespace, labels: MANAGED_BY_LABELS, annotations, ownerReferences },
  };
}

function ownerOf({
  uid,
  kind,
  name,
}: {
  readonly uid: string;
  readonly kind: string;
  readonly name: string;
}): Owner {
  return { kind: kind as Owner["kind"], name, uid };
}

function encodeContent(content: Content): Readonly<Record<string, string>> {
  const encoded = Object.entries(content).map(([key, value]) => [key, Buffer.from(value).toString("base64")]);
  return Object.fromEntries(encoded);
}

function pathOf(ref: ObjectRef): string {
  return objectPath(RESOURCES[ref.kind], ref);
}

/** The object is not the one that was expected: created, deleted or replaced meanwhile. */
function isLost(error: unknown): boolean {
  if (isStatus(error, 409)) return true;
  return isStatus(error, 422) && error.message.includes("metadata.uid");
}

/** What the API server refuses for good reasons of its own (quota, policy, rights) is for a person to read. */
function refusedOr(error: unknown): unknown {
  if (!(error instanceof KubeApiError) || (error.status !== 403 && error.status !== 422)) return error;
  return new OperatorError("WRITE_REFUSED", error.message, { retryable: true, cause: error });
}

function notOwned(ref: ObjectRef): OperatorError {
  return new OperatorError("NOT_OWNED", `${ref.kind} ${nameOf(ref)} exists and is not meshid's`);
}

function conflict(ref: ObjectRef, cause: unknown): OperatorError {
  const message = `${ref.kind} ${nameOf(ref)} keeps changing`;
  return new OperatorError("CONFLICT", message, { retryable: true, cause });
}

function nameOf({ namespace, name }: ObjectRef): string {
  return `${namespace}/${name}`;
}
