/**
 * Whether a chain proves a SPIFFE ID, and whether what was just signed is what was asked for.
 */

import type { Seconds } from "../core/brand.ts";
import { messageOf, OperatorError } from "../core/errors.ts";
import { type SpiffeId, trustDomainOf } from "../spiffe/spiffe-id.ts";
import type { TrustDomain } from "../spiffe/trust-domain.ts";
import { type Certificate, parseCertificate } from "./certificate.ts";
import { sameBytes } from "./der.ts";
import { type PublicKey, samePublicKey } from "./keys.ts";
import {
  checkIssuedBy,
  checkKey,
  checkNameConstraints,
  checkPathLength,
  checkValidity,
  isOneAuthority,
  verifyPath,
} from "./path.ts";
import { checkIdentifiers, checkLeafProfile, checkOwnAuthorityProfile, refusal } from "./profile.ts";
import type { SignedCertificate } from "./signing.ts";
import { CROSS_PATH_LENGTH, type Issuer, type LeafRequest } from "./template.ts";

export interface SvidVerification {
  /** The leaf first, then intermediates in order; at most `MAX_CHAIN_LENGTH`. */
  readonly chain: readonly Certificate[];
  /** The roots of `trustDomain`'s bundle, and of no other (Trust Domain and Bundle §7.3). */
  readonly roots: readonly Certificate[];
  readonly now: Seconds;
  readonly trustDomain: TrustDomain;
  readonly expected?: { readonly spiffeId?: SpiffeId; readonly publicKey?: PublicKey };
}

/** X509-SVID §5. @throws VERIFICATION_FAILED with `details.rule` ("X-02", …) and `details.certificate`. */
export function verifyX509Svid(request: SvidVerification): SpiffeId {
  const { chain, roots, now, trustDomain, expected } = request;
  const [leaf] = chain;
  if (leaf === undefined) throw refusal("X-18", "chain", "is empty");
  const id = checkLeafProfile(leaf);
  if (trustDomainOf(id) !== trustDomain) {
    throw refusal("X-18", "leaf", `${id} is not of the trust domain ${trustDomain}, whose bundle this is`);
  }
  verifyPath({ chain, roots, now, trustDomain });
  if (expected?.spiffeId !== undefined && expected.spiffeId !== id) {
    throw refusal("X-01", "leaf", `is for ${id}, not for ${expected.spiffeId}`);
  }
  if (expected?.publicKey !== undefined && !samePublicKey(leaf.publicKey, expected.publicKey)) {
    throw refusal("ID-15", "leaf", "holds another public key than the one expected");
  }
  return id;
}

export interface AuthorityVerification {
  readonly certificate: Certificate;
  /** The root that signed it; absent: a root, signed by itself. */
  readonly issuer?: Certificate;
  readonly trustDomain: TrustDomain;
  readonly publicKey: PublicKey;
  readonly now: Seconds;
}

/** A root or issuing certificate that meshid made. @throws VERIFICATION_FAILED with `details.rule`. */
export function verifyAuthority(request: AuthorityVerification): void {
  const { certificate, issuer = certificate, trustDomain, publicKey, now } = request;
  const place = issuer === certificate ? "root" : "issuing";
  checkOwnAuthorityProfile(certificate, place, trustDomain);
  checkValidity(certificate, place, now);
  checkKey(certificate, place);
  checkKey(issuer, "root");
  if (!samePublicKey(certificate.publicKey, publicKey)) {
    throw refusal("ID-15", place, "holds another public key");
  }
  checkIssuedBy(certificate, issuer, place);
  if (certificate.authorityKeyID !== issuer.subjectKeyID) {
    throw refusal("X-18", place, "names another authority key than its issuer's");
  }
  if (issuer === certificate) return;
  checkOwnAuthorityProfile(issuer, "root", trustDomain);
  checkValidity(issuer, "root", now);
  if (certificate.pathLength !== 0) throw refusal("X-11", place, "may sign further authorities");
  if (certificate.notAfter > issuer.notAfter) throw refusal("X-18", place, "ends after its issuer");
}

export interface CrossVerification {
  readonly certificate: Certificate;
  /** The root that it speaks of, as that speaks of itself. */
  readonly root: Certificate;
  /** The root that signed it; absent: one that nobody here knows any more. */
  readonly issuer?: Certificate;
  readonly trustDomain: TrustDomain;
  readonly now: Seconds;
}

/** What a root of meshid says of its successor. @throws VERIFICATION_FAILED with `details.rule`. */
export function verifyCross({ certificate, root, issuer, trustDomain, now }: CrossVerification): void {
  const place = "cross";
  checkOwnAuthorityProfile(certificate, place, trustDomain);
  checkValidity(certificate, place, now);
  checkKey(certificate, place);
  const isSame = isOneAuthority(certificate, root) && certificate.subjectKeyID === root.subjectKeyID;
  if (!isSame) throw refusal("ID-15", place, "speaks of another root");
  if (certificate.pathLength !== CROSS_PATH_LENGTH)
    throw refusal("X-11", place, "may sign more than issuing authorities");
  if (certificate.notAfter > root.notAfter) throw refusal("X-18", place, "ends after its root");
  if (issuer === undefined) return;
  checkKey(issuer, "root");
  checkIssuedBy(certificate, issuer, place);
  checkPathLength(issuer, "root", CROSS_PATH_LENGTH + 1);
  if (certificate.authorityKeyID !== issuer.subjectKeyID)
    throw refusal("X-18", place, "names another authority key than its issuer's");
  if (certificate.notAfter > issuer.notAfter) throw refusal("X-18", place, "ends after its issuer");
}

/**
 * A leaf fresh from `signLeaf` against what was asked for and against its issuer, whose own chain whoever made the
 * `Issuer` has verified once (`verifyAuthority`). One signature check.
 * @throws SIGNING_FAILED with `details.rule`; the leaf must not be used then.
 */
export function verifyIssuedLeaf(
  signed: SignedCertificate,
  request: LeafRequest,
  issuer: Issuer,
): Certificate {
  try {
    const leaf = parseCertificate(signed.der, "leaf");
    const id = checkLeafProfile(leaf);
    if (id !== request.spiffeId) throw refusal("X-01", "leaf", `is for ${id}, not for ${request.spiffeId}`);
    checkRequested(leaf, request);
    // On encodings: making a key object of each leaf would cost more, its collection included, than its signature.
    if (!sameBytes(leaf.spki, signed.spki)) throw refusal("ID-15", "leaf", "holds another public key");
    checkIdentifiers(leaf, "leaf");
    if (leaf.notAfter > issuer.certificate.notAfter) throw refusal("X-18", "leaf", "ends after its issuer");
    for (const authority of [issuer.certificate, ...issuer.above]) {
      checkNameConstraints(authority, "issuer", [leaf]);
    }
    checkIssuedBy(leaf, issuer.certificate, "leaf");
    return leaf;
  } catch (cause) {
    const details = cause instanceof OperatorError ? cause.details : {};
    throw new OperatorError(
      "SIGNING_FAILED",
      `checking the SVID of ${request.spiffeId}: ${messageOf(cause)}`,
      {
        cause,
        details,
      },
    );
  }
}

function checkRequested(leaf: Certificate, request: LeafRequest): void {
  const same =
    leaf.notBefore === request.notBefore &&
    leaf.notAfter === request.notAfter &&
    sameList(leaf.dnsNames, request.dnsNames) &&
    sameList(leaf.ipAddresses, request.ipAddresses ?? []) &&
    leaf.otherNames === 0 &&
    leaf.subject === "";
  if (!same) throw refusal("X-03", "leaf", "differs from what was asked for in its names or times");
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}
