/**
 * Where the API server keeps what: paths of the resources that meshid reads and writes.
 */

export interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly isNamespaced: boolean;
}

function resource(apiVersion: string, kind: string, plural: string, isNamespaced = true): Resource {
  return { apiVersion, kind, plural, isNamespaced };
}

export const SERVICE_IDENTITIES: Resource = resource(
  "meshid.dev/v1alpha1",
  "ServiceIdentity",
  "serviceidentities",
);
export const TRUST_DOMAINS: Resource = resource("meshid.dev/v1alpha1", "TrustDomain", "trustdomains", false);
export const NAMESPACES: Resource = resource("v1", "Namespace", "namespaces", false);
export const SERVICE_ACCOUNTS: Resource = resource("v1", "ServiceAccount", "serviceaccounts");
export const SECRETS: Resource = resource("v1", "Secret", "secrets");
export const CONFIG_MAPS: Resource = resource("v1", "ConfigMap", "configmaps");
export const PEER_AUTHENTICATIONS: Resource = resource(
  "security.istio.io/v1",
  "PeerAuthentication",
  "peerauthentications",
);
export const EVENTS: Resource = resource("events.k8s.io/v1", "Event", "events");
export const ENDPOINT_SLICES: Resource = resource("discovery.k8s.io/v1", "EndpointSlice", "endpointslices");
export const LEASES: Resource = resource("coordination.k8s.io/v1", "Lease", "leases");

/** Those that `Cluster` follows. */
export const WATCHED: readonly Resource[] = [
  TRUST_DOMAINS,
  NAMESPACES,
  SERVICE_ACCOUNTS,
  SERVICE_IDENTITIES,
  CONFIG_MAPS,
  PEER_AUTHENTICATIONS,
  SECRETS,
];

/** `/api/v1/namespaces/shop/secrets`; without a namespace the collection of the whole cluster. */
export function collectionPath({ apiVersion, plural }: Resource, namespace?: string): string {
  const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const scope = namespace === undefined ? "" : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${root}${scope}/${plural}`;
}

/** `/api/v1/namespaces/shop/secrets/payments-tls`, and `/status` where it is asked for. */
export function objectPath(
  resource: Resource,
  at: { readonly namespace?: string; readonly name: string },
  subresource?: "status",
): string {
  const path = `${collectionPath(resource, at.namespace)}/${encodeURIComponent(at.name)}`;
  return subresource === undefined ? path : `${path}/${subresource}`;
}
