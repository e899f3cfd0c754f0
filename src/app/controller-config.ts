/**
 * From flags and environment to what `meshid controller` runs by: read once, checked as a whole, frozen.
 */

import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { parse } from "yaml";
import { OperatorError } from "../core/errors.ts";
import { asRecord } from "../core/strict-json.ts";
import { DEFAULT_OPERATOR_NAMESPACE } from "../registration/trust-domain-policy.ts";
import { parseTrustDomain, type TrustDomain } from "../spiffe/trust-domain.ts";
import type { Address } from "./address.ts";
import { CONTROLLER_DEFAULTS } from "./controller-options.ts";
import type { Io } from "./io.ts";
import { MAX_WORKERS } from "./local-options.ts";
import {
  complain,
  DNS_NAME,
  type Reader,
  readAddress,
  readChoice,
  readMatching,
  readTrustDomain,
  readWorkers,
  throwProblems,
} from "./option-reader.ts";
import { type GivenOptions, LOG_FORMATS, LOG_LEVEL_NAMES, textOf } from "./options.ts";

export interface ControllerConfig {
  readonly trustDomain: TrustDomain;
  /** The spec of the TrustDomain where it has to be created. */
  readonly trustDomainSpec: Readonly<Record<string, unknown>>;
  /** Undefined: the pod's own. */
  readonly namespace: string | undefined;
  /** Undefined: all. */
  readonly watchNamespaces: readonly string[] | undefined;
  readonly clusterDomain: string;
  readonly serviceName: string;
  readonly meshRootNamespace: string;
  readonly listen: Address | undefined;
  readonly probes: Address | undefined;
  readonly identity: string;
  readonly workers: number;
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  readonly logLevel: (typeof LOG_LEVEL_NAMES)[number];
  readonly logFormat: (typeof LOG_FORMATS)[number];
}

const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const LABEL_FORM = "an RFC 1123 label: at most 63 of a-z, 0-9 and '-'";

/** @throws INVALID_CONFIGURATION listing every problem: flag or variable, value, expected form. */
export function parseControllerConfig(options: GivenOptions, io: Pick<Io, "isErrorTTY">): ControllerConfig {
  const reader: Reader = { options, problems: [] };
  const config: ControllerConfig = {
    trustDomain: readServedDomain(reader) ?? parseTrustDomain(CONTROLLER_DEFAULTS.trustDomain),
    trustDomainSpec: readSpec(reader),
    namespace: readMatching(reader, "namespace", LABEL, LABEL_FORM),
    watchNamespaces: readNamespaces(reader),
    clusterDomain:
      readMatching(reader, "cluster-domain", DNS_NAME, "a DNS name in lower case") ??
      CONTROLLER_DEFAULTS.clusterDomain,
    serviceName: readMatching(reader, "service-name", LABEL, LABEL_FORM) ?? CONTROLLER_DEFAULTS.serviceName,
    meshRootNamespace:
      readMatching(reader, "mesh-root-namespace", LABEL, LABEL_FORM) ?? CONTROLLER_DEFAULTS.meshRootNamespace,
    listen: readAddress(reader, "listen", CONTROLLER_DEFAULTS.listen),
    probes: readAddress(reader, "probes", CONTROLLER_DEFAULTS.probes),
    identity: textOf(options, "identity") ?? hostname(),
    workers: readWorkers(reader, { otherwise: CONTROLLER_DEFAULTS.workers, max: MAX_WORKERS }),
    kubeconfig: textOf(options, "kubeconfig"),
    context: textOf(options, "context"),
    logLevel: readChoice(reader, "log-level", LOG_LEVEL_NAMES) ?? "info",
    logFormat: readChoice(reader, "log-format", LOG_FORMATS) ?? (io.isErrorTTY ? "pretty" : "json"),
  };
  throwProblems(reader);
  return Object.freeze(config);
}

/** In a cluster a trust domain is the name of an object, which not every name that SPIFFE knows can be. */
function readServedDomain(reader: Reader): TrustDomain | undefined {
  const name = readTrustDomain(reader);
  if (name === undefined || DNS_NAME.test(name)) return name;
  return complain(reader, "trust-domain", "a DNS name in lower case, since a TrustDomain object has it");
}

/** Where neither a flag nor the pod says which. */
export function operatorNamespace(config: ControllerConfig, ofPod: string | undefined): string {
  return config.namespace ?? ofPod ?? DEFAULT_OPERATOR_NAMESPACE;
}

function readNamespaces(reader: Reader): readonly string[] | undefined {
  const text = textOf(reader.options, "watch-namespaces");
  if (text === undefined || text.trim() === "") return undefined;
  const names = [...new Set(text.split(",").map((name) => name.trim()))];
  const bad = names.find((name) => !LABEL.test(name));
  if (bad === undefined) return names;
  return complain(reader, "watch-namespaces", `names of namespaces, each ${LABEL_FORM}`);
}

function readSpec(reader: Reader): Readonly<Record<string, unknown>> {
  const path = textOf(reader.options, "trust-domain-file");
  if (path === undefined) return {};
  try {
    const value: unknown = parse(readFileSync(path, "utf8"), { maxAliasCount: 0 });
    const spec = value === null ? {} : asRecord(value);
    if (spec !== undefined) return spec;
  } catch (cause) {
    if (cause instanceof OperatorError) throw cause;
  }
  complain(reader, "trust-domain-file", "a readable YAML file with the spec of a TrustDomain");
  return {};
}
