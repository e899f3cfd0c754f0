/**
 * From a TrustDomain to the rules that the engine runs by: every default filled in, every duration in seconds.
 */

import type { HoldAt } from "../authority/rotation-plan.ts";
import { type Seconds, seconds } from "../core/brand.ts";
import { formatDuration } from "../core/duration.ts";
import { invalidInput, quoted } from "../core/errors.ts";
import { JWT_ALGORITHMS, type JwtAlgorithm } from "../jwt/jwt-svid.ts";
import { parseTrustDomain, type TrustDomain } from "../spiffe/trust-domain.ts";
import { AUTHORITY_KEY_ALGORITHMS, type KeyAlgorithm } from "../x509/keys.ts";
import type { CertificatePem } from "../x509/pem.ts";
import { readAdditionalRoots } from "./additional-roots.ts";
import type { Report } from "./field-path.ts";
import { readHolds } from "./maintenance-window.ts";
import { checkSubdomain } from "./names.ts";
import type { RegistrationPolicy } from "./registration-entry.ts";
import { checkFileName } from "./secret-names.ts";
import { checkSelector } from "./selector.ts";
import type { TrustDomainObject, TrustDomainSpec } from "./service-identity.ts";
import { boundedDuration, type DurationBounds, TOKEN_TTL_BOUNDS, X509_TTL_BOUNDS } from "./ttl.ts";

export interface TrustDomainPolicy {
  readonly trustDomain: TrustDomain;
  readonly authority: {
    readonly keyAlgorithm: KeyAlgorithm;
    readonly rootTTL: Seconds;
    readonly issuingTTL: Seconds;
    readonly source: "Internal" | "Secret";
    /** A Secret in the operator's namespace; given with source Secret. */
    readonly secretRef: { readonly name: string } | undefined;
  };
  readonly jwt: { readonly issuer: string; readonly algorithm: JwtAlgorithm; readonly keyTTL: Seconds };
  readonly rotation: {
    readonly propagation: Seconds;
    readonly holdAt: HoldAt;
    /** Whether leaves carry what the former root says of theirs. */
    readonly crossSignRoots: boolean;
  };
  readonly bundle: { readonly configMapName: string; readonly additionalRoots: readonly CertificatePem[] };
  readonly registration: RegistrationPolicy;
  /** How long a consumer may keep a bundle or JWKS: at most a fifth of the propagation. */
  readonly refreshHint: Seconds;
}

export interface PolicyContext {
  readonly mode: "local" | "cluster";
  readonly clusterDomain: string;
  /** Default `meshid-system`. */
  readonly operatorNamespace?: string;
}

export const DEFAULT_OPERATOR_NAMESPACE = "meshid-system";

const DEFAULT_ISSUING_TTL = 720 * 3600;
/** Kubelet takes up to 90 s to bring a Secret to a pod, so a cluster has no use for shorter lives. */
const MIN_TTL = { local: "1m", cluster: "10m" } as const;
/** One user owns everything in local mode: there is nobody to bound. */
const IDENTITIES_PER_NAMESPACE = { local: 1_000_000, cluster: 1000 } as const;
const MAX_REFRESH_HINT = 300;
/** Others keep these in every namespace. */
const FOREIGN_CONFIG_MAPS = ["kube-root-ca.crt", "istio-ca-root-cert"];

const HOST = String.raw`[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*`;
const PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])";
/** One URL has one spelling: lower case, no `/` at the end, no `.` or `..` segment, no query, no fragment, no user. */
const ISSUER = new RegExp(`^https://${HOST}(:${PORT})?(/[A-Za-z0-9][A-Za-z0-9._~-]*)*$`);

const refuse: Report = (field, message, expected) => {
  throw invalidInput(field, message, expected);
};

/** Where nothing else is set: the Service that serves discovery. */
export function defaultIssuer(operatorNamespace: string): string {
  return `https://meshid.${operatorNamespace}.svc`;
}

/** @throws INVALID_INPUT naming the field. */
export function trustDomainPolicy(object: TrustDomainObject, context: PolicyContext): TrustDomainPolicy {
  const { spec } = object;
  const trustDomain = parseTrustDomain(object.metadata.name, "metadata.name");
  const operatorNamespace = context.operatorNamespace ?? DEFAULT_OPERATOR_NAMESPACE;
  const source = sourceOf(spec);
  const { authority = {}, jwt = {}, rotation = {} } = spec;
  const rootTTL = duration("spec.authority.rootTTL", authority.rootTTL ?? "8760h", {
    min: "10m",
    max: "87600h",
  });
  const issuingTTL = duration("spec.authority.issuingTTL", authority.issuingTTL ?? defaultIssuing(rootTTL), {
    min: "3m",
  });
  const keyTTL = duration("spec.jwt.keyTTL", jwt.keyTTL ?? "168h", { min: "3m", max: "87600h" });
  const propagation = duration("spec.rotation.propagation", rotation.propagation ?? "30m", {
    min: "1s",
    max: "720h",
  });
  checkLives({ rootTTL, issuingTTL, keyTTL, propagation });
  return {
    trustDomain,
    authority: {
      keyAlgorithm: oneOf(
        "spec.authority.keyAlgorithm",
        authority.keyAlgorithm ?? "ECDSA-P256",
        AUTHORITY_KEY_ALGORITHMS,
      ),
      rootTTL,
      issuingTTL,
      ...source,
    },
    jwt: {
      issuer: issuerOf(jwt.issuer ?? defaultIssuer(operatorNamespace)),
      algorithm: oneOf("spec.jwt.algorithm", jwt.algorithm ?? "ES256", JWT_ALGORITHMS),
      keyTTL,
    },
    rotation: {
      propagation,
      holdAt: readHolds(refuse, spec),
      crossSignRoots: rotation.crossSignRoots ?? false,
    },
    bundle: bundleOf(spec),
    registration: registrationPolicy(object, trustDomain, { ...context, operatorNamespace }),
    refreshHint: seconds(Math.max(1, Math.min(MAX_REFRESH_HINT, Math.floor(propagation / 5)))),
  };
}

function registrationPolicy(
  { spec }: TrustDomainObject,
  trustDomain: TrustDomain,
  context: Required<PolicyContext>,
): RegistrationPolicy {
  const limits = spec.limits ?? {};
  const maxTTL = duration("spec.limits.maxTTL", limits.maxTTL ?? "2160h", X509_TTL_BOUNDS);
  const maxTokenTTL = duration("spec.limits.maxTokenTTL", limits.maxTokenTTL ?? "24h", TOKEN_TTL_BOUNDS);
  const minTTL = duration("spec.limits.minTTL", limits.minTTL ?? MIN_TTL[context.mode], TOKEN_TTL_BOUNDS);
  for (const [name, max] of [
    ["maxTTL", maxTTL],
    ["maxTokenTTL", maxTokenTTL],
  ] as const) {
    if (minTTL <= max) continue;
    const message = `minTTL (default ${MIN_TTL[context.mode]}) is longer than ${name}`;
    throw invalidInput("spec.limits.minTTL", message, `at most ${name} (${formatDuration(max)})`);
  }
  return {
    trustDomain,
    clusterDomain: context.clusterDomain,
    bundleConfigMapName: spec.bundle?.configMapName ?? "meshid-bundle",
    operatorNamespace: context.operatorNamespace,
    limits: {
      minTTL,
      maxTTL,
      maxTokenTTL,
      keyAlgorithms: limits.keyAlgorithms ?? [],
      identitiesPerNamespace: limits.identitiesPerNamespace ?? IDENTITIES_PER_NAMESPACE[context.mode],
    },
  };
}

/** 720h, or half of a root that lives shorter than that. */
function defaultIssuing(rootTTL: Seconds): string {
  return `${Math.min(DEFAULT_ISSUING_TTL, Math.floor(rootTTL / 2))}s`;
}

/** The life of one key leaves room for the next. */
function checkLives(
  lives: Readonly<Record<"rootTTL" | "issuingTTL" | "keyTTL" | "propagation", Seconds>>,
): void {
  const { rootTTL, issuingTTL, keyTTL, propagation } = lives;
  if (2 * issuingTTL > rootTTL) {
    const message = `the issuing authority (${formatDuration(issuingTTL)}) would outlive half of the root (${formatDuration(rootTTL)})`;
    refuse("spec.authority.issuingTTL", message, "at most half of rootTTL (default 8760h)");
  }
  const least = `at least 4 times rotation.propagation (${formatDuration(propagation)}, default 30m)`;
  if (issuingTTL < 4 * propagation) {
    const message = `there is no time to rotate the issuing authority (${formatDuration(issuingTTL)})`;
    refuse("spec.authority.issuingTTL", message, least);
  }
  if (keyTTL < 4 * propagation) {
    const message = `there is no time to rotate the key of tokens (${formatDuration(keyTTL)})`;
    refuse("spec.jwt.keyTTL", message, least);
  }
}

function duration(field: string, text: string, bounds: DurationBounds): Seconds {
  return boundedDuration(refuse, field, text, bounds);
}

function oneOf<T extends string>(field: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === value);
  if (found === undefined) throw invalidInput(field, `"${value}" is not supported`, allowed.join(", "));
  return found;
}

function sourceOf({
  authority = {},
}: TrustDomainSpec): Pick<TrustDomainPolicy["authority"], "source" | "secretRef"> {
  const { source = "Internal", secretRef } = authority;
  if (secretRef !== undefined) checkSubdomain(refuse, "spec.authority.secretRef.name", secretRef.name);
  // A secretRef that nothing reads is left alone: it stays there over a change of source and back.
  if (source === "Internal") return { source, secretRef: undefined };
  if (secretRef === undefined) {
    refuse(
      "spec.authority.secretRef",
      "source Secret needs the Secret to be named",
      "secretRef with its name",
    );
  }
  return { source, secretRef };
}

/** OpenID Connect Discovery 1.0 §3: https, without query and fragment. */
function issuerOf(text: string): string {
  if (text.length > 512 || !ISSUER.test(text) || !URL.canParse(text)) {
    refuse(
      "spec.jwt.issuer",
      `${quoted(text)} cannot be an issuer`,
      "an https URL in lower case, such as https://meshid.example.org/td, with no '/' at the end, no query and no fragment",
    );
  }
  return text;
}

function bundleOf({ bundle = {} }: TrustDomainSpec): TrustDomainPolicy["bundle"] {
  const { configMapName = "meshid-bundle", additionalRoots = "", namespaceSelector = {} } = bundle;
  const field = "spec.bundle.configMapName";
  checkSelector(refuse, "spec.bundle.namespaceSelector", namespaceSelector);
  checkSubdomain(refuse, field, configMapName);
  checkFileName(refuse, field, configMapName);
  if (FOREIGN_CONFIG_MAPS.includes(configMapName)) {
    refuse(field, `others keep ${quoted(configMapName)} in every namespace`, "another name");
  }
  return {
    configMapName,
    additionalRoots: readAdditionalRoots(refuse, "spec.bundle.additionalRoots", additionalRoots),
  };
}
