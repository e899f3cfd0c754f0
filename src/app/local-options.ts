/**
 * The options of `meshid local`: unit, default, range and effect of each. `config.ts` reads them.
 */

import type { OptionSpec } from "./options.ts";

export const DEFAULT_LISTEN = { host: "127.0.0.1", port: 8443 } as const;
export const DEFAULT_WORKERS = 4;
export const MAX_WORKERS = 64;

export const LOCAL_OPTIONS: readonly OptionSpec[] = [
  {
    name: "identities",
    type: "string",
    value: "DIR",
    env: "MESHID_IDENTITIES",
    required: true,
    completes: "directory",
    effect:
      "Where ServiceIdentity files (*.yaml, *.yml, *.json) and at most one TrustDomain are read from, sub-directories too.",
  },
  {
    name: "out",
    type: "string",
    value: "DIR",
    env: "MESHID_OUT",
    required: true,
    completes: "directory",
    range: "neither within --identities nor around it",
    effect: "Where credentials, bundles, manifests and status are written; made when it is not there.",
  },
  {
    name: "state",
    type: "string",
    value: "DIR",
    env: "MESHID_STATE",
    default: "OUT/.meshid",
    completes: "directory",
    range: "neither within --identities nor around it",
    effect:
      "Where the authority's journal and keys are kept (mode 0700). Back it up: without it there is no way on.",
  },
  {
    name: "trust-domain",
    type: "string",
    value: "NAME",
    env: "MESHID_TRUST_DOMAIN",
    default: "that of the TrustDomain file, otherwise cluster.local",
    range: "1 to 255 of a-z, 0-9, '.', '-' and '_'",
    effect: "The host part of every SPIFFE ID.",
  },
  {
    name: "cluster-domain",
    type: "string",
    value: "NAME",
    env: "MESHID_CLUSTER_DOMAIN",
    default: "cluster.local",
    range: "a DNS name in lower case",
    effect: "The end of the long DNS names: payments.shop.svc.NAME.",
  },
  {
    name: "listen",
    type: "string",
    value: "HOST:PORT",
    env: "MESHID_LISTEN",
    default: "127.0.0.1:8443; none with --once",
    range: "HOST:PORT, [IPV6]:PORT, :PORT for all addresses, or none; port 0 to 65535, 0 = any free one",
    effect:
      "Serves discovery, JWKS and the SPIFFE bundle over HTTPS with meshid's own SVID; none (or --no-listen) switches it off.",
  },
  {
    name: "probes",
    type: "string",
    value: "HOST:PORT",
    env: "MESHID_PROBES",
    default: "none",
    range: "as --listen, and another address",
    effect: "Serves /livez, /readyz and /metrics over plain HTTP.",
  },
  {
    name: "group",
    type: "string",
    value: "NAME",
    env: "MESHID_GROUP",
    range: "the name or number of a group of this machine",
    effect: "Lets this group read the credentials: directories 0750, files 0640 instead of 0700 and 0600.",
  },
  {
    name: "on-renew",
    type: "string",
    value: "CMD",
    env: "MESHID_ON_RENEW",
    effect:
      "Run by the shell after each change of an identity, with MESHID_NAMESPACE, MESHID_NAME and MESHID_DIR (OUT/<namespace>) set; stopped after a minute (SIGTERM, then SIGKILL). A stop of meshid waits for it.",
  },
  {
    name: "once",
    type: "boolean",
    env: "MESHID_ONCE",
    default: "off: run until stopped",
    effect: "Issues and renews what is due, then ends: 0 if every identity is Ready, 1 otherwise.",
  },
  {
    name: "workers",
    type: "string",
    value: "N",
    env: "MESHID_WORKERS",
    default: String(DEFAULT_WORKERS),
    range: `1 to ${MAX_WORKERS}`,
    effect: "How many identities are reconciled at once.",
  },
];
