/**
 * The rules for a chain of signing certificates that others made, and for the roots it may end in (RFC 5280 §6.1,
 * X509-SVID §4). Faults are told with the place of the certificate, what was found and what was expected.
 */

import type { Seconds } from "../core/brand.ts";
import { toRfc3339 } from "../core/clock.ts";
import { formatDuration } from "../core/duration.ts";
import { invalidInput, isOperatorError, OperatorError, quoted } from "../core/errors.ts";
import type { TrustDomain } from "../spiffe/trust-domain.ts";
import { type Certificate, parseCertificate } from "../x509/certificate.ts";
import { sameBytes } from "../x509/der.ts";
import { AUTHORITY_KEY_ALGORITHMS, encodeSpki, type KeyAlgorithm, keyAlgorithmOf } from "../x509/keys.ts";
import { checkNameConstraints, checkPathLength, signatureHolds } from "../x509/path.ts";
import type { CertificatePem } from "../x509/pem.ts";
import { checkAnchorProfile, checkIntermediateProfile } from "../x509/profile.ts";

export interface ExternalContext {
  readonly trustDomain: TrustDomain;
  readonly now: Seconds;
  /** For messages, as in "Secret meshid-system/byo-ca". */
  readonly place: string;
  /** How long every certificate of the chain must still be valid. */
  readonly leastLife: Seconds;
  /** Examples of names that leaves will carry: name constraints must permit them. */
  readonly dnsNames: readonly string[];
  readonly ipAddresses?: readonly string[];
}

/** A certificate with where it stands, as in `tls.crt certificate 2 ("CN=Issuing CA")`. */
export interface Placed {
  readonly certificate: Certificate;
  readonly place: string;
}

/** Issuing first; its root is no part of it. */
export type Chain = readonly [Placed, ...Placed[]];

/** In bytes: what meshid reads back from a leaf, and twice what RFC 5280 suggests. */
const MAX_SUBJECT_KEY_ID = 32;
const UPPER_ALGORITHMS: readonly KeyAlgorithm[] = [...AUTHORITY_KEY_ALGORITHMS, "RSA-2048"];

/**
 * For the roots in `ca.crt`. Their life is not looked at, for a root may be published before it is needed. A key usage need
 * not be critical: many an old root has it so, and no peer minds.
 */
export function checkRoot(root: Placed, trustDomain: TrustDomain): void {
  const { certificate, place } = root;
  if (!isSelfIssued(certificate)) {
    throw invalidInput(
      place,
      `was issued by ${quoted(certificate.issuer)}`,
      "self-signed roots only in ca.crt; intermediates stand in tls.crt behind the issuing certificate",
    );
  }
  checkSubject(root);
  checkAnchorProfile(certificate, place, trustDomain);
  if (!certificate.basicConstraintsCritical) {
    throw invalidInput(
      place,
      "has basicConstraints that are not critical",
      "critical basicConstraints with CA:TRUE",
    );
  }
  if (certificate.keyUsage === undefined) {
    throw invalidInput(
      place,
      "has no key usage",
      "a keyUsage with keyCertSign: strict peers ask for it in a root too",
    );
  }
  checkAlgorithms(root, UPPER_ALGORITHMS);
  checkSubjectKeyID(root);
  const fault = issuedFault(root, root);
  if (fault !== undefined) throw fault;
}

export function isSelfIssued({ subjectDer, issuerDer }: Certificate): boolean {
  return sameBytes(subjectDer, issuerDer);
}

/** `below`: how many authorities stand between this one and a leaf. */
export function checkAuthority(placed: Placed, below: number, { trustDomain }: ExternalContext): void {
  const { certificate, place } = placed;
  checkSubject(placed);
  checkIntermediateProfile(certificate, place, trustDomain);
  checkAlgorithms(placed, below === 0 ? AUTHORITY_KEY_ALGORITHMS : UPPER_ALGORITHMS);
  checkPathLength(certificate, place, below);
  checkSubjectKeyID(placed);
  if (certificate.authorityKeyID !== undefined) return;
  throw invalidInput(
    place,
    "has no authority key identifier",
    "the subject key identifier of its issuer in it",
  );
}

/** RFC 5280 §4.2.1.2 demands it of all that sign; what is signed repeats it. Python 3.13 and later hold a chain to it. */
function checkSubjectKeyID({ certificate, place }: Placed): void {
  const bytes = (certificate.subjectKeyID ?? "").length / 2;
  if (bytes > 0 && bytes <= MAX_SUBJECT_KEY_ID) return;
  throw invalidInput(
    place,
    bytes === 0 ? "has no subject key identifier" : `has a subject key identifier of ${bytes} bytes`,
    `a subject key identifier of 1 to ${MAX_SUBJECT_KEY_ID} bytes`,
  );
}

function checkSubject({ certificate, place }: Placed): void {
  if (certificate.subject !== "") return;
  throw invalidInput(place, "has an empty subject", "a subject, which what it signs names as its issuer");
}

function checkAlgorithms({ certificate, place }: Placed, allowed: readonly KeyAlgorithm[]): void {
  const { publicKey, signatureAlgorithm, spki } = certificate;
  const algorithm = keyAlgorithmOf(publicKey);
  if (algorithm === undefined || !allowed.includes(algorithm)) {
    const { asymmetricKeyType = "unknown", asymmetricKeyDetails: details } = publicKey;
    const size = details?.namedCurve ?? details?.modulusLength;
    const found = algorithm ?? `${asymmetricKeyType}${size === undefined ? "" : ` ${size}`}`;
    throw invalidInput(place, `has a key of kind ${found}`, `a key of kind ${allowed.join(", ")}`);
  }
  if (!sameBytes(encodeSpki(publicKey), spki)) {
    // The key ID is computed from the encoding.
    throw invalidInput(
      place,
      "has its public key in an unusual encoding",
      "an uncompressed key on a named curve, or RSA",
    );
  }
  if (signatureAlgorithm.name === undefined) {
    throw invalidInput(
      place,
      `is signed with the algorithm ${signatureAlgorithm.oid}`,
      "ECDSA, RSA (PKCS#1 v1.5) or Ed25519 with SHA-256, SHA-384 or SHA-512; nothing with SHA-1",
    );
  }
}

/** Of several roots with that key, one that is valid now, and the one of these that is valid for longest. */
export function findRoot(chain: Chain, roots: readonly Placed[], now: Seconds): Placed {
  const top = chain.at(-1) ?? chain[0];
  const { issuer, issuerDer } = top.certificate;
  const named = roots.filter(({ certificate }) => sameBytes(certificate.subjectDer, issuerDer));
  const [found] = named
    .filter((root) => issuedFault(top, root) === undefined)
    .toSorted((a, b) => endAsOf(b.certificate, now) - endAsOf(a.certificate, now));
  if (found !== undefined) return found;
  const [twin] = named;
  const fault = twin && issuedFault(top, twin);
  if (fault !== undefined) throw fault;
  const others = roots.map((root) => quoted(root.certificate.subject)).join(", ");
  throw invalidInput(
    "ca.crt",
    `holds ${others}, but ${top.place} was issued by ${quoted(issuer)}`,
    "the root that the chain in tls.crt ends in; intermediates that lead to it stand in tls.crt",
  );
}

function endAsOf({ notBefore, notAfter }: Certificate, now: Seconds): number {
  return notBefore > now ? 0 : notAfter;
}

/** Each issued by the next, with keys of their own, and with names that all above permit. */
export function checkLinks(chain: Chain, root: Placed, context: ExternalContext): void {
  const path = [...chain, root];
  const { trustDomain, dnsNames, ipAddresses = [] } = context;
  const leaf = {
    uris: [`spiffe://${trustDomain}/ns/default/sa/default`],
    dnsNames,
    ipAddresses,
    otherNames: 0,
    subject: "",
  };
  checkPathLength(root.certificate, root.place, chain.length);
  path.forEach(({ certificate, place }, index) => {
    const issuer = path[index + 1];
    const fault = issuer && issuedFault({ certificate, place }, issuer);
    if (fault !== undefined) throw fault;
    const below = [leaf, ...path.slice(0, index).map((each) => each.certificate)];
    checkNameConstraints(certificate, place, below);
    const twin = path.slice(0, index).find((each) => sameBytes(each.certificate.spki, certificate.spki));
    if (twin !== undefined)
      throw invalidInput(place, `has the key of ${twin.place}`, "a key of its own for each");
  });
}

/** Why a chain would not be believed under another certificate of its root's key; undefined where it would. */
export function misfitOf(
  root: CertificatePem,
  chain: readonly CertificatePem[],
  context: ExternalContext,
): string | undefined {
  const [issuing, ...intermediates] = chain.map(
    (pem): Placed => ({ certificate: parseCertificate(pem), place: "a certificate in use" }),
  );
  if (issuing === undefined) return undefined;
  try {
    checkLinks([issuing, ...intermediates], { certificate: parseCertificate(root), place: "it" }, context);
    return undefined;
  } catch (error) {
    if (!isOperatorError(error)) throw error;
    return error.message;
  }
}

function issuedFault({ certificate, place }: Placed, issuer: Placed): OperatorError | undefined {
  const { subject, subjectDer, subjectKeyID } = issuer.certificate;
  if (!sameBytes(certificate.issuerDer, subjectDer)) {
    return invalidInput(
      place,
      `was issued by ${quoted(certificate.issuer)}, but the next certificate is of ${quoted(subject)}`,
      "the issuing certificate, then the issuer of each, in this order",
    );
  }
  const { authorityKeyID, authoritySerial } = certificate;
  if (authorityKeyID !== undefined && subjectKeyID !== undefined && authorityKeyID !== subjectKeyID) {
    return invalidInput(
      place,
      `names the authority key ${quoted(authorityKeyID)}`,
      `the subject key identifier of ${issuer.place}, ${quoted(subjectKeyID)}`,
    );
  }
  // OpenSSL holds a certificate to it: it does not take the renewed certificate of the same issuer.
  if (authoritySerial !== undefined && authoritySerial !== issuer.certificate.serialNumber) {
    return invalidInput(
      place,
      `names the serial number ${quoted(authoritySerial)} of its issuer's certificate`,
      `the serial number of ${issuer.place}, ${quoted(issuer.certificate.serialNumber)}`,
    );
  }
  if (signatureHolds(certificate, issuer.certificate.publicKey)) return undefined;
  return invalidInput(place, "has a signature that does not hold", `the signature of ${issuer.place}`);
}

/**
 * Both ends without allowance for clocks: peers may allow none. Nothing of the present time is in a message: it stands in the
 * status, which is written whenever it differs.
 */
export function checkLives(path: readonly Placed[], { now, leastLife }: ExternalContext): void {
  for (const { certificate, place } of path) {
    const { notBefore, notAfter } = certificate;
    if (notBefore > now) {
      throw new OperatorError(
        "INVALID_INPUT",
        `${place}: is not valid before ${toRfc3339(notBefore)}; expected a certificate that is valid now`,
        { retryable: true, details: { field: place, expected: "a certificate that is valid now" } },
      );
    }
    if (notAfter <= now) {
      throw invalidInput(place, `has expired at ${toRfc3339(notAfter)}`, "a certificate that is valid now");
    }
    if (notAfter - now < leastLife) {
      throw invalidInput(
        place,
        `ends at ${toRfc3339(notAfter)}`,
        `at least ${formatDuration(leastLife)} to live for each certificate of the chain`,
      );
    }
  }
}
