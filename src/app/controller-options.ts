/**
 * The options of `meshid controller`: unit, default, range and effect of each. `controller-config.ts` reads them.
 */

import type { OptionSpec } from "./options.ts";

export const CONTROLLER_DEFAULTS = {
  trustDomain: "cluster.local",
  clusterDomain: "cluster.local",
  serviceName: "meshid",
  meshRootNamespace: "istio-system",
  listen: { host: "::", port: 8443 },
  probes: { host: "::", port: 8081 },
  workers: 16,
} as const;

export const KUBECONFIG_OPTIONS: readonly OptionSpec[] = [
  {
    name: "kubeconfig",
    type: "string",
    value: "FILE",
    env: "KUBECONFIG",
    default: "the pod's ServiceAccount, otherwise ~/.kube/config",
    completes: "file",
    effect: "How to reach the cluster.",
  },
  {
    name: "context",
    type: "string",
    value: "NAME",
    default: "the current one",
    effect: "The context of the kubeconfig.",
  },
];

export const CONTROLLER_OPTIONS: readonly OptionSpec[] = [
  {
    name: "trust-domain",
    type: "string",
    value: "NAME",
    env: "MESHID_TRUST_DOMAIN",
    default: CONTROLLER_DEFAULTS.trustDomain,
    range: "a DNS name in lower case",
    effect: "The TrustDomain object that is served; it is created if there is none.",
  },
  {
    name: "trust-domain-file",
    type: "string",
    value: "FILE",
    env: "MESHID_TRUST_DOMAIN_FILE",
    default: "an empty spec",
    completes: "file",
    effect: "A YAML file with the spec of the TrustDomain, used only where it does not exist yet.",
  },
  {
    name: "namespace",
    short: "n",
    type: "string",
    value: "NAMESPACE",
    env: "MESHID_NAMESPACE",
    default: "the pod's namespace, otherwise meshid-system",
    effect: "The operator's namespace: journal, keys, Lease and server certificate are kept there.",
  },
  {
    name: "watch-namespaces",
    type: "string",
    value: "NAMES",
    env: "MESHID_WATCH_NAMESPACES",
    default: "all",
    range: "names separated by commas",
    effect: "The only namespaces that are served.",
  },
  {
    name: "cluster-domain",
    type: "string",
    value: "NAME",
    env: "MESHID_CLUSTER_DOMAIN",
    default: CONTROLLER_DEFAULTS.clusterDomain,
    range: "a DNS name in lower case",
    effect: "The end of the long DNS names: payments.shop.svc.NAME.",
  },
  {
    name: "service-name",
    type: "string",
    value: "NAME",
    env: "MESHID_SERVICE_NAME",
    default: CONTROLLER_DEFAULTS.serviceName,
    effect: "The Service in front of --listen: its names are in the server's certificate.",
  },
  {
    name: "mesh-root-namespace",
    type: "string",
    value: "NAMESPACE",
    env: "MESHID_MESH_ROOT_NAMESPACE",
    default: CONTROLLER_DEFAULTS.meshRootNamespace,
    effect: "Where Istio keeps policies of the whole mesh.",
  },
  {
    name: "listen",
    type: "string",
    value: "HOST:PORT",
    env: "MESHID_LISTEN",
    default: ":8443",
    effect: "Where JWKS, discovery and bundle are served over HTTPS, or none.",
  },
  {
    name: "probes",
    type: "string",
    value: "HOST:PORT",
    env: "MESHID_PROBES",
    default: ":8081",
    effect: "Where /livez, /readyz and /metrics are served over HTTP, or none.",
  },
  {
    name: "identity",
    type: "string",
    value: "NAME",
    env: "MESHID_IDENTITY",
    default: "the host's name",
    effect: "How this process is called in the Lease.",
  },
  {
    name: "workers",
    type: "string",
    value: "N",
    env: "MESHID_WORKERS",
    default: String(CONTROLLER_DEFAULTS.workers),
    range: "1 to 64",
    effect: "How many identities are worked on at once.",
  },
  ...KUBECONFIG_OPTIONS,
];
