/**
 * What may not change in an object once it is there.
 */

import { quoted } from "../core/errors.ts";
import { type FieldFault, fieldFault } from "./field-path.ts";
import { jwtSecretName, x509SecretName } from "./secret-names.ts";
import type { ServiceIdentity, TrustDomainSpec } from "./service-identity.ts";

type Identity = Pick<ServiceIdentity, "spec"> & {
  readonly metadata: { readonly name: string; readonly namespace: string };
};

/** The names of the Secrets are fixed, default included; while there are no tokens that of their Secret is free. */
export function checkIdentityTransition(before: Identity, after: Identity): FieldFault | undefined {
  const x509 = x509SecretName(before);
  if (x509SecretName(after) !== x509) {
    return fieldFault(
      "spec.x509.secretName",
      "the name of the Secret (default <name>-tls) is fixed at creation",
      `the name it was created with: ${x509}`,
    );
  }
  const jwt = jwtSecretName(before);
  const next = jwtSecretName(after);
  if (jwt === undefined || next === undefined || jwt === next) return undefined;
  return fieldFault(
    "spec.jwt.secretName",
    "the name of the Secret (default <name>-jwt) is fixed at creation",
    `the name it was created with: ${jwt}`,
  );
}

/** The issuer is in every token that was issued. `defaultIssuer` as in `DEFAULT_ISSUER` unless the operator runs elsewhere. */
export function checkTrustDomainTransition(
  before: TrustDomainSpec,
  after: TrustDomainSpec,
  defaultIssuer: string,
): FieldFault | undefined {
  const issuer = before.jwt?.issuer ?? defaultIssuer;
  if ((after.jwt?.issuer ?? defaultIssuer) === issuer) return undefined;
  return fieldFault(
    "spec.jwt.issuer",
    "the issuer of tokens is fixed at creation",
    `the value it was created with: ${quoted(issuer)}`,
  );
}
