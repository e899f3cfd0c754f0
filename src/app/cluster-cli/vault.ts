/**
 * The operator's namespace of a cluster, for `meshid backup`, `restore` and `bootstrap`.
 */

import { seconds } from "../../core/brand.ts";
import { type Clock, parseHttpDate } from "../../core/clock.ts";
import { OperatorError } from "../../core/errors.ts";
import { JOURNAL_SECRET, type KeyStoreOptions, secretKeyStore } from "../../kubernetes/authority-stores.ts";
import { secretJournalPlace } from "../../kubernetes/journal-place.ts";
import { configMapContent } from "../../kubernetes/objects.ts";
import { CONFIG_MAPS } from "../../kubernetes/resources.ts";
import { DEFAULT_OPERATOR_NAMESPACE } from "../../registration/trust-domain-policy.ts";
import { gatherDeployments } from "../doctor/gather-installation.ts";
import type { Io } from "../io.ts";
import { type GivenOptions, textOf } from "../options.ts";
import { type Published, type Records, sequenceIn, stampOf, type Vault } from "../recovery/vault.ts";
import { DEFAULT_BUNDLE } from "./bundle.ts";
import { servedTrustDomain } from "./identities.ts";
import { getObject } from "./objects.ts";
import { type ClusterSession, isForbidden, OR_LOCAL, withCluster } from "./session.ts";

/** Everything else is an object of the cluster. */
const NO_RECORDS: Records = {
  read: async () => ({}),
  lacking: async () => [],
  write: async () => {},
};

/** @throws INVALID_CONFIGURATION, CLUSTER_UNREACHABLE, KubeApiError; what `run` throws. */
export function withClusterVault(
  options: GivenOptions,
  io: Io,
  run: (vault: Vault) => Promise<number>,
): Promise<number> {
  const work = async (session: ClusterSession): Promise<number> => {
    const vault = await clusterVault(session, textOf(options, "operator-namespace"), io);
    try {
      return await run(vault);
    } catch (error) {
      if (!isForbidden(error)) throw error;
      throw new OperatorError(
        "INVALID_CONFIGURATION",
        `you may not do that (${error.message}); expected the rights to read and write Secrets in ${vault.context.operatorNamespace}`,
        { cause: error },
      );
    }
  };
  return withCluster(options, io, work, OR_LOCAL);
}

export async function clusterVault(
  session: ClusterSession,
  named: string | undefined,
  io: Pick<Io, "clock">,
): Promise<Vault> {
  const clock = await serverClock(session, io.clock);
  const namespace = named ?? (await operatorNamespace(session, clock));
  const stores: KeyStoreOptions = {
    client: { request: (request) => session.request(request) },
    namespace,
    fence: () => {},
    signal: new AbortController().signal,
  };
  return {
    place: `namespace ${namespace} of ${session.server}`,
    clock,
    context: { mode: "cluster", clusterDomain: "cluster.local", operatorNamespace: namespace },
    journals: secretJournalPlace(stores, stampOf(clock)),
    keyStore: secretKeyStore(stores),
    records: NO_RECORDS,
    published: () => publishedIn(session, namespace),
    moveAway: `kubectl -n ${namespace} delete secret ${JOURNAL_SECRET}`,
    flags: named === undefined ? "" : ` --operator-namespace ${named}`,
    takenUp: "A running controller takes it up within seconds; meshid status shows it.",
  };
}

/** Certificates are made and judged by the cluster's time, whatever this machine's clock says. */
async function serverClock(session: ClusterSession, clock: Clock): Promise<Clock> {
  const { date } = await session.request({ method: "GET", path: "/version" });
  const ahead = (parseHttpDate(date ?? "") ?? clock.now()) - clock.now();
  return {
    now: () => seconds(clock.now() + ahead),
    monotonic: () => clock.monotonic(),
    sleep: (length, signal) => clock.sleep(length, signal),
  };
}

async function operatorNamespace(session: ClusterSession, clock: Clock): Promise<string> {
  const gathering = { session, clock, scope: undefined, unanswered: [] };
  const found = await gatherDeployments(gathering, DEFAULT_OPERATOR_NAMESPACE, false);
  const namespaces = [...new Set(found.known ? found.value.map(({ namespace }) => namespace) : [])];
  if (namespaces.length > 1)
    throw new OperatorError(
      "INVALID_CONFIGURATION",
      `--operator-namespace: is missing; expected one of ${namespaces.join(", ")}, which all have a meshid controller`,
    );
  return namespaces[0] ?? DEFAULT_OPERATOR_NAMESPACE;
}

/** What tenants can write proves nothing: of bundles only the operator's own counts. */
async function publishedIn(session: ClusterSession, namespace: string): Promise<Published> {
  const trustDomain = await servedTrustDomain(session);
  const name = trustDomain?.spec.bundle?.configMapName ?? DEFAULT_BUNDLE;
  const found = await getObject(session, CONFIG_MAPS, { namespace, name });
  const bytes = found === undefined ? undefined : configMapContent(found)["bundle.json"];
  const served = bytes === undefined ? 0 : sequenceIn(Buffer.from(bytes).toString("utf8"));
  return { trustDomain, sequence: Math.max(served, trustDomain?.status?.bundle?.sequence ?? 0) };
}
