/**
 * The profile of one certificate (X509-SVID §2–§5): what it says about itself, not who signed it. Every refusal names its
 * rule as `details.rule`, by the row of `test/conformance/x509-svid.test.ts`.
 */

import { OperatorError } from "../core/errors.ts";
import { parseSpiffeId, pathOf, type SpiffeId, trustDomainOf } from "../spiffe/spiffe-id.ts";
import type { TrustDomain } from "../spiffe/trust-domain.ts";
import type { Certificate } from "./certificate.ts";
import { EKU_OID } from "./extensions.ts";

/** As in "intermediate 1": the place of a certificate in its chain, for messages. */
export type Place = string;

/** VERIFICATION_FAILED with `details.rule` and `details.certificate`. */
export function refusal(rule: string, place: Place, message: string, cause?: unknown): OperatorError {
  return new OperatorError("VERIFICATION_FAILED", `${place}: ${message} (${rule})`, {
    details: { rule, certificate: place },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The SPIFFE ID of an end entity. @throws VERIFICATION_FAILED */
export function checkLeafProfile(leaf: Certificate, place: Place = "leaf"): SpiffeId {
  const id = readSpiffeId(leaf, place);
  if (pathOf(id) === "") throw refusal("X-04", place, `the SPIFFE ID ${id} has no path`);
  if (leaf.isCA) throw refusal("X-09", place, "is a signing certificate and cannot authenticate a workload");
  const usage = leaf.keyUsage;
  if (usage === undefined || !leaf.keyUsageCritical) {
    throw refusal("X-13", place, "has no critical key usage extension");
  }
  if (usage.has("keyCertSign") || usage.has("cRLSign")) {
    throw refusal("X-15", place, "may sign certificates or revocation lists");
  }
  if (!usage.has("digitalSignature")) throw refusal("X-15", place, "lacks the key usage digitalSignature");
  // Absent is a SHOULD NOT in the standard; a chain without purposes passes for any purpose elsewhere, so it is refused.
  if (leaf.extKeyUsage === undefined || !hasBothPurposes(leaf.extKeyUsage)) {
    throw refusal("X-17", place, "lacks the extended key usages serverAuth and clientAuth");
  }
  if (leaf.subject === "" && !leaf.sanCritical) {
    throw refusal("X-05", place, "has an empty subject and a subjectAltName that is not critical");
  }
  // RFC 5280 §4.2.1.10: on signing certificates only; peers differ in what they make of it elsewhere.
  if (leaf.nameConstraints !== undefined) throw refusal("X-12", place, "has name constraints");
  checkCommon(leaf, place);
  return id;
}

/** A certificate between leaf and root. @throws VERIFICATION_FAILED */
export function checkIntermediateProfile(
  certificate: Certificate,
  place: Place,
  trustDomain: TrustDomain,
): void {
  if (!certificate.isCA || !certificate.basicConstraintsCritical) {
    throw refusal("X-10", place, "is not a signing certificate: no critical basicConstraints with cA");
  }
  if (certificate.keyUsage === undefined || !certificate.keyUsageCritical) {
    throw refusal("X-13", place, "has no critical key usage extension");
  }
  checkAnchorProfile(certificate, place, trustDomain);
}

/** A root as its bundle carries it: trusted already, so only what would void that trust. @throws VERIFICATION_FAILED */
export function checkAnchorProfile(certificate: Certificate, place: Place, trustDomain: TrustDomain): void {
  if (!certificate.isCA) throw refusal("X-10", place, "is not a signing certificate");
  if (certificate.keyUsage?.has("keyCertSign") === false) {
    throw refusal("X-14", place, "lacks the key usage keyCertSign");
  }
  if (certificate.uris.length > 0) {
    const id = readSpiffeId(certificate, place);
    if (pathOf(id) !== "")
      throw refusal("X-07", place, `the SPIFFE ID ${id} of a signing certificate has a path`);
    if (trustDomainOf(id) !== trustDomain) {
      throw refusal("X-08", place, `signs for ${trustDomainOf(id)}, not for ${trustDomain}`);
    }
  }
  const purposes = certificate.extKeyUsage;
  if (purposes !== undefined && !purposes.includes(EKU_OID.any) && !hasBothPurposes(purposes)) {
    throw refusal("X-17", place, "is limited to purposes other than serverAuth and clientAuth");
  }
  checkCommon(certificate, place);
}

/** What meshid's own root and issuing certificates are beyond that. @throws VERIFICATION_FAILED */
export function checkOwnAuthorityProfile(
  certificate: Certificate,
  place: Place,
  trustDomain: TrustDomain,
): void {
  checkIntermediateProfile(certificate, place, trustDomain);
  if (certificate.nameConstraints !== undefined) throw refusal("X-12", place, "has name constraints");
  if (certificate.uris.length !== 1) throw refusal("X-06", place, "has no SPIFFE ID of the trust domain");
  const others = [...(certificate.keyUsage ?? [])].filter(
    (usage) => usage !== "keyCertSign" && usage !== "cRLSign",
  );
  if (others.length > 0) throw refusal("X-16", place, `has the key usage ${others.join(", ")} of a leaf`);
  checkIdentifiers(certificate, place);
}

/** Serial number and key identifiers as meshid gives them (RFC 5280 §4.1.2.2, §4.2.1.1, §4.2.1.2). */
export function checkIdentifiers(certificate: Certificate, place: Place): void {
  if (!/^[0-9a-f]{16,40}$/.test(certificate.serialNumber)) {
    throw refusal("X-18", place, "has a serial number that is not positive or has under 64 bits");
  }
  if (certificate.subjectKeyID === undefined || certificate.authorityKeyID === undefined) {
    throw refusal("X-18", place, "lacks a subject or authority key identifier");
  }
}

function readSpiffeId(certificate: Certificate, place: Place): SpiffeId {
  const [uri, ...others] = certificate.uris;
  if (uri === undefined) throw refusal("X-01", place, "has no URI in its subjectAltName");
  if (others.length > 0) throw refusal("X-02", place, `has ${others.length + 1} URIs in its subjectAltName`);
  try {
    return parseSpiffeId(uri, "subjectAltName");
  } catch (cause) {
    throw refusal("X-19", place, "the URI in its subjectAltName is not a SPIFFE ID", cause);
  }
}

function hasBothPurposes(purposes: readonly string[]): boolean {
  return purposes.includes(EKU_OID.serverAuth) && purposes.includes(EKU_OID.clientAuth);
}

function checkCommon(certificate: Certificate, place: Place): void {
  if (certificate.version !== 3) throw refusal("X-18", place, `is of X.509 version ${certificate.version}`);
  const [unknown] = certificate.unknownCritical;
  if (unknown !== undefined) throw refusal("X-18", place, `has the unknown critical extension ${unknown}`);
}
