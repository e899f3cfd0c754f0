/**
 * The replicas of meshid that its own Service sends clients to, by the EndpointSlices: one LIST for each look.
 */

import { isIP } from "node:net";
import type { ReplicaEndpoint, ReplicaEndpoints } from "../controller/ports.ts";
import type { KubeClient } from "./client.ts";
import type { KubeList, KubeObject } from "./objects.ts";
import { collectionPath, ENDPOINT_SLICES } from "./resources.ts";

export interface ReplicaEndpointsOptions {
  readonly client: KubeClient;
  /** The operator's. */
  readonly namespace: string;
  readonly serviceName: string;
  readonly signal: AbortSignal;
}

/** The fields of an EndpointSlice that are read. The API server holds them to these types, and says null for an empty list. */
interface Slice {
  readonly endpoints?: readonly Endpoint[] | null;
  readonly ports?: readonly { readonly name?: string; readonly port?: number | null }[] | null;
}

interface Endpoint {
  readonly addresses?: readonly string[] | null;
  readonly conditions?: { readonly ready?: boolean | null };
  readonly targetRef?: { readonly kind?: string; readonly name?: string };
}

const SERVICE_LABEL = "kubernetes.io/service-name";
/** As the chart's Service calls it. */
const PORT_NAME = "https";
/** More than anyone runs: whoever writes EndpointSlices must not keep the leader busy. */
const MAX_REPLICAS = 100;

export function replicaEndpoints({
  client,
  namespace,
  serviceName,
  signal,
}: ReplicaEndpointsOptions): ReplicaEndpoints {
  return {
    place: `Service ${namespace}/${serviceName}`,
    list: async () => {
      const path = collectionPath(ENDPOINT_SLICES, namespace);
      const query = { labelSelector: `${SERVICE_LABEL}=${serviceName}` };
      const { body } = await client.request<KubeList>({ method: "GET", path, query }, signal);
      // A pod with addresses of both families stands in two slices.
      const byName = new Map<string, ReplicaEndpoint>();
      for (const found of (body.items ?? []).flatMap(readSlice))
        if (byName.size < MAX_REPLICAS && !byName.has(found.name)) byName.set(found.name, found);
      return [...byName.values()];
    },
  };
}

/** Those that are ready: nobody is sent to the others. Unknown counts as ready, as it does for Services. */
function readSlice(object: KubeObject): readonly ReplicaEndpoint[] {
  const { endpoints, ports } = object as KubeObject & Slice;
  const port = (ports?.find(({ name }) => name === PORT_NAME) ?? ports?.[0])?.port ?? undefined;
  if (port === undefined) return [];
  return (endpoints ?? []).flatMap(({ addresses, conditions, targetRef }) => {
    const address = addresses?.[0] ?? "";
    if (conditions?.ready === false || isIP(address) === 0) return [];
    const name = targetRef?.kind === "Pod" ? (targetRef.name ?? address) : address;
    return [{ name, address, port }];
  });
}
