/**
 * Signs SVIDs with the active keys, and checks each before anyone sees it.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { CLOCK_SKEW } from "../core/clock.ts";
import { messageOf, OperatorError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import type { Secret } from "../core/secret.ts";
import { type JwtAlgorithm, signJwtSvid, type VerificationKey, verifyJwtSvid } from "../jwt/jwt-svid.ts";
import type { SpiffeId } from "../spiffe/spiffe-id.ts";
import type { TrustDomain } from "../spiffe/trust-domain.ts";
import type { Certificate } from "../x509/certificate.ts";
import { type KeyId, type PrivateKey, type PublicKey, publicKeyOf } from "../x509/keys.ts";
import { type Issuer, signLeaf } from "../x509/template.ts";
import { verifyIssuedLeaf } from "../x509/verify.ts";
import { jwtAlgorithmOf } from "./published-content.ts";
import type { CrossCertificate, Slot } from "./slot.ts";

export interface X509SvidRequest {
  readonly spiffeId: SpiffeId;
  readonly dnsNames: readonly string[];
  /** Only for meshid's own server. */
  readonly ipAddresses?: readonly string[];
  readonly publicKey: PublicKey;
  /** As in `LeafRequest`. */
  readonly spki?: Uint8Array;
  /** Counts from the moment of issue. */
  readonly ttl: Seconds;
}

export interface JwtSvidRequest {
  readonly spiffeId: SpiffeId;
  readonly audience: string;
  /** Counts from the moment of issue. */
  readonly ttl: Seconds;
}

type TtlReason = "Requested" | "CappedByAuthority";

export interface IssuedX509Svid {
  readonly leaf: Certificate;
  /** Leaf, then the issuing certificate, then what stands between it and its root, or what a former root says of that root. */
  readonly chainPem: string;
  readonly serialNumber: string;
  readonly notBefore: Seconds;
  readonly notAfter: Seconds;
  readonly ttlReason: TtlReason;
  readonly authorityKeyID: KeyId;
}

export interface IssuedJwtSvid {
  readonly token: Secret;
  readonly keyID: KeyId;
  readonly jti: string;
  readonly issuedAt: Seconds;
  readonly expiresAt: Seconds;
  readonly ttlReason: TtlReason;
}

/** The active issuing key. */
export interface X509Signer {
  readonly slot: Slot;
  readonly issuer: Issuer;
  readonly issuerPem: string;
  /** Of its root. */
  readonly crossCertificate: CrossCertificate | undefined;
}

/** The active JWT key. */
export interface JwtSigner {
  readonly slot: Slot;
  readonly algorithm: JwtAlgorithm;
  readonly key: PrivateKey;
  readonly verificationKeys: ReadonlyMap<string, VerificationKey>;
}

/** What a signature may say of time; `end` is allowed by the slot's `signedUntil`. */
export interface Grant {
  readonly now: Seconds;
  readonly end: Seconds;
}

export function makeX509Signer(
  slot: Slot,
  issuer: Issuer,
  crossCertificate: CrossCertificate | undefined,
): X509Signer {
  const issuerPem = [issuer.certificate.pem(), ...(slot.intermediates ?? [])].join("");
  return { slot, issuer, issuerPem, crossCertificate };
}

export function makeJwtSigner(slot: Slot, key: PrivateKey): JwtSigner {
  const algorithm = jwtAlgorithmOf(slot.algorithm);
  const verificationKeys = new Map([[String(slot.keyID), { key: publicKeyOf(key), algorithm }]]);
  return { slot, algorithm, key, verificationKeys };
}

/** @throws SIGNING_FAILED, also when what was signed does not pass its own check. */
export async function signX509(
  { slot, issuer, issuerPem, crossCertificate }: X509Signer,
  { spiffeId, dnsNames, ipAddresses, publicKey, spki, ttl }: X509SvidRequest,
  { now, end }: Grant,
  random: Random,
): Promise<IssuedX509Svid> {
  const notBefore = seconds(now - CLOCK_SKEW);
  const request = {
    spiffeId,
    dnsNames,
    ...(ipAddresses === undefined ? {} : { ipAddresses }),
    publicKey,
    ...(spki === undefined ? {} : { spki }),
    notBefore,
    notAfter: end,
    random,
  };
  const signed = await signLeaf(request, issuer);
  const leaf = verifyIssuedLeaf(signed, request, issuer);
  return {
    leaf,
    chainPem: signed.pem + issuerPem + crossPem(crossCertificate, end),
    serialNumber: leaf.serialNumber,
    notBefore,
    notAfter: end,
    ttlReason: ttlReason(ttl, { now, end }),
    authorityKeyID: slot.keyID,
  };
}

export interface TokenContext {
  readonly trustDomain: TrustDomain;
  readonly issuer: string;
  readonly random: Random;
}

/** @throws SIGNING_FAILED, also when what was signed does not pass its own check. */
export async function signToken(
  { slot, algorithm, key, verificationKeys }: JwtSigner,
  { spiffeId, audience, ttl }: JwtSvidRequest,
  { now, end }: Grant,
  { trustDomain, issuer, random }: TokenContext,
): Promise<IssuedJwtSvid> {
  const { keyID } = slot;
  const jti = random.uuid();
  const token = await signJwtSvid(
    { spiffeId, audience, issuer, issuedAt: now, notBefore: seconds(now - CLOCK_SKEW), expiresAt: end, jti },
    { keyID, algorithm, key },
  );
  try {
    const options = { keys: verificationKeys, trustDomain, audience, now, issuer, maxLife: ttl };
    const read = verifyJwtSvid(token.reveal(), options);
    if (read.spiffeId !== spiffeId || read.expiresAt !== end) throw new TypeError("it says something else");
  } catch (cause) {
    throw new OperatorError("SIGNING_FAILED", `checking a JWT-SVID of ${spiffeId}: ${messageOf(cause)}`, {
      cause,
      details: { keyID },
    });
  }
  return { token, keyID, jti, issuedAt: now, expiresAt: end, ttlReason: ttlReason(ttl, { now, end }) };
}

/** It must not end before the leaf does: some peers refuse a chain for a certificate in it that they do not need. */
function crossPem(cross: CrossCertificate | undefined, end: Seconds): string {
  return cross === undefined || cross.notAfter < end ? "" : cross.certificate;
}

function ttlReason(ttl: Seconds, { now, end }: Grant): TtlReason {
  return end < now + ttl ? "CappedByAuthority" : "Requested";
}
