/**
 * Reading objects of a cluster, bounded, with words for a person where there are none.
 */

import { OperatorError } from "../../core/errors.ts";
import { isTooLarge, type KubeRequest } from "../../kubernetes/client.ts";
import type { KubeList, KubeObject } from "../../kubernetes/objects.ts";
import { collectionPath, objectPath, type Resource } from "../../kubernetes/resources.ts";
import { type ClusterSession, isNotFound } from "./session.ts";

export interface ListOptions {
  /** Absent: of the whole cluster. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string;
  /** Names, labels, annotations and owners only: never the content. */
  readonly metadataOnly?: boolean;
}

const PAGE = 500;
/** So many objects no cluster has; whoever lists for ever is stopped. */
const MAX_PAGES = 400;
const METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/** All of a collection, page by page. @throws KubeApiError, CLUSTER_UNREACHABLE. */
export async function listObjects(
  session: ClusterSession,
  resource: Resource,
  { namespace, labelSelector, metadataOnly = false }: ListOptions = {},
): Promise<readonly KubeObject[]> {
  const objects: KubeObject[] = [];
  let next: string | undefined;
  let size = PAGE;
  for (let page = 0; page < MAX_PAGES; page++) {
    const request: KubeRequest = {
      method: "GET",
      path: collectionPath(resource, namespace),
      query: {
        limit: String(size),
        ...(labelSelector === undefined ? {} : { labelSelector }),
        ...(next === undefined ? {} : { continue: next }),
      },
      ...(metadataOnly ? { accept: METADATA_LIST } : {}),
    };
    const body = await pageOf(session, request, size);
    if (body === undefined) {
      size = Math.ceil(size / 8);
      continue;
    }
    objects.push(...(body.items ?? []));
    next = body.metadata.continue;
    if (next === undefined || next === "") return objects;
  }
  throw new OperatorError(
    "STORAGE_FAILED",
    `listing ${resource.plural}: more than ${PAGE * MAX_PAGES} objects`,
  );
}

/** Undefined: so many objects are too large together. */
async function pageOf(
  session: ClusterSession,
  request: KubeRequest,
  size: number,
): Promise<KubeList | undefined> {
  try {
    return (await session.request<KubeList>(request)).body;
  } catch (error) {
    if (isTooLarge(error) && size > 1) return undefined;
    throw error;
  }
}

/** Undefined where there is none. @throws KubeApiError, also for an unknown kind; CLUSTER_UNREACHABLE. */
export async function getObject(
  session: ClusterSession,
  resource: Resource,
  at: { readonly namespace?: string; readonly name: string; readonly metadataOnly?: boolean },
): Promise<KubeObject | undefined> {
  try {
    const accept = at.metadataOnly === true ? { accept: METADATA } : {};
    return (await session.request<KubeObject>({ method: "GET", path: objectPath(resource, at), ...accept }))
      .body;
  } catch (error) {
    if (isNotFound(error) && !isUnknownKind(error)) return undefined;
    throw error;
  }
}

/** Whether the API server knows no such kind: then its 404 comes without a word. */
export function isUnknownKind(error: unknown): boolean {
  return isNotFound(error) && error.reason === "";
}

/** For a cluster without meshid's kinds. */
export function notInstalled(server: string, cause: unknown): OperatorError {
  return new OperatorError(
    "INVALID_CONFIGURATION",
    `the cluster at ${server} knows no ServiceIdentities; expected meshid to be installed there (helm install meshid), or --out DIR for a meshid local`,
    { cause },
  );
}
