/**
 * The leader of cluster mode in this process, with the rights of the chart's ServiceAccount, on a clock of the test: what
 * a rotation does within the life of a leaf takes seconds. It knows of no Lease, and so not the API server's time either.
 */

import { makeLead } from "../../../src/app/compose-leader.ts";
import { type ControllerConfig, parseControllerConfig } from "../../../src/app/controller-config.ts";
import { Publication } from "../../../src/app/publication.ts";
import { type Clock, systemClock } from "../../../src/core/clock.ts";
import { systemRandom } from "../../../src/core/random.ts";
import type { KubeClient } from "../../../src/kubernetes/client.ts";
import { Cluster } from "../../../src/kubernetes/cluster.ts";
import { ServerClock } from "../../../src/kubernetes/server-clock.ts";
import { makeEvents } from "../../../src/telemetry/events.ts";
import { createLogger } from "../../../src/telemetry/logger.ts";
import { NO_METRICS } from "../../../src/telemetry/metrics.ts";
import { makeQueueObserver } from "../../../src/telemetry/queue-metrics.ts";
import type { Installation } from "../controller-process.ts";
import { connected, podFiles, tokenOf } from "./connected.ts";

export interface LoneLeader extends AsyncDisposable {
  /** Every line so far. */
  logs(): readonly Readonly<Record<string, unknown>>[];
  /** Whether a request has no answer yet. */
  isAsking(): boolean;
}

interface LoneLeaderOptions {
  readonly trustDomain: string;
  readonly clock: Clock;
}

/** Resolves when it has read the cluster. */
export async function startLoneLeader(
  { kube, namespace }: Installation,
  { trustDomain, clock }: LoneLeaderOptions,
): Promise<LoneLeader> {
  const pod = await podFiles(kube, namespace);
  await pod.write({ token: await tokenOf(kube, namespace, "meshid") });
  const connection = connected(await pod.connect());
  let underWay = 0;
  const client: KubeClient = {
    request: async (request, signal) => {
      underWay += 1;
      try {
        return await connection.client.request(request, signal);
      } finally {
        underWay -= 1;
      }
    },
    watch: (request, signal) => connection.client.watch(request, signal),
  };
  const config = configOf(trustDomain, namespace);
  const publication = new Publication({ onChanged: () => {}, onError: () => {} });
  const cluster = followed(config, { client, namespace, publication });
  const lines: string[] = [];
  const logger = createLogger({ level: "info", format: "json", write: (line) => lines.push(line) });
  const lead = makeLead({
    config,
    deps: {
      clock,
      random: systemRandom,
      logger,
      metrics: { ...NO_METRICS, contentType: "", text: async () => "" },
      env: {},
      version: "test",
    },
    client,
    cluster,
    publication,
    namespace,
    events: makeEvents({ logger, metrics: NO_METRICS }),
    queues: {
      serviceidentity: makeQueueObserver({ metrics: NO_METRICS, name: "serviceidentity", clock }),
      bundle: makeQueueObserver({ metrics: NO_METRICS, name: "bundle", clock }),
    },
    serverClock: new ServerClock({ clock, onChange: () => {} }),
    leading: {},
  });
  const stop = new AbortController();
  const following = cluster.run(stop.signal);
  await cluster.synced();
  const leading = lead({ signal: stop.signal, fence: () => {} });
  return {
    logs: () => lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>),
    isAsking: () => underWay > 0,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await Promise.all([leading, following]);
      connection[Symbol.dispose]();
      await pod[Symbol.asyncDispose]();
    },
  };
}

function configOf(trustDomain: string, namespace: string): ControllerConfig {
  const given = { "trust-domain": trustDomain, namespace, listen: "none", probes: "none" };
  const options = Object.entries(given).map(([name, value]) => [name, { from: `--${name}`, value }] as const);
  return parseControllerConfig(new Map(options), { isErrorTTY: false });
}

function followed(
  { trustDomain, meshRootNamespace }: ControllerConfig,
  {
    client,
    namespace,
    publication,
  }: { readonly client: KubeClient; readonly namespace: string; readonly publication: Publication },
): Cluster {
  return new Cluster({
    client,
    clock: systemClock,
    random: systemRandom,
    trustDomain,
    operatorNamespace: namespace,
    watchNamespaces: undefined,
    meshRootNamespace,
    onOperatorSecret: (name, content) => publication.take(name, content),
    onRelist: () => {},
    onError: () => {},
  });
}
