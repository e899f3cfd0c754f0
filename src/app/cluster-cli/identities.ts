/**
 * ServiceIdentities and TrustDomains of a cluster, as the commands look at them.
 */

import { identityOf, trustDomainOf } from "../../kubernetes/identity-objects.ts";
import { SERVICE_IDENTITIES, TRUST_DOMAINS } from "../../kubernetes/resources.ts";
import type { ServiceIdentity, TrustDomainObject } from "../../registration/service-identity.ts";
import type { ObservedIdentity, ObservedTrustDomain } from "../observed-objects.ts";
import { isUnknownKind, listObjects, notInstalled } from "./objects.ts";
import { type ClusterSession, isForbidden } from "./session.ts";

/** By namespace, then name. @throws INVALID_CONFIGURATION where meshid is not installed; KubeApiError, CLUSTER_UNREACHABLE. */
export async function listClusterIdentities(
  session: ClusterSession,
  namespace: string | undefined,
): Promise<readonly ServiceIdentity[]> {
  try {
    return (await listObjects(session, SERVICE_IDENTITIES, { namespace })).map(identityOf);
  } catch (error) {
    throw isUnknownKind(error) ? notInstalled(session.server, error) : error;
  }
}

/** The one that is served; undefined where there is none. @throws as `listClusterIdentities`. */
export async function servedTrustDomain(session: ClusterSession): Promise<TrustDomainObject | undefined> {
  try {
    return servedAmong((await listObjects(session, TRUST_DOMAINS)).map(trustDomainOf));
  } catch (error) {
    throw isUnknownKind(error) ? notInstalled(session.server, error) : error;
  }
}

/** As `servedTrustDomain`; undefined too for a user who may not read TrustDomains, as most may not. */
export async function readableTrustDomain(session: ClusterSession): Promise<TrustDomainObject | undefined> {
  try {
    return await servedTrustDomain(session);
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}

/** Others have been told that they are not served. */
export function servedAmong(domains: readonly TrustDomainObject[]): TrustDomainObject | undefined {
  const served = domains.filter(
    ({ status }) => !status?.conditions?.some(({ reason }) => reason === "NotServed"),
  );
  return served.find(({ status }) => (status?.authorities ?? []).length > 0) ?? served[0];
}

export function toObserved({ metadata, spec, status = {} }: ServiceIdentity): ObservedIdentity {
  const { namespace, name, creationTimestamp } = metadata;
  return { namespace, name, creationTimestamp, spec: { ...spec }, status };
}

export function toObservedTrustDomain({
  metadata,
  spec,
  status = {},
}: TrustDomainObject): ObservedTrustDomain {
  return { name: metadata.name, spec, status };
}
