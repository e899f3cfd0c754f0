/**
 * Composition of the servers: the public documents over HTTPS, probes and metrics over HTTP.
 */

import type { Clock } from "../core/clock.ts";
import {
  discoveryRoutes,
  type PublishedDocument,
  type PublishedDocuments,
  publishedDocument,
} from "../http/discovery-routes.ts";
import { probeRoutes } from "../http/probe-routes.ts";
import { formatAddress, HttpServer } from "../http/server.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Local } from "./compose.ts";
import type { LocalConfig } from "./config.ts";
import { issueServerCredentials, renewServerCredentials } from "./server-credentials.ts";

export interface ServeOptions {
  readonly local: Local;
  readonly config: LocalConfig;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly metrics: (Metrics & { readonly contentType: string; text(): Promise<string> }) | undefined;
}

export async function startDiscovery(
  { local, config, logger, clock }: ServeOptions,
  signal: AbortSignal,
): Promise<{ readonly server: HttpServer; readonly renewal: Promise<void> } | undefined> {
  const { listen } = config;
  if (listen === undefined) return undefined;
  const { authority, events } = local;
  const issuer = new URL(local.policy().jwt.issuer);
  const names = [...new Set(["localhost", "127.0.0.1", issuer.hostname.replace(/^\[|\]$/g, "")])];
  const issue = (): ReturnType<typeof issueServerCredentials> => issueServerCredentials(authority, names);
  const first = await issue();
  const server = new HttpServer({
    ...listen,
    tls: { chain: first.chain, key: first.key },
    routes: discoveryRoutes(documentsOf(local), issuer.pathname),
    clock,
    observer: events,
  });
  await server.start(signal);
  logger.info(
    { component: "http", address: formatAddress(server.address()) },
    "serving JWKS, discovery and bundle over HTTPS",
  );
  const renewal = renewServerCredentials(
    {
      first,
      issue,
      reload: ({ chain, key }) => server.reload({ chain, key }),
      clock,
      onError: (error) =>
        logger.error({ component: "http", err: error }, "the server's own certificate could not be renewed"),
    },
    signal,
  );
  return { server, renewal };
}

export async function startProbes(
  { local, config, logger, clock, metrics }: ServeOptions,
  signal: AbortSignal,
): Promise<HttpServer | undefined> {
  if (config.probes === undefined || metrics === undefined) return undefined;
  const server = new HttpServer({
    ...config.probes,
    routes: probeRoutes({
      liveness: [{ name: "event-loop", check: () => undefined }],
      readiness: [
        {
          name: "authority",
          check: () => (local.authority.isReady() ? undefined : "the authority is not open"),
        },
        {
          name: "first-pass",
          check: () =>
            local.engine.hasCaughtUp ? undefined : "identities are being issued for the first time",
        },
      ],
      metrics,
    }),
    clock,
    observer: local.events,
  });
  await server.start(signal);
  logger.info(
    { component: "http", address: formatAddress(server.address()) },
    "serving probes and metrics over HTTP",
  );
  return server;
}

/** Entity tags are computed once for each text. */
function documentsOf({ authority, policy }: Local): PublishedDocuments {
  const known = new Map<string, PublishedDocument>();
  const document = (name: string, body: string): PublishedDocument => {
    const before = known.get(name);
    if (before?.body === body) return before;
    const next = publishedDocument(body);
    known.set(name, next);
    return next;
  };
  return {
    discovery: () =>
      authority.isReady() ? document("discovery", authority.view().discoveryJson) : undefined,
    jwks: () => (authority.isReady() ? document("jwks", authority.view().jwksJson) : undefined),
    bundle: () => (authority.isReady() ? document("bundle", authority.view().bundleJson) : undefined),
    get maxAge() {
      return policy().refreshHint;
    },
  };
}
