/**
 * `meshid status [NAME]` of a cluster.
 */

import type { ServiceIdentity, TrustDomainObject } from "../../registration/service-identity.ts";
import { EXIT, type Io } from "../io.ts";
import { type GivenOptions, isSet } from "../options.ts";
import { formatData, outputFormat, painter } from "../output.ts";
import {
  isHealthy,
  printStatus,
  STATUS_FORMATS,
  type StatusFindings,
  statusData,
  statusQuestion,
  tellWhatIsOff,
  unknownIdentity,
} from "../status-report.ts";
import { listClusterIdentities, servedTrustDomain, toObserved, toObservedTrustDomain } from "./identities.ts";
import { type ClusterSession, isForbidden, OR_LOCAL, withCluster } from "./session.ts";

/** @throws INVALID_CONFIGURATION for an unknown NAME, or where meshid is not installed; KubeApiError, CLUSTER_UNREACHABLE. */
export function runClusterStatus(options: GivenOptions, io: Io): Promise<number> {
  return withCluster(options, io, (session) => clusterStatus(session, options, io), OR_LOCAL);
}

export async function clusterStatus(session: ClusterSession, options: GivenOptions, io: Io): Promise<number> {
  const format = outputFormat(options, STATUS_FORMATS);
  const { name, namespace } = statusQuestion(options);
  const notes: string[] = [];
  const all = await identitiesFor(session, { namespace, isAll: isSet(options, "all-namespaces") }, notes);
  const trustDomain = await trustDomainFor(session, notes);
  const identities = all.map(toObserved);
  const findings: StatusFindings = {
    identities: identities.filter((identity) => name === undefined || identity.name === name),
    unreadable: [],
    trustDomain: trustDomain === undefined ? undefined : toObservedTrustDomain(trustDomain),
    now: io.clock.now(),
  };
  if (name !== undefined && findings.identities.length === 0)
    throw unknownIdentity(name, identities, namespace);
  if (format === "json" || format === "yaml") {
    const data = { ...statusData(findings), server: session.server, notes };
    io.stdout.write(await formatData(data, format));
  } else io.stdout.write(printStatus(findings, format === "wide", painter(io)));
  tellWhatIsOff(findings, io);
  for (const note of notes) io.stderr.write(`meshid status: ${note}\n`);
  return isHealthy(findings) && notes.every((note) => note !== NO_TRUST_DOMAIN) ? EXIT.ok : EXIT.checkFailed;
}

const NO_TRUST_DOMAIN = "there is no TrustDomain: no meshid controller has run here yet (meshid doctor)";

/** Most users may look into their own namespaces only: without a word from them these are shown. */
async function identitiesFor(
  session: ClusterSession,
  { namespace, isAll }: { readonly namespace: string | undefined; readonly isAll: boolean },
  notes: string[],
): Promise<readonly ServiceIdentity[]> {
  try {
    return await listClusterIdentities(session, namespace);
  } catch (error) {
    if (!isForbidden(error) || namespace !== undefined || isAll) throw error;
    const own = await listClusterIdentities(session, session.namespace);
    notes.push(
      `only the namespace ${session.namespace} is shown, you may not list ServiceIdentities of all (-n NAMESPACE shows another)`,
    );
    return own;
  }
}

async function trustDomainFor(
  session: ClusterSession,
  notes: string[],
): Promise<TrustDomainObject | undefined> {
  try {
    const found = await servedTrustDomain(session);
    if (found === undefined) notes.push(NO_TRUST_DOMAIN);
    return found;
  } catch (error) {
    if (!isForbidden(error)) throw error;
    notes.push("the TrustDomain is not shown, you may not list TrustDomains");
    return undefined;
  }
}
