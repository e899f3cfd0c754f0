/**
 * Path validation (RFC 5280 §6.1) for the one shape of chain that SVIDs have: a leaf, its intermediates in order, and a
 * root that is trusted already. There is no search: a chain out of order is refused.
 */

import { verify as verifyBytes } from "node:crypto";
import type { Seconds } from "../core/brand.ts";
import { CLOCK_SKEW, toRfc3339 } from "../core/clock.ts";
import { isOperatorError } from "../core/errors.ts";
import type { TrustDomain } from "../spiffe/trust-domain.ts";
import type { Certificate, SignatureAlgorithmName } from "./certificate.ts";
import { sameBytes } from "./der.ts";
import type { PublicKey } from "./keys.ts";
import { type ConstrainedNames, constraintFault } from "./name-constraints.ts";
import { checkAnchorProfile, checkIntermediateProfile, type Place, refusal } from "./profile.ts";

/** Of a chain as it is presented, the leaf included. */
export const MAX_CHAIN_LENGTH = 4;

/** The most roots of one bundle that are tried. */
const MAX_ROOTS = 256;

const MIN_RSA_BITS = 2048;
const CURVES: readonly (string | undefined)[] = ["prime256v1", "secp384r1", "secp521r1"];

export interface Path {
  /** The leaf first. A root at the end may be left out, or stand there as another root has certified it. */
  readonly chain: readonly Certificate[];
  /** All roots of the trust domain's bundle, and of no other. */
  readonly roots: readonly Certificate[];
  readonly now: Seconds;
  readonly trustDomain: TrustDomain;
}

/** @throws VERIFICATION_FAILED with rule X-18, or the rule of the profile that an authority breaks. */
export function verifyPath({ chain, roots, now, trustDomain }: Path): void {
  if (chain.length === 0 || chain.length > MAX_CHAIN_LENGTH) {
    throw refusal("X-18", "chain", `has ${chain.length} certificates, not 1 to ${MAX_CHAIN_LENGTH}`);
  }
  if (roots.length === 0 || roots.length > MAX_ROOTS) {
    throw refusal("X-18", "bundle", `has ${roots.length} roots, not 1 to ${MAX_ROOTS}`);
  }
  const path = withoutRoot(chain, roots);
  path.forEach((certificate, index) => {
    const place = placeOf(index);
    if (index > 0) checkIntermediateProfile(certificate, place, trustDomain);
    checkValidity(certificate, place, now);
    checkKey(certificate, place);
    checkPathLength(certificate, place, index - 1);
  });
  // After the keys, so that none is used unchecked.
  path.forEach((certificate, index) => {
    const issuer = path[index + 1];
    if (issuer !== undefined) checkIssuedBy(certificate, issuer, placeOf(index));
  });
  checkAnchored(path, roots, now, trustDomain);
  path.forEach((certificate, index) => {
    checkNameConstraints(certificate, placeOf(index), path.slice(0, index));
  });
}

/** `below`: everything from the leaf up to the authority. @throws VERIFICATION_FAILED */
export function checkNameConstraints(
  authority: Certificate,
  place: Place,
  below: readonly ConstrainedNames[],
): void {
  for (const names of below) {
    const fault = constraintFault(authority, names);
    if (fault !== undefined) throw refusal("X-12", place, fault);
  }
}

/** Names, key identifiers and signature, by an issuer whose key `checkKey` accepted. @throws VERIFICATION_FAILED */
export function checkIssuedBy(certificate: Certificate, issuer: Certificate, place: Place): void {
  if (!namesChain(certificate, issuer))
    throw refusal("X-18", place, "was not issued by the next certificate");
  if (!signatureHolds(certificate, issuer.publicKey)) {
    throw refusal("X-18", place, "has a signature that its issuer did not make");
  }
}

/** Both ends allow `CLOCK_SKEW`. @throws VERIFICATION_FAILED */
export function checkValidity(certificate: Certificate, place: Place, now: Seconds): void {
  if (now + CLOCK_SKEW < certificate.notBefore) {
    throw refusal("X-18", place, `is not valid before ${toRfc3339(certificate.notBefore)}`);
  }
  if (now - CLOCK_SKEW > certificate.notAfter) {
    throw refusal("X-18", place, `has expired at ${toRfc3339(certificate.notAfter)}`);
  }
}

/** Whether it was signed with this very key. False for an algorithm that is not allowed, or does not fit the key. Whether the key is strong is `checkKey`'s. */
export function signatureHolds(certificate: Certificate, key: PublicKey): boolean {
  const { name } = certificate.signatureAlgorithm;
  if (name === undefined || keyTypeOf(name) !== key.asymmetricKeyType) return false;
  const hash = name === "Ed25519" ? null : name.slice(name.indexOf("-") + 1).toLowerCase();
  try {
    return verifyBytes(hash, certificate.tbs, key, certificate.signature);
  } catch {
    // The engine throws on signatures that it cannot even decode: no signature either.
    return false;
  }
}

function checkAnchored(
  path: readonly Certificate[],
  roots: readonly Certificate[],
  now: Seconds,
  trustDomain: TrustDomain,
): void {
  const top = path[path.length - 1];
  const root = roots.find((each) => top !== undefined && namesChain(top, each) && signedBy(top, each));
  if (root === undefined) {
    throw refusal("X-18", placeOf(path.length - 1), "was issued by no root of the bundle");
  }
  checkAnchorProfile(root, "root", trustDomain);
  checkKey(root, "root");
  checkValidity(root, "root", now);
  checkPathLength(root, "root", path.length - 1);
  checkNameConstraints(root, "root", path);
}

/** A root whose key the engine cannot use has signed nothing. */
function signedBy(certificate: Certificate, root: Certificate): boolean {
  try {
    return signatureHolds(certificate, root.publicKey);
  } catch (error) {
    if (isOperatorError(error, "INVALID_INPUT")) return false;
    throw error;
  }
}

function withoutRoot(chain: readonly Certificate[], roots: readonly Certificate[]): readonly Certificate[] {
  const last = chain[chain.length - 1];
  const isRoot = last !== undefined && chain.length > 1 && roots.some((root) => isOneAuthority(root, last));
  return isRoot ? chain.slice(0, -1) : chain;
}

/**
 * Whether two certificates speak of one name with one key: what the one has signed, the other has. Who trusts that root need
 * not care what another root says of it (a cross certificate), nor for how long.
 */
export function isOneAuthority(a: Certificate, b: Certificate): boolean {
  return sameBytes(a.spki, b.spki) && sameBytes(a.subjectDer, b.subjectDer);
}

function namesChain(certificate: Certificate, issuer: Certificate): boolean {
  if (issuer.subject === "" || !sameBytes(certificate.issuerDer, issuer.subjectDer)) return false;
  const { authorityKeyID } = certificate;
  const { subjectKeyID } = issuer;
  return authorityKeyID === undefined || subjectKeyID === undefined || authorityKeyID === subjectKeyID;
}

/** `below`: how many intermediates stand between the certificate and the leaf. @throws VERIFICATION_FAILED */
export function checkPathLength(certificate: Certificate, place: Place, below: number): void {
  if (certificate.pathLength === undefined || below <= certificate.pathLength) return;
  throw refusal("X-18", place, `allows ${certificate.pathLength} authorities below it, not ${below}`);
}

/** @throws VERIFICATION_FAILED */
export function checkKey(certificate: Certificate, place: Place): void {
  let key: PublicKey;
  try {
    key = certificate.publicKey;
  } catch (cause) {
    throw refusal("X-18", place, "has a public key that cannot be used", cause);
  }
  if (isStrong(key)) return;
  throw refusal("X-18", place, `has a weak or unusual ${key.asymmetricKeyType ?? ""} key`);
}

function isStrong(key: PublicKey): boolean {
  const type = key.asymmetricKeyType;
  if (type === "ec") return CURVES.includes(key.asymmetricKeyDetails?.namedCurve);
  if (type === "rsa") return (key.asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS;
  return type === "ed25519";
}

function keyTypeOf(name: SignatureAlgorithmName): string {
  if (name.startsWith("ECDSA-")) return "ec";
  return name.startsWith("RSA-") ? "rsa" : "ed25519";
}

function placeOf(index: number): Place {
  return index === 0 ? "leaf" : `intermediate ${index}`;
}
