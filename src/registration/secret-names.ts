/**
 * The names of what is written for an identity, defaults included.
 */

import { quoted } from "../core/errors.ts";
import type { Report } from "./field-path.ts";
import { checkSecretKey, checkSubdomain, MAX_SUBDOMAIN } from "./names.ts";
import type { ServiceIdentity, TokenSpec } from "./service-identity.ts";

/** Names that begin so are meshid's own in the operator's namespace. */
const RESERVED_PREFIX = "meshid-";

/** Local mode writes files of these names beside the directories that stand for Secrets and ConfigMaps. */
const FILE_SUFFIXES = [".serviceidentity.yaml", ".peerauthentication.yaml"];

/** Written into the Secret beside the tokens. */
const PUBLIC_TOKEN_KEYS = ["bundle.json", "jwks.json"];

type Identity = Pick<ServiceIdentity, "spec"> & {
  readonly metadata: { readonly name: string; readonly namespace: string };
};

export function x509SecretName({ metadata, spec }: Identity): string {
  return spec.x509?.secretName ?? `${metadata.name}-tls`;
}

/** Undefined where no tokens are asked for. */
export function jwtSecretName({ metadata, spec }: Identity): string | undefined {
  return spec.jwt && (spec.jwt.secretName ?? `${metadata.name}-jwt`);
}

/** The key of a token in the Secret. */
export function tokenKey(token: TokenSpec): string {
  return token.key ?? `${token.audience.replace(/[^A-Za-z0-9._-]/gu, "_")}.jwt`;
}

export interface TakenNames {
  readonly bundleConfigMapName: string;
  readonly operatorNamespace: string;
}

/** Reports names that are none, that are reserved, or that collide with each other. */
export function checkSecretNames(report: Report, identity: Identity, taken: TakenNames): void {
  const x509 = x509SecretName(identity);
  const jwt = jwtSecretName(identity);
  checkSecretName(report, "spec.x509.secretName", x509, { identity, taken });
  if (jwt !== undefined) checkSecretName(report, "spec.jwt.secretName", jwt, { identity, taken });
  if (jwt === x509) {
    report(
      "spec.jwt.secretName",
      `the certificate and the tokens would share one Secret, ${quoted(x509)}`,
      "a name other than that of x509.secretName",
    );
  }
  const password = identity.spec.x509?.pkcs12?.passwordSecretRef.name;
  if (password !== undefined && (password === x509 || password === jwt)) {
    report(
      "spec.x509.pkcs12.passwordSecretRef.name",
      `meshid writes this Secret itself, ${quoted(password)}`,
      "a Secret of your own",
    );
  }
}

/** Reports a name that something else beside the Secrets has already. */
export function checkFileName(report: Report, field: string, name: string): void {
  const suffix = FILE_SUFFIXES.find((end) => name.endsWith(end));
  if (suffix !== undefined) {
    report(
      field,
      `${quoted(name)} ends like a file that local mode writes`,
      `a name that does not end in ${suffix}`,
    );
  }
}

export function checkTokenKeys(report: Report, tokens: readonly TokenSpec[]): void {
  const seen = new Map<string, number>();
  for (const [index, token] of tokens.entries()) {
    const field = `spec.jwt.tokens[${index}].key`;
    const key = tokenKey(token);
    if (token.key !== undefined) checkSecretKey(report, field, key);
    else checkDefaultKey(report, field, key);
    if (PUBLIC_TOKEN_KEYS.includes(key)) {
      report(
        field,
        `the Secret holds the trust bundle under this key, ${quoted(key)}`,
        "a name other than bundle.json and jwks.json",
      );
    }
    const other = seen.get(key);
    if (other !== undefined) {
      report(
        field,
        `two tokens have the same key in the Secret, defaults included: ${quoted(key)}, as tokens[${other}]`,
        "keys that differ",
      );
    }
    seen.set(key, index);
  }
}

function checkDefaultKey(report: Report, field: string, key: string): void {
  const refuse: Report = () =>
    report(field, "the key that the audience gives is no name for a key in a Secret", "a key to be set");
  checkSecretKey(refuse, field, key);
}

function checkSecretName(
  report: Report,
  field: string,
  name: string,
  { identity, taken }: { readonly identity: Identity; readonly taken: TakenNames },
): void {
  const isDefault = name === `${identity.metadata.name}-tls` || name === `${identity.metadata.name}-jwt`;
  if (isDefault && name.length > MAX_SUBDOMAIN) {
    return report(
      field,
      `the default ${name.endsWith("-tls") ? "<name>-tls" : "<name>-jwt"} is too long for a Secret`,
      "a name of at most 253 characters",
    );
  }
  checkSubdomain(report, field, name);
  checkFileName(report, field, name);
  if (name === taken.bundleConfigMapName) {
    report(field, `${quoted(name)} is the name of the trust bundle`, "another name");
  }
  if (identity.metadata.namespace === taken.operatorNamespace && name.startsWith(RESERVED_PREFIX)) {
    report(
      field,
      `${quoted(name)} is reserved: names that begin with ${RESERVED_PREFIX} are meshid's own in this namespace`,
      "another name",
    );
  }
}
