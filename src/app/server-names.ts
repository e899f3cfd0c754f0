/**
 * The names by which clients in a cluster reach the HTTPS server.
 */

export interface ServerNamesInput {
  /** Of the Service. */
  readonly serviceName: string;
  readonly namespace: string;
  readonly clusterDomain: string;
  /** URL: its host may be a name of its own, in front of an ingress or a load balancer. */
  readonly issuer: string;
}

/** DNS names and addresses, the shortest first; IPv6 without brackets. */
export function serverNames({
  serviceName,
  namespace,
  clusterDomain,
  issuer,
}: ServerNamesInput): readonly string[] {
  const host = new URL(issuer).hostname.replace(/^\[|\]$/g, "");
  const service = `${serviceName}.${namespace}.svc`;
  return [...new Set([service, `${service}.${clusterDomain}`, host])];
}
