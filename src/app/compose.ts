/**
 * Composition of local mode: the one place that knows the adapters' classes.
 */

import { Authority } from "../authority/authority.ts";
import { OwnServerObserver } from "../controller/own-server.ts";
import type { Observer } from "../controller/ports.ts";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import { Directory } from "../directory/directory.ts";
import { describeProblem, type SourceProblem } from "../directory/documents.ts";
import { directoryObserver } from "../directory/observer.ts";
import { holderStore } from "../directory/state-stores.ts";
import { parseField } from "../registration/field-path.ts";
import { DEFAULT_OPERATOR_NAMESPACE, type TrustDomainPolicy } from "../registration/trust-domain-policy.ts";
import { parseTrustDomain } from "../spiffe/trust-domain.ts";
import { type Events, makeEvents } from "../telemetry/events.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { makeQueueObserver } from "../telemetry/queue-metrics.ts";
import { BroughtCa } from "./brought-ca.ts";
import type { LocalConfig } from "./config.ts";
import { Engine } from "./engine.ts";
import { identityGauges } from "./gauges.ts";
import { groupId } from "./group.ts";
import { OnRenew } from "./on-renew.ts";
import { flagsFor } from "./places.ts";
import { PolicyHolder } from "./policy-holder.ts";
import { loadSchemas } from "./schemas.ts";
import { whenChanged } from "./when-changed.ts";

export interface LocalDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface Local {
  readonly directory: Directory;
  readonly authority: Authority;
  readonly brought: BroughtCa;
  readonly engine: Engine;
  readonly events: Events;
  readonly onRenew: OnRenew | undefined;
  readonly policy: () => TrustDomainPolicy;
}

/** Istio's default. */
const MESH_ROOT_NAMESPACE = "istio-system";
const DEFAULT_TRUST_DOMAIN = "cluster.local";
/** The field that a condition's message is about. */
const FIELD = /(?:^|: )(spec(?:\.\w+|\[\d+\])+): /;
/** Puts local mode together; nothing is read or written yet. @throws INVALID_CONFIGURATION. */
export async function composeLocal(config: LocalConfig, deps: LocalDeps): Promise<Local> {
  const { clock, random, logger, metrics } = deps;
  const events = makeEvents({ logger, metrics });
  const directory = new Directory({
    identities: config.identities,
    out: config.out,
    state: config.state,
    trustDomain: config.trustDomain ?? parseTrustDomain(DEFAULT_TRUST_DOMAIN),
    gid: config.group === undefined ? undefined : groupId(config.group),
    clock,
    random,
    validate: await loadSchemas(),
    onProblem: (problem) => logProblem(logger, problem),
  });
  const policies = new PolicyHolder({
    desired: () => directory.trustDomain(),
    options: { mode: "local", clusterDomain: config.clusterDomain },
    required: config.trustDomain,
    onProblem: (message) =>
      logger.error(
        { component: "controller", explanation: message },
        "the TrustDomain cannot be served as it is: the rules so far stay in force",
      ),
  });
  const policy = (): TrustDomainPolicy => policies.current();
  const brought = new BroughtCa({
    desired: directory,
    namespace: DEFAULT_OPERATOR_NAMESPACE,
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
    journalStore: directory.journal,
    keyStore: directory.keys,
    clock,
    random,
    policy: () => policies.authority(brought.current()),
    onLost: () => engine.rotationRequested(),
    cliFlags: flagsFor(config),
  });
  const onRenew =
    config.onRenew === undefined
      ? undefined
      : new OnRenew({
          command: config.onRenew,
          out: config.out,
          env: deps.env,
          onError: ({ metadata }, explanation) =>
            logger.warn(
              {
                component: "on-renew",
                serviceIdentity: `${metadata.namespace}/${metadata.name}`,
                explanation,
              },
              "the command of --on-renew failed",
            ),
        });
  // Until when a key has signed is raised in the journal as it signs: the TrustDomain's status follows.
  const signing = whenChanged(
    () => authority.view(),
    () => engine.rotationRequested(),
  );
  const files = directoryObserver(directory.objects);
  const startedAt = clock.now();
  const withOwnServer = (observer: Observer): Observer =>
    new OwnServerObserver({
      observer,
      clock,
      slots: () => authority.view().slots,
      propagation: () => policy().rotation.propagation,
      startedAt,
    });
  const engine: Engine = new Engine({
    desired: directory,
    observed: directory.objects,
    applier: directory.objects,
    status: directory,
    observer: config.listen === undefined ? files : withOwnServer(files),
    holders: holderStore(config.state),
    requests: directory,
    authority,
    audit: events,
    events: {
      record: ({ regarding, type, reason, message }) => {
        const { kind, namespace, name } = regarding;
        const subject =
          kind === "TrustDomain" ? { trustDomain: name } : { serviceIdentity: `${namespace}/${name}` };
        const fields = {
          component: "controller",
          ...subject,
          reason,
          explanation:
            namespace === undefined ? message : withPosition(directory, `${namespace}/${name}`, message),
        };
        if (type === "Warning") logger.warn(fields, "a condition changed");
        else logger.info(fields, "a condition changed");
      },
    },
    clock,
    random,
    policy,
    specProblem: () => policies.problem ?? brought.problem,
    meshRootNamespace: MESH_ROOT_NAMESPACE,
    workers: config.workers,
    onIdentityChanged: (identity) => {
      onRenew?.changed(identity);
      signing.look();
    },
    onTrustDomainChanged: () => policies.refresh(),
    onStep: ({ step, keyID }) => events.rotationStep(step, keyID),
    brought,
    onRound: () => directory.honoured(authority.view()),
    onError: (error) =>
      logger.error({ component: "authority", err: error }, "a rotation step failed and will be tried again"),
    report: (report) => events.reconciled(report),
    queueObserver: (name) =>
      config.probes === undefined ? undefined : makeQueueObserver({ metrics, name, clock }),
  });
  identityGauges({
    metrics,
    events,
    identities: () => directory.identities(),
    authority: () => authority,
    waitingSince: () => engine.waitingSince,
  });
  return { directory, authority, brought, engine, events, onRenew, policy };
}

/** Puts before a message that names a field the file and line where it stands. */
function withPosition(directory: Directory, key: string, message: string): string {
  const [, field] = FIELD.exec(message) ?? [];
  const place = field === undefined ? undefined : directory.locate(key, parseField(field));
  return place === undefined ? message : `${place}: ${message}`;
}

function logProblem(logger: Logger, problem: SourceProblem): void {
  const { file, line, field } = problem;
  const position = {
    file,
    ...(line === undefined ? {} : { line }),
    ...(field === undefined ? {} : { field }),
  };
  logger.error(
    { component: "source", ...position, explanation: describeProblem(problem) },
    "a document is refused",
  );
}
