/**
 * ServiceIdentities and TrustDomains as they are kept in memory: what others wrote beside our own fields is left out.
 */

import { MAX_MESSAGE, REASONS } from "../registration/conditions.ts";
import { requestedBy } from "../registration/metadata.ts";
import {
  RENEW_ANNOTATION,
  type ServiceIdentity,
  type ServiceIdentityStatus,
  type TrustDomainObject,
} from "../registration/service-identity.ts";
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
  const renew = requestedBy(metadata.annotations, RENEW_ANNOTATION);
  const { status } = statusOf(object);
  return {
    apiVersion: "meshid.dev/v1alpha1",
    kind: "ServiceIdentity",
    metadata: {
      ...metaOf(object, renew === undefined ? {} : { [RENEW_ANNOTATION]: renew }),
      namespace: metadata.namespace ?? "",
    },
    spec: object["spec"] ?? {},
    ...(status === undefined ? {} : { status: withOwnConditions(status) }),
  };
}

/** Whoever may write the status of an identity can put other and longer ones there. */
function withOwnConditions(status: ServiceIdentityStatus): ServiceIdentityStatus {
  const { conditions } = status;
  if (conditions === undefined) return status;
  const own = conditions.filter(
    ({ type, message }) => Object.hasOwn(REASONS, type) && message.length <= MAX_MESSAGE,
  );
  return { ...status, conditions: own };
}

export function trustDomainOf(object: KubeObject): TrustDomainObject {
  return {
    apiVersion: "meshid.dev/v1alpha1",
    kind: "TrustDomain",
    metadata: metaOf(object, ownAnnotations(object)),
    spec: object["spec"] ?? {},
    ...statusOf(object),
  };
}

function statusOf(object: KubeObject): { readonly status?: object } {
  const { status } = object;
  return typeof status === "object" && status !== null ? { status } : {};
}

type Annotations = Readonly<Record<string, string>>;

function ownAnnotations({ metadata }: KubeObject): Annotations {
  const all = Object.entries(metadata.annotations ?? {});
  return Object.fromEntries(all.filter(([key]) => key.startsWith(OWN_ANNOTATION)));
}

function metaOf({ metadata }: KubeObject, annotations: Annotations): TrustDomainObject["metadata"] {
  const { name, uid, creationTimestamp, generation = 1 } = metadata;
  return {
    name,
    uid,
    creationTimestamp,
    generation,
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  };
}
