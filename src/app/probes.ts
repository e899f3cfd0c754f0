/**
 * What a replica of cluster mode says of itself to kubelet. An API server that is away makes no replica unready: what was
 * read before is served on.
 */

import type { Routes } from "../http/application.ts";
import { type HealthCheck, type ProbeRoutesOptions, probeRoutes } from "../http/probe-routes.ts";
import type { DiscoveryServer } from "./discovery-server.ts";
import type { Publication } from "./publication.ts";

export interface ReplicaProbesOptions {
  readonly cluster: { readonly unsynced: readonly string[] };
  readonly publication: Publication;
  /** Undefined: nothing is served. */
  readonly discovery: DiscoveryServer | undefined;
  readonly metrics: ProbeRoutesOptions["metrics"];
}

export function replicaProbes(options: ReplicaProbesOptions): Routes {
  const { cluster, publication, discovery, metrics } = options;
  const serving: readonly HealthCheck[] =
    discovery === undefined
      ? []
      : [
          {
            name: "documents",
            check: () =>
              publication.documents.bundle() === undefined
                ? "no bundle has been published yet: see the TrustDomain and the leader's log"
                : undefined,
          },
          {
            name: "https",
            check: () =>
              discovery.isListening ? undefined : "the server's own certificate is not there yet",
          },
        ];
  return probeRoutes({
    // The answer itself shows that the event loop turns.
    liveness: [{ name: "event-loop", check: () => undefined }],
    readiness: [
      {
        name: "watches",
        check: () => {
          const { unsynced } = cluster;
          return unsynced.length === 0 ? undefined : `not read yet: ${[...new Set(unsynced)].join(", ")}`;
        },
      },
      ...serving,
    ],
    metrics,
  });
}
