/**
 * Tokens as an attacker would make them: any header, any claims, any signature.
 */

import { createHmac, generateKeyPairSync, type KeyPairKeyObjectResult, sign } from "node:crypto";
import { type Seconds, seconds } from "../../src/core/brand.ts";
import type { JwtAlgorithm, JwtSvidTemplate, VerifyJwtSvidOptions } from "../../src/jwt/jwt-svid.ts";
import { parseSpiffeId } from "../../src/spiffe/spiffe-id.ts";
import { parseTrustDomain } from "../../src/spiffe/trust-domain.ts";

export const NOW: Seconds = seconds(1_800_000_000);

export const SUBJECT: string = "spiffe://example.org/ns/shop/sa/payments";

export const HONEST_HEADER: { readonly alg: string; readonly kid: string; readonly typ: string } = {
  alg: "ES256",
  kid: "key-1",
  typ: "JWT",
};

export const HONEST_CLAIMS: {
  readonly iss: string;
  readonly sub: string;
  readonly aud: readonly string[];
  readonly iat: number;
  readonly nbf: number;
  readonly exp: number;
  readonly jti: string;
} = {
  iss: "https://meshid.example.org",
  sub: SUBJECT,
  aud: ["orders.shop"],
  iat: NOW,
  nbf: NOW - 60,
  exp: NOW + 3600,
  jti: "2f6b1c1e-5f43-4c4f-8a55-6d6cbb2f3f60",
};

/** What `signJwtSvid` makes the honest token from. */
export const SIGNABLE: JwtSvidTemplate = {
  spiffeId: parseSpiffeId(SUBJECT),
  audience: "orders.shop",
  issuer: HONEST_CLAIMS.iss,
  issuedAt: NOW,
  notBefore: seconds(NOW - 60),
  expiresAt: seconds(NOW + 3600),
  jti: HONEST_CLAIMS.jti,
};

export const P256: KeyPairKeyObjectResult = generateKeyPairSync("ec", { namedCurve: "P-256" });
export const P384: KeyPairKeyObjectResult = generateKeyPairSync("ec", { namedCurve: "P-384" });
export const RSA: KeyPairKeyObjectResult = generateKeyPairSync("rsa", { modulusLength: 2048 });

export const KEY_PAIRS: Readonly<Record<JwtAlgorithm, KeyPairKeyObjectResult>> = {
  ES256: P256,
  ES384: P384,
  RS256: RSA,
  PS256: RSA,
};

/** A verifier that accepts the honest token: the key `key-1` is P256's. */
export const VERIFIER: VerifyJwtSvidOptions = {
  keys: new Map([["key-1", { key: P256.publicKey }]]),
  trustDomain: parseTrustDomain("example.org"),
  audience: "orders.shop",
  now: NOW,
};

export interface Forgery {
  /** An object, or the very text. */
  readonly header?: object | string;
  readonly claims?: object | string;
  readonly signature?: (input: string) => Buffer;
}

/** The honest token, but for what is given. */
export function forge({
  header = HONEST_HEADER,
  claims = HONEST_CLAIMS,
  signature = es256,
}: Forgery): string {
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${signature(input).toString("base64url")}`;
}

export function es256(input: string): Buffer {
  return sign("sha256", Buffer.from(input), { key: P256.privateKey, dsaEncoding: "ieee-p1363" });
}

export function hmac(secret: string | Buffer): (input: string) => Buffer {
  return (input) => createHmac("sha256", secret).update(input).digest();
}

export function encode(part: object | string): string {
  return Buffer.from(typeof part === "string" ? part : JSON.stringify(part)).toString("base64url");
}
