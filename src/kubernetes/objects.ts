/**
 * Objects as the API server sends them, as far as meshid looks at them.
 */

import type { ObjectRef } from "../reconcile/state.ts";
import { API_GROUP } from "../registration/service-identity.ts";

export interface KubeMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid: string;
  /** Rises with each change (compared as an integer). */
  readonly resourceVersion: string;
  readonly creationTimestamp: string;
  readonly deletionTimestamp?: string;
  readonly generation?: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly {
    readonly apiVersion?: string;
    readonly uid: string;
    readonly kind: string;
    readonly name: string;
    readonly controller?: boolean;
  }[];
}

export interface KubeObject {
  readonly metadata: KubeMeta;
  readonly [member: string]: unknown;
}

export interface KubeList {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items?: readonly KubeObject[];
}

/** Field managers (server-side apply): of objects, and of status. */
export const FIELD_MANAGER = "meshid";
export const STATUS_FIELD_MANAGER = "meshid-status";

/** Every write of objects and status is a server-side apply. */
export const APPLY = "application/apply-patch+yaml";

/**
 * As `metadata.resourceVersion` of an apply it lets the object be created and never be changed: no object of Kubernetes'
 * own kinds still has it, and the API server does not look at it where there is no object.
 */
export const CREATE_ONLY = "1";

/** No object is newer. */
export const LAST_VERSION: bigint = 2n ** 64n;

export function versionOf({ metadata }: KubeObject): bigint {
  return BigInt(metadata.resourceVersion);
}

/** The uid of the controller owner. */
export function ownerUidOf({ metadata }: KubeObject): string | undefined {
  return metadata.ownerReferences?.find((owner) => owner.controller === true)?.uid;
}

/** Whether its controller owner is a ServiceIdentity or a TrustDomain, of whatever version and living or not. */
export function isOwnedByMeshid({ metadata }: KubeObject): boolean {
  const owner = metadata.ownerReferences?.find((one) => one.controller === true);
  return owner?.apiVersion?.startsWith(`${API_GROUP}/`) === true;
}

/** `<namespace>/<name>`, or the name alone of what belongs to the cluster. */
export function keyOf({ metadata }: KubeObject): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}

export function refOf(kind: ObjectRef["kind"], { metadata }: KubeObject): ObjectRef {
  return { kind, namespace: metadata.namespace ?? "", name: metadata.name };
}

/** The content of a Secret. What is no base64 is read as far as it is. */
export function secretContent(object: KubeObject): Readonly<Record<string, Uint8Array>> {
  return Object.fromEntries(textsOf(object["data"]).map(([key, text]) => [key, Buffer.from(text, "base64")]));
}

/** The content of a ConfigMap, `binaryData` left out: meshid writes none. */
export function configMapContent(object: KubeObject): Readonly<Record<string, Uint8Array>> {
  return Object.fromEntries(textsOf(object["data"]).map(([key, text]) => [key, Buffer.from(text)]));
}

function textsOf(data: unknown): readonly (readonly [string, string])[] {
  if (typeof data !== "object" || data === null) return [];
  return Object.entries(data).filter((entry): entry is [string, string] => typeof entry[1] === "string");
}
