/**
 * Composition of a term of leadership: the authority, the engine and the writers, made anew for each term and bound to its
 * write fence.
 */

import { Authority } from "../authority/authority.ts";
import type { Observer } from "../controller/ports.ts";
import { Refusals } from "../controller/refusals.ts";
import { withReplicas } from "../controller/replica-observer.ts";
import { isOperatorError } from "../core/errors.ts";
import { documentClient } from "../http/document-client.ts";
import { KubeApplier } from "../kubernetes/applier.ts";
import { SecretJournalStore, secretKeyStore } from "../kubernetes/authority-stores.ts";
import type { KubeClient } from "../kubernetes/client.ts";
import type { Cluster } from "../kubernetes/cluster.ts";
import { KubeEventRecorder } from "../kubernetes/event-recorder.ts";
import type { Term } from "../kubernetes/lease.ts";
import { clusterObserver } from "../kubernetes/observer.ts";
import { replicaEndpoints } from "../kubernetes/replica-endpoints.ts";
import type { ServerClock } from "../kubernetes/server-clock.ts";
import { writeServerSecret } from "../kubernetes/server-secret.ts";
import { KubeStatusWriter } from "../kubernetes/status-writer.ts";
import { TrustDomainKeeper } from "../kubernetes/trust-domain-keeper.ts";
import type { Events } from "../telemetry/events.ts";
import type { ClearableObserver } from "../telemetry/queue-metrics.ts";
import { BroughtCa } from "./brought-ca.ts";
import type { ControllerConfig } from "./controller-config.ts";
import type { ControllerDeps } from "./controller-deps.ts";
import { Engine } from "./engine.ts";
import { PolicyHolder } from "./policy-holder.ts";
import type { Publication } from "./publication.ts";
import { serverNames } from "./server-names.ts";
import { keepServerTls } from "./server-tls.ts";
import { finishWithin, runTerm, type TermParts, type TermTask } from "./term.ts";

export interface LeadOptions {
  readonly config: ControllerConfig;
  readonly deps: ControllerDeps;
  readonly client: KubeClient;
  readonly cluster: Cluster;
  readonly publication: Publication;
  /** The operator's. */
  readonly namespace: string;
  readonly events: Events;
  readonly queues: Readonly<Record<"serviceidentity" | "bundle", ClearableObserver>>;
  readonly serverClock: ServerClock;
  /** What is this process's while it leads. */
  readonly leading: Leading;
}

export interface Leading {
  authority?: Authority | undefined;
  engine?: Engine | undefined;
}

/** What the leader does in a term; for `LeaderElection.run`. */
export function makeLead(options: LeadOptions): (term: Term) => Promise<void> {
  return async (term) => {
    const { cluster, leading, queues, deps } = options;
    using working = finishWithin(term.signal, deps.clock);
    const { authority, ...parts } = compose(options, { ...term, working: working.signal });
    leading.authority = authority;
    leading.engine = parts.engine;
    try {
      await runTerm(parts, { stop: term.signal, working: working.signal });
    } finally {
      cluster.detach();
      leading.authority = undefined;
      leading.engine = undefined;
      for (const queue of Object.values(queues)) queue.clear();
      await authority.close();
    }
  };
}

/** The parts of one term, not yet at work. */
function compose(
  options: LeadOptions,
  term: Term & { readonly working: AbortSignal },
): TermParts & { readonly authority: Authority } {
  const { config, deps, client, cluster, publication, namespace, events, queues } = options;
  const { clock, random, logger } = deps;
  const { fence, working } = term;
  const status = new KubeStatusWriter({ client, cluster, fence });
  const recorder = new KubeEventRecorder({
    client,
    clock,
    random,
    instance: config.identity,
    uidOf: (regarding) => cluster.uidOf(regarding),
    fence,
    onError: (error) => logger.warn({ component: "events", err: error }, "an event could not be written"),
  });
  const policies = new PolicyHolder({
    desired: () => cluster.trustDomain(),
    options: { mode: "cluster", clusterDomain: config.clusterDomain, operatorNamespace: namespace },
    required: config.trustDomain,
    onProblem: (explanation) =>
      logger.error(
        { component: "controller", explanation },
        "the TrustDomain cannot be served as it is: the rules so far stay in force",
      ),
  });
  const stores = {
    client,
    namespace,
    fence,
    hasEvidence: () => publication.hasSeenTls || cluster.hasPublishedBundle,
    signal: working,
  };
  const brought = new BroughtCa({
    desired: cluster,
    namespace,
    clusterDomain: config.clusterDomain,
    clock,
    policy: () => policies.current(),
    onProblem: (explanation) =>
      logger.error(
        { component: "authority", explanation },
        "the authority's Secret cannot be used as it is: what signs so far goes on",
      ),
  });
  const authority = new Authority({
    journalStore: new SecretJournalStore(stores),
    keyStore: secretKeyStore(stores),
    clock: options.serverClock.guarded(),
    random,
    policy: () => policies.authority(brought.current()),
    onLost: () => engine.rotationRequested(),
  });
  const keeper = new TrustDomainKeeper({
    client,
    cluster,
    status,
    events: recorder,
    clock,
    fence,
    name: config.trustDomain,
    spec: config.trustDomainSpec,
  });
  const refusals = new Refusals(clock);
  const engine = new Engine({
    desired: cluster,
    observed: cluster.objects,
    applier: new KubeApplier({ client, objects: cluster.objects, fence }),
    status,
    observer: observeConsumers(options, { authority, policies, refusals, signal: working }),
    refusals,
    // Here creation timestamps can be believed: the API server sets them.
    holders: undefined,
    requests: cluster,
    authority,
    audit: events,
    events: recorder,
    clock,
    random,
    policy: () => policies.current(),
    specProblem: () => policies.problem ?? brought.problem,
    meshRootNamespace: config.meshRootNamespace,
    workers: config.workers,
    onIdentityChanged: () => {},
    onTrustDomainChanged: () => policies.refresh(),
    onStep: ({ step, keyID }) => events.rotationStep(step, keyID),
    brought,
    onRound: () => {},
    onError: (error) =>
      logger.error({ component: "authority", err: error }, "the authority: what failed will be tried again"),
    report: (report) => events.reconciled(report),
    queueObserver: (name) => queues[name],
  });
  const serverTls: TermTask = (signal) =>
    keepServerTls(
      {
        authority,
        clock,
        namespace,
        names: () => serverNames({ ...config, namespace, issuer: policies.current().jwt.issuer }),
        stored: () => publication.stored,
        write: (content) => writeServerSecret({ client, namespace, fence }, content, working),
        onError: (error) => {
          if (isOperatorError(error, "AUTHORITY_NOT_READY")) return;
          logger.error(
            { component: "http", err: error },
            "the server's own certificate could not be renewed",
          );
        },
      },
      signal,
    );
  return {
    authority,
    desired: cluster,
    engine,
    policies,
    keeper,
    status,
    tasks: [serverTls, (signal) => recorder.run(signal)],
    clock,
    unfit: () => options.serverClock.fault(),
    onError: (error) =>
      logger.error(
        { component: "controller", err: error },
        "the TrustDomain: what failed will be tried again",
      ),
  };
}

/** The objects of the cluster, and every replica that serves HTTPS. */
function observeConsumers(
  { config, deps, client, cluster, namespace }: LeadOptions,
  {
    authority,
    policies,
    refusals,
    signal,
  }: {
    readonly authority: Authority;
    readonly policies: PolicyHolder;
    readonly refusals: Refusals;
    readonly signal: AbortSignal;
  },
): Observer {
  const observer = clusterObserver(cluster, () => policies.current().bundle.configMapName);
  if (config.listen === undefined) return observer;
  const { serviceName } = config;
  const nameOf = (): string =>
    serverNames({ ...config, namespace, issuer: policies.current().jwt.issuer })[0] ?? serviceName;
  return withReplicas(observer, {
    endpoints: replicaEndpoints({ client, namespace, serviceName, signal }),
    documents: documentClient({
      clock: deps.clock,
      trust: () => ({ ca: authority.view().caPem, serverName: nameOf() }),
    }),
    trustDomain: config.trustDomain,
    refusals,
    signal,
  });
}
