/**
 * Composition of cluster mode: what every replica has, leader or not. `compose-leader.ts` adds what only the leader does.
 */

import type { Clock } from "../core/clock.ts";
import { HttpServer } from "../http/server.ts";
import { JOURNAL_SECRET } from "../kubernetes/authority-stores.ts";
import type { KubeClient } from "../kubernetes/client.ts";
import { Cluster } from "../kubernetes/cluster.ts";
import { type Connection, connect } from "../kubernetes/connection.ts";
import { LeaderElection } from "../kubernetes/lease.ts";
import { ServerClock } from "../kubernetes/server-clock.ts";
import { Transport } from "../kubernetes/transport.ts";
import { type Events, makeEvents } from "../telemetry/events.ts";
import type { Logger } from "../telemetry/logger.ts";
import { makeQueueObserver } from "../telemetry/queue-metrics.ts";
import { type Leading, makeLead } from "./compose-leader.ts";
import { type ControllerConfig, operatorNamespace } from "./controller-config.ts";
import type { ControllerDeps } from "./controller-deps.ts";
import { DiscoveryServer } from "./discovery-server.ts";
import { identityGauges, silenceGauges } from "./gauges.ts";
import { replicaProbes } from "./probes.ts";
import { Publication } from "./publication.ts";

export interface Controller {
  readonly cluster: Cluster;
  readonly publication: Publication;
  readonly discovery: DiscoveryServer | undefined;
  readonly probes: HttpServer | undefined;
  /** Competes for the Lease, and does the leader's work while it is held, until `signal` aborts. Never rejects. */
  readonly lead: (signal: AbortSignal) => Promise<void>;
  readonly close: () => void;
}

/** Nothing is asked of the API server yet. @throws INVALID_CONFIGURATION. */
export async function composeController(config: ControllerConfig, deps: ControllerDeps): Promise<Controller> {
  const { clock, random, logger, metrics, env } = deps;
  const events = makeEvents({ logger, metrics });
  const connection = await connect({
    env,
    kubeconfig: config.kubeconfig,
    context: config.context,
    monotonic: () => clock.monotonic(),
  });
  const namespace = operatorNamespace(config, connection.namespace);
  const client = makeClient(connection, deps);
  const discovery = makeDiscovery(config, { clock, events, logger });
  const publication = new Publication({
    onChanged: () => discovery?.publish(publication),
    onError: (explanation) =>
      logger.error(
        { component: "http", explanation },
        "a Secret of meshid's own cannot be read; what was read before is served",
      ),
  });
  const leading: Leading = {};
  const cluster = makeCluster(config, { ...deps, client, namespace, publication, leading });
  const probes =
    config.probes === undefined
      ? undefined
      : new HttpServer({
          ...config.probes,
          routes: replicaProbes({ cluster, publication, discovery, metrics }),
          clock,
          observer: events,
        });
  const queues = {
    serviceidentity: makeQueueObserver({ metrics, name: "serviceidentity", clock }),
    bundle: makeQueueObserver({ metrics, name: "bundle", clock }),
  };
  identityGauges({
    metrics,
    events,
    // Only one replica counts them, so that a sum over all is right.
    identities: () => (leading.authority === undefined ? [] : cluster.identities()),
    authority: () => leading.authority,
    waitingSince: () => leading.engine?.waitingSince,
  });
  silenceGauges(metrics, () => cluster.silences);
  const serverClock = new ServerClock({
    clock,
    onChange: (fault) =>
      fault === undefined
        ? logger.info({ component: "leader-election" }, "the clock is right again")
        : logger.error({ component: "leader-election", err: fault }, "this process lets others lead"),
  });
  const election = new LeaderElection({
    client,
    clock,
    random,
    namespace,
    name: "meshid",
    // Two processes of one pod, one after the other, are two.
    identity: `${config.identity}_${random.uuid()}`,
    onChange: ({ isLeader, holder }) => events.leadershipChanged(isLeader, holder),
    onDate: (date) => serverClock.heard(date),
    isFit: () => serverClock.fault() === undefined,
    onError: (error) => logger.warn({ component: "leader-election", err: error }, "the Lease"),
  });
  const lead = makeLead({
    config,
    deps,
    client,
    cluster,
    publication,
    namespace,
    events,
    queues,
    leading,
    serverClock,
  });
  return {
    cluster,
    publication,
    discovery,
    probes,
    lead: (signal) => election.run(lead, signal),
    close: () => client.close(),
  };
}

function makeClient(connection: Connection, { clock, random, metrics, version }: ControllerDeps): Transport {
  return new Transport({
    connection,
    clock,
    random,
    userAgent: `meshid/${version}`,
    observe: ({ method, code, host, seconds }) => {
      metrics.increment("rest_client_requests_total", { code, method, host });
      metrics.observe("rest_client_request_duration_seconds", { verb: method, host }, seconds);
    },
  });
}

function makeDiscovery(
  { listen }: ControllerConfig,
  { clock, events, logger }: { readonly clock: Clock; readonly events: Events; readonly logger: Logger },
): DiscoveryServer | undefined {
  if (listen === undefined) return undefined;
  return new DiscoveryServer({
    address: listen,
    make: (options) => new HttpServer({ ...options, clock, observer: events }),
    logger,
  });
}

function makeCluster(
  config: ControllerConfig,
  {
    clock,
    random,
    logger,
    metrics,
    client,
    namespace,
    publication,
    leading,
  }: ControllerDeps & {
    readonly client: KubeClient;
    readonly namespace: string;
    readonly leading: Leading;
    readonly publication: Publication;
  },
): Cluster {
  return new Cluster({
    client,
    clock,
    random,
    trustDomain: config.trustDomain,
    operatorNamespace: namespace,
    watchNamespaces: config.watchNamespaces,
    meshRootNamespace: config.meshRootNamespace,
    onOperatorSecret: (name, content) => {
      publication.take(name, content);
      // The next save is hours away: what is gone is missed at once. Its loop is woken, and says so.
      if (name === JOURNAL_SECRET && content === undefined) leading.authority?.confirm().catch(() => {});
    },
    onRelist: (resource, reason) => metrics.increment("meshid_reflector_relists_total", { resource, reason }),
    onError: (resource, error) =>
      logger.warn(
        { component: "reflector", explanation: resource, err: error },
        "watching will be tried again",
      ),
  });
}
