/**
 * All facts of `meshid doctor`, read side by side. Nothing is written but questions about rights.
 */

import { parseHttpDate } from "../../core/clock.ts";
import { DEFAULT_OPERATOR_NAMESPACE } from "../../registration/trust-domain-policy.ts";
import { servedAmong } from "../cluster-cli/identities.ts";
import type { ClusterSession } from "../cluster-cli/session.ts";
import { CONTROLLER_DEFAULTS } from "../controller-options.ts";
import type { Io } from "../io.ts";
import type { Facts } from "./facts.ts";
import {
  gatherAdmissionPolicies,
  gatherCrds,
  gatherDeployments,
  gatherRights,
} from "./gather-installation.ts";
import { gatherLease } from "./gather-lease.ts";
import { gatherMesh } from "./gather-mesh.ts";
import {
  gatherBundles,
  gatherIdentities,
  gatherJournal,
  gatherNamespaces,
  gatherSecrets,
  gatherTrustDomains,
} from "./gather-objects.ts";
import type { Gathering } from "./gathering.ts";
import { optionIn } from "./operator-options.ts";

export interface GatherOptions {
  readonly scope: string | undefined;
  readonly operatorNamespace: string | undefined;
  readonly cliVersion: string;
}

/** @throws CLUSTER_UNREACHABLE when the very first request gets no answer. */
export async function gatherFacts(
  session: ClusterSession,
  { scope, operatorNamespace: named, cliVersion }: GatherOptions,
  { clock }: Pick<Io, "clock">,
): Promise<Facts> {
  const { body, date } = await session.request<{ readonly gitVersion?: string }>({
    method: "GET",
    path: "/version",
  });
  const now = clock.now();
  const gathering: Gathering = { session, clock, scope, unanswered: [] };
  const assumed = named ?? DEFAULT_OPERATOR_NAMESPACE;
  const deployments = await gatherDeployments(gathering, assumed, named !== undefined);
  const [deployment] = deployments.known ? deployments.value : [];
  const operatorNamespace = deployment?.namespace ?? assumed;
  const identitiesRead = gatherIdentities(gathering);
  const trustDomainsRead = gatherTrustDomains(gathering);
  const rights = trustDomainsRead.then((domains) =>
    gatherRights(gathering, {
      isAbsent: deployments.known && deployment === undefined,
      namespace: operatorNamespace,
      serviceAccount: deployment?.serviceAccount ?? "meshid",
      trustDomain:
        optionIn(deployments, "trust-domain") ??
        (domains.known ? servedAmong(domains.value)?.metadata.name : undefined) ??
        CONTROLLER_DEFAULTS.trustDomain,
      watchNamespaces: optionIn(deployments, "watch-namespaces")?.split(","),
    }),
  );
  const rootNamespace = optionIn(deployments, "mesh-root-namespace") ?? CONTROLLER_DEFAULTS.meshRootNamespace;
  const mesh = identitiesRead.then((identities) => gatherMesh(gathering, rootNamespace, identities));
  return {
    now,
    serverNow: parseHttpDate(date ?? "") ?? now,
    cliVersion,
    serverVersion: body.gitVersion ?? "unknown",
    scope,
    operatorNamespace,
    deployments,
    ...(await together({
      lease: gatherLease(gathering, operatorNamespace),
      journal: gatherJournal(gathering, operatorNamespace),
      crds: gatherCrds(gathering),
      rights,
      admissionPolicies: gatherAdmissionPolicies(gathering),
      trustDomains: trustDomainsRead,
      namespaces: gatherNamespaces(gathering),
      bundles: gatherBundles(gathering),
      identities: identitiesRead,
      secrets: gatherSecrets(gathering),
      mesh,
    })),
    unanswered: gathering.unanswered,
  };
}

/** Waits for all members. */
async function together<T extends Readonly<Record<string, Promise<unknown>>>>(
  promises: T,
): Promise<{ readonly [K in keyof T]: Awaited<T[K]> }> {
  const entries = Object.entries(promises).map(async ([key, promise]) => [key, await promise] as const);
  return Object.fromEntries(await Promise.all(entries)) as { readonly [K in keyof T]: Awaited<T[K]> };
}
