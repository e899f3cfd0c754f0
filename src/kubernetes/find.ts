/**
 * One object of a kind that meshid lists and watches but has no right to `get`: rarely needed, and a right less.
 */

import type { KubeClient } from "./client.ts";
import type { KubeList, KubeObject } from "./objects.ts";
import { collectionPath, type Resource } from "./resources.ts";

/** As it is stored now; undefined: there is none. @throws as `KubeClient.request`. */
export async function findByList(
  client: KubeClient,
  resource: Resource,
  { namespace, name }: { readonly namespace?: string; readonly name: string },
  signal: AbortSignal,
): Promise<KubeObject | undefined> {
  const { body } = await client.request<KubeList>(
    {
      method: "GET",
      path: collectionPath(resource, namespace),
      query: { fieldSelector: `metadata.name=${name}` },
    },
    signal,
  );
  return body.items?.[0];
}
