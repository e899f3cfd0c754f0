/**
 * What a ServiceIdentity means: who may hold which SPIFFE ID, with every default filled in.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { formatDuration } from "../core/duration.ts";
import { quoted } from "../core/errors.ts";
import { type SpiffeId, workloadSpiffeId } from "../spiffe/spiffe-id.ts";
import type { TrustDomain } from "../spiffe/trust-domain.ts";
import type { KeyAlgorithm } from "../x509/keys.ts";
import { checkDnsName, defaultDnsNames } from "./dns-names.ts";
import { type FieldPath, parseField, type Report } from "./field-path.ts";
import { requestedBy } from "./metadata.ts";
import { checkLabels, checkSecretKey, checkSubdomain } from "./names.ts";
import { checkSecretNames, checkTokenKeys, jwtSecretName, tokenKey, x509SecretName } from "./secret-names.ts";
import {
  type MtlsMode,
  type MtlsSpec,
  RENEW_ANNOTATION,
  type SecretFormat,
  type ServiceIdentity,
  type TokenSpec,
} from "./service-identity.ts";
import { boundedDuration, TOKEN_TTL_BOUNDS, X509_TTL_BOUNDS } from "./ttl.ts";

/** `<namespace>/<name>`: the key of a ServiceIdentity in queues and indexes. */
export type IdentityKey = string;

export interface TokenEntry {
  readonly audience: string;
  /** The name of the token's key in the Secret. */
  readonly key: string;
  readonly ttl: Seconds;
}

export interface MtlsEntry {
  readonly mode: MtlsMode;
  readonly matchLabels: Readonly<Record<string, string>>;
  readonly exceptions: readonly { readonly port: number; readonly mode: MtlsMode }[];
}

export interface RegistrationEntry {
  readonly key: IdentityKey;
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly generation: number;
  readonly serviceAccountName: string;
  readonly spiffeId: SpiffeId;
  readonly x509: {
    readonly ttl: Seconds;
    readonly renewAfterPercent: number;
    readonly keyAlgorithm: KeyAlgorithm;
    readonly dnsNames: readonly string[];
    readonly secretName: string;
    readonly formats: readonly SecretFormat[];
    readonly passwordSecretRef: { readonly name: string; readonly key: string } | undefined;
  };
  readonly jwt: { readonly tokens: readonly TokenEntry[]; readonly secretName: string } | undefined;
  readonly mtls: MtlsEntry | undefined;
  /** The value of `meshid.dev/renew`. */
  readonly renew: string | undefined;
}

/** What the trust domain and the operator's configuration fix for every entry. */
export interface RegistrationPolicy {
  readonly trustDomain: TrustDomain;
  /** As in `payments.shop.svc.<clusterDomain>`. */
  readonly clusterDomain: string;
  readonly bundleConfigMapName: string;
  /** Where names that begin with `meshid-` are meshid's own. */
  readonly operatorNamespace: string;
  readonly limits: RegistrationLimits;
}

/** `minTTL` is at most `maxTTL` and `maxTokenTTL`. */
export interface RegistrationLimits {
  readonly minTTL: Seconds;
  readonly maxTTL: Seconds;
  readonly maxTokenTTL: Seconds;
  /** Empty = all. */
  readonly keyAlgorithms: readonly KeyAlgorithm[];
  readonly identitiesPerNamespace: number;
}

/** Why a ServiceIdentity has no entry: the first fault found, in the order of the fields. */
interface RegistrationFault {
  readonly reason: "InvalidSpec" | "LimitExceeded";
  /** As in `spec.x509.dnsNames[1]`. */
  readonly field: string;
  readonly path: FieldPath;
  /** What is wrong and what was expected. */
  readonly message: string;
}

export type Registration =
  | { readonly ok: true; readonly entry: RegistrationEntry }
  | { readonly ok: false; readonly fault: RegistrationFault };

/** A fault of either reason; the checks go on after it. */
interface Checks {
  /** InvalidSpec */
  readonly invalid: Report;
  /** LimitExceeded */
  readonly limited: Report;
}

const DEFAULT_X509_TTL = seconds(86_400);
const DEFAULT_TOKEN_TTL = seconds(3_600);
const DEFAULT_RENEW_AFTER_PERCENT = 50;
const DEFAULT_KEY_ALGORITHM: KeyAlgorithm = "ECDSA-P256";
/** In the order in which an entry names them. */
const FORMATS: readonly SecretFormat[] = ["PEM", "Istio", "PKCS12", "Combined"];

/**
 * The entry of an identity that passed the schema. Each CEL rule of the schema has its twin here; what CEL cannot see
 * (the namespace, the TrustDomain's limits) is checked here alone. A default gives way to the limits, a wish does not.
 */
export function registerIdentity(identity: ServiceIdentity, policy: RegistrationPolicy): Registration {
  const { metadata, spec } = identity;
  const { name, namespace } = metadata;
  const faults: RegistrationFault[] = [];
  const checks: Checks = { invalid: into(faults, "InvalidSpec"), limited: into(faults, "LimitExceeded") };
  const serviceAccountName = spec.serviceAccountName ?? name;
  checkSubdomain(checks.invalid, "spec.serviceAccountName", serviceAccountName);
  const x509 = readX509(identity, policy, checks);
  const tokens = readTokens(spec.jwt?.tokens ?? [], policy.limits, checks);
  const mtls = spec.mtls && readMtls(spec.mtls, checks);
  checkSecretNames(checks.invalid, identity, policy);
  const [fault] = faults;
  if (fault !== undefined) return { ok: false, fault };
  const secretName = jwtSecretName(identity);
  const entry: RegistrationEntry = {
    key: `${namespace}/${name}`,
    uid: metadata.uid,
    namespace,
    name,
    generation: metadata.generation,
    serviceAccountName,
    spiffeId: workloadSpiffeId(policy.trustDomain, namespace, serviceAccountName),
    x509,
    jwt: secretName === undefined ? undefined : { tokens, secretName },
    mtls,
    renew: requestedBy(metadata.annotations, RENEW_ANNOTATION),
  };
  return { ok: true, entry };
}

function into(faults: RegistrationFault[], reason: RegistrationFault["reason"]): Report {
  return (field, message, expected) => {
    faults.push({ reason, field, path: parseField(field), message: `${message}; expected ${expected}` });
  };
}

function readX509(
  identity: ServiceIdentity,
  policy: RegistrationPolicy,
  checks: Checks,
): RegistrationEntry["x509"] {
  const spec = identity.spec.x509 ?? {};
  const passwordSecretRef = spec.pkcs12?.passwordSecretRef;
  const ttl = x509Ttl(spec.ttl, policy.limits, checks);
  const keyAlgorithm = readKeyAlgorithm(identity, policy.limits, checks);
  const dnsNames = readDnsNames(identity, policy, checks);
  const formats = FORMATS.filter((format) => format === "PEM" || spec.formats?.includes(format));
  if (formats.includes("PKCS12") && passwordSecretRef === undefined) {
    checks.invalid(
      "spec.x509.pkcs12",
      "format PKCS12 needs a password",
      "pkcs12.passwordSecretRef with name and key",
    );
  }
  if (passwordSecretRef !== undefined) {
    checkSubdomain(checks.invalid, "spec.x509.pkcs12.passwordSecretRef.name", passwordSecretRef.name);
    checkSecretKey(checks.invalid, "spec.x509.pkcs12.passwordSecretRef.key", passwordSecretRef.key);
  }
  return {
    ttl,
    renewAfterPercent: spec.renewAfterPercent ?? DEFAULT_RENEW_AFTER_PERCENT,
    keyAlgorithm,
    dnsNames,
    secretName: x509SecretName(identity),
    formats,
    passwordSecretRef,
  };
}

function x509Ttl(text: string | undefined, limits: RegistrationLimits, checks: Checks): Seconds {
  const max = { name: "maxTTL", value: limits.maxTTL } as const;
  const field = "spec.x509.ttl";
  if (text === undefined) return within(DEFAULT_X509_TTL, limits.minTTL, limits.maxTTL);
  const ttl = boundedDuration(checks.invalid, field, text, X509_TTL_BOUNDS);
  checkLimits(checks.limited, { field, text, ttl }, limits, max);
  return ttl;
}

/** `min` never exceeds `max`: the TrustDomain's own rules see to it. */
function within(length: Seconds, min: Seconds, max: Seconds): Seconds {
  return seconds(Math.min(Math.max(length, min), max));
}

function checkLimits(
  report: Report,
  asked: { readonly field: string; readonly text: string; readonly ttl: Seconds },
  limits: RegistrationLimits,
  max: { readonly name: "maxTTL" | "maxTokenTTL"; readonly value: Seconds },
): void {
  if (asked.ttl < limits.minTTL) {
    const least = formatDuration(limits.minTTL);
    report(
      asked.field,
      `${quoted(asked.text)} is shorter than the TrustDomain allows`,
      `at least limits.minTTL, ${least}`,
    );
  }
  if (asked.ttl > max.value) {
    const most = formatDuration(max.value);
    report(
      asked.field,
      `${quoted(asked.text)} is longer than the TrustDomain allows`,
      `at most limits.${max.name}, ${most}`,
    );
  }
}

function readKeyAlgorithm(
  identity: ServiceIdentity,
  limits: RegistrationLimits,
  checks: Checks,
): KeyAlgorithm {
  const { x509, mtls } = identity.spec;
  const field = "spec.x509.keyAlgorithm";
  const allowed = limits.keyAlgorithms;
  const isAllowed = (algorithm: KeyAlgorithm): boolean => allowed.length === 0 || allowed.includes(algorithm);
  const reader =
    mtls !== undefined ? "mtls" : x509?.formats?.includes("Istio") === true ? "format Istio" : undefined;
  const asked = x509?.keyAlgorithm;
  if (asked === undefined) {
    if (isAllowed(DEFAULT_KEY_ALGORITHM)) return DEFAULT_KEY_ALGORITHM;
    const usable = allowed.find((algorithm) => reader === undefined || algorithm !== "Ed25519");
    if (usable !== undefined) return usable;
    checks.limited(
      field,
      `the TrustDomain allows no key algorithm that fits ${reader}`,
      "an ECDSA or RSA algorithm in limits.keyAlgorithms",
    );
    return DEFAULT_KEY_ALGORITHM;
  }
  if (asked === "Ed25519" && reader !== undefined) {
    checks.invalid(field, "Envoy cannot use Ed25519", `an ECDSA or RSA algorithm together with ${reader}`);
  }
  if (!isAllowed(asked)) {
    checks.limited(
      field,
      `the TrustDomain does not allow ${asked}`,
      `one of limits.keyAlgorithms: ${allowed.join(", ")}`,
    );
  }
  return asked;
}

function readDnsNames(
  identity: ServiceIdentity,
  policy: RegistrationPolicy,
  checks: Checks,
): readonly string[] {
  const { name, namespace } = identity.metadata;
  const scope = { namespace, clusterDomain: policy.clusterDomain };
  const asked = identity.spec.x509?.dnsNames;
  if (asked === undefined) return defaultDnsNames(name, scope);
  for (const [index, dnsName] of asked.entries()) {
    checkDnsName(checks.invalid, `spec.x509.dnsNames[${index}]`, dnsName, scope);
  }
  return asked;
}

function readTokens(
  tokens: readonly TokenSpec[],
  limits: RegistrationLimits,
  checks: Checks,
): readonly TokenEntry[] {
  for (const [index, { audience }] of tokens.entries()) {
    if (/^[!-~]+$/.test(audience)) continue;
    const field = `spec.jwt.tokens[${index}].audience`;
    checks.invalid(
      field,
      `${quoted(audience)} is not an audience`,
      "visible ASCII characters without spaces",
    );
  }
  checkTokenKeys(checks.invalid, tokens);
  const max = { name: "maxTokenTTL", value: limits.maxTokenTTL } as const;
  return tokens.map((token, index) => {
    const { audience, ttl: text } = token;
    const key = tokenKey(token);
    if (text === undefined) {
      return { audience, key, ttl: within(DEFAULT_TOKEN_TTL, limits.minTTL, limits.maxTokenTTL) };
    }
    const field = `spec.jwt.tokens[${index}].ttl`;
    const ttl = boundedDuration(checks.invalid, field, text, TOKEN_TTL_BOUNDS);
    checkLimits(checks.limited, { field, text, ttl }, limits, max);
    return { audience, key, ttl };
  });
}

function readMtls(spec: MtlsSpec, checks: Checks): MtlsEntry {
  const { matchLabels } = spec.selector;
  checkLabels(checks.invalid, "spec.mtls.selector.matchLabels", matchLabels);
  return { mode: spec.mode, matchLabels, exceptions: spec.exceptions ?? [] };
}
