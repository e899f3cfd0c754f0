/**
 * ServiceIdentities and TrustDomains as they are kept in memory: what others wrote beside our own fields is left out.
 */

import type { ServiceIdentity, TrustDomainObject } from "../registration/service-identity.ts";
import type { KubeObject } from "./objects.ts";

export interface Accepted<T> {
  readonly object: T;
  readonly version: bigint;
  /** It has a deletion timestamp: someone's finalizer holds it. */
  readonly isDeleted: boolean;
}

export interface AcceptedTrustDomain extends Accepted<TrustDomainObject> {
  readonly finalizers: readonly string[];
}

/** Whether more than the status differs. */
export function isOtherWish<T extends ServiceIdentity | TrustDomainObject>(
  a: Accepted<T>,
  b: Accepted<T>,
): boolean {
  const [before, after] = [a.object.metadata, b.object.metadata];
  return (
    before.uid !== after.uid ||
    before.generation !== after.generation ||
    a.isDeleted !== b.isDeleted ||
    JSON.stringify(before.annotations) !== JSON.stringify(after.annotations)
  );
}

const OWN_ANNOTATION = "meshid.dev/";

/** The API server has checked the object against the schema of `crds/`: these are the shapes that it promises. */
export function identityOf(object: KubeObject): ServiceIdentity {
  const { metadata } = object;
  return {
    apiVersion: "meshid.dev/v1alpha1",
    kind: "ServiceIdentity",
    metadata: { ...metaOf(object), namespace: metadata.namespace ?? "" },
    spec: object["spec"] ?? {},
    ...statusOf(object),
  };
}

export function trustDomainOf(object: KubeObject): TrustDomainObject {
  return {
    apiVersion: "meshid.dev/v1alpha1",
    kind: "TrustDomain",
    metadata: metaOf(object),
    spec: object["spec"] ?? {},
    ...statusOf(object),
  };
}

/** Written by meshid alone. */
function statusOf(object: KubeObject): { readonly status?: object } {
  const { status } = object;
  return typeof status === "object" && status !== null ? { status } : {};
}

function metaOf({ metadata }: KubeObject): TrustDomainObject["metadata"] {
  const { name, uid, creationTimestamp, generation = 1, annotations = {} } = metadata;
  const own = Object.entries(annotations).filter(([key]) => key.startsWith(OWN_ANNOTATION));
  return {
    name,
    uid,
    creationTimestamp,
    generation,
    ...(own.length === 0 ? {} : { annotations: Object.fromEntries(own) }),
  };
}
