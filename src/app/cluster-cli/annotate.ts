/**
 * The annotations by which a person asks meshid for something.
 */

import type { KubeObject } from "../../kubernetes/objects.ts";
import { objectPath, type Resource } from "../../kubernetes/resources.ts";
import type { ClusterSession } from "./session.ts";

/** Of its own, so that re-applying the object from a repository leaves the annotation alone. */
const FIELD_MANAGER = "meshid-cli";

/** @throws KubeApiError, CLUSTER_UNREACHABLE. */
export async function annotate(
  session: ClusterSession,
  resource: Resource,
  at: { readonly namespace?: string; readonly name: string },
  annotations: Readonly<Record<string, string>>,
): Promise<KubeObject> {
  const { body } = await session.request<KubeObject>({
    method: "PATCH",
    path: objectPath(resource, at),
    query: { fieldManager: FIELD_MANAGER },
    contentType: "application/merge-patch+json",
    body: { metadata: { annotations } },
  });
  return body;
}
