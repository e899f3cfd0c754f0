/**
 * JWT-SVIDs: signing one, and the one strict verifier.
 */

import type { KeyObject } from "node:crypto";
import { type Seconds, seconds } from "../core/brand.ts";
import { CLOCK_SKEW } from "../core/clock.ts";
import { messageOf, OperatorError, quoted } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import { parseSpiffeId, pathOf, type SpiffeId, trustDomainOf } from "../spiffe/spiffe-id.ts";
import type { TrustDomain } from "../spiffe/trust-domain.ts";
import { type JwsAlgorithm, keyFits, signJws, verifyJws } from "./jws.ts";
import { type ReadJwt, readJwt, refuse } from "./read-jwt.ts";

export { readJwt } from "./read-jwt.ts";

/** What meshid signs with; it verifies every algorithm of JWT-SVID §2.1. */
export const JWT_ALGORITHMS = ["ES256", "ES384", "RS256", "PS256"] as const;
export type JwtAlgorithm = (typeof JWT_ALGORITHMS)[number];

export interface JwtSvidTemplate {
  readonly spiffeId: SpiffeId;
  /** One service: a token for several could be replayed by one against another (JWT-SVID §7.2). */
  readonly audience: string;
  readonly issuer: string;
  readonly issuedAt: Seconds;
  /** Back-dated by the allowed clock skew. */
  readonly notBefore: Seconds;
  readonly expiresAt: Seconds;
  readonly jti: string;
}

export interface JwtSigningKey {
  readonly keyID: string;
  readonly algorithm: JwtAlgorithm;
  readonly key: KeyObject;
}

export interface VerificationKey {
  readonly key: KeyObject;
  /** When the publisher names one, the only one accepted with this key. */
  readonly algorithm?: JwsAlgorithm;
}

export interface VerifyJwtSvidOptions {
  /** By key ID: the JWT authorities of the bundle of `trustDomain`. */
  readonly keys: ReadonlyMap<string, VerificationKey>;
  readonly trustDomain: TrustDomain;
  /** The verifier's own name. */
  readonly audience: string;
  readonly now: Seconds;
  /** When given, `iss` must be equal to it. */
  readonly issuer?: string;
  /** Default true: refuse a token that other services accept as well; false asks for what JWT-SVID §3.2 requires and no more. */
  readonly singleAudience?: boolean;
  /** Longest accepted time from `iat` to `exp`; default `MAX_TOKEN_LIFE`. */
  readonly maxLife?: Seconds;
}

/** What a verified token says. */
export interface JwtSvid {
  readonly spiffeId: SpiffeId;
  readonly audiences: readonly string[];
  readonly issuer: string | undefined;
  readonly issuedAt: Seconds;
  readonly expiresAt: Seconds;
  readonly keyID: string;
}

/** The longest token ttl that a TrustDomain allows. */
const MAX_TOKEN_LIFE: Seconds = seconds(86_400);

/**
 * A compact JWS with the header `alg kid typ` and the claims `iss sub aud iat nbf exp jti` (JWT-SVID §2, §3). Does not
 * check what it signed: the caller does, with `verifyJwtSvid`.
 * @throws TypeError when the times are out of order or a name is empty; SIGNING_FAILED when the key does not fit its algorithm.
 */
export async function signJwtSvid(template: JwtSvidTemplate, signingKey: JwtSigningKey): Promise<Secret> {
  const { keyID, algorithm, key } = signingKey;
  checkTemplate(template, keyID);
  if (!keyFits(algorithm, key)) throw signingFailed(keyID, `the key cannot sign ${algorithm}`);
  const header = JSON.stringify({ alg: algorithm, kid: keyID, typ: "JWT" });
  const claims = JSON.stringify({
    iss: template.issuer,
    sub: template.spiffeId,
    aud: [template.audience],
    iat: template.issuedAt,
    nbf: template.notBefore,
    exp: template.expiresAt,
    jti: template.jti,
  });
  const input = `${Buffer.from(header).toString("base64url")}.${Buffer.from(claims).toString("base64url")}`;
  try {
    const signature = await signJws(algorithm, Buffer.from(input), key);
    return new Secret(`${input}.${signature.toString("base64url")}`);
  } catch (error) {
    throw signingFailed(keyID, messageOf(error), error);
  }
}

/**
 * Checks a token from outside: form, header, signature, then claims. Beyond the standard it wants a `kid` and an `iat`,
 * at most `maxLife`, and one audience; clocks may differ by `CLOCK_SKEW`.
 * @throws VERIFICATION_FAILED with `details.rule`.
 */
export function verifyJwtSvid(token: string, options: VerifyJwtSvidOptions): JwtSvid {
  const jwt = readJwt(token);
  checkSignature(jwt, options);
  checkTimes(jwt, options);
  checkAudience(jwt, options);
  const { claims, header } = jwt;
  if (options.issuer !== undefined && claims.iss !== options.issuer) {
    throw refuse("issuer", `iss is ${quoted(claims.iss ?? "")}, not ${quoted(options.issuer)}`);
  }
  return {
    spiffeId: checkSubject(claims.sub, options.trustDomain),
    audiences: claims.aud,
    issuer: claims.iss,
    issuedAt: claims.iat,
    expiresAt: claims.exp,
    keyID: header.kid,
  };
}

function checkTemplate(template: JwtSvidTemplate, keyID: string): void {
  const { audience, issuer, jti, notBefore, issuedAt, expiresAt } = template;
  if ([audience, issuer, jti, keyID].includes("")) {
    throw new TypeError("signJwtSvid: audience, issuer, jti and keyID must not be empty");
  }
  if (notBefore > issuedAt || issuedAt >= expiresAt) {
    throw new TypeError(
      `signJwtSvid: expected notBefore ≤ issuedAt < expiresAt, got ${notBefore}, ${issuedAt}, ${expiresAt}`,
    );
  }
}

function signingFailed(keyID: string, message: string, cause?: unknown): OperatorError {
  return new OperatorError("SIGNING_FAILED", `signing a JWT-SVID with key ${keyID}: ${message}`, {
    cause,
    details: { keyID },
  });
}

function checkSignature({ header, input, signature }: ReadJwt, options: VerifyJwtSvidOptions): void {
  const { keys, trustDomain } = options;
  if (keys.size === 0) throw refuse("B-06", `the bundle of ${trustDomain} has no JWT authority`);
  const found = keys.get(header.kid);
  if (found === undefined) {
    throw refuse("J-14", `key ${quoted(header.kid)} is no JWT authority of ${trustDomain}`);
  }
  const { key, algorithm } = found;
  if (
    (algorithm !== undefined && algorithm !== header.alg) ||
    key.type !== "public" ||
    !keyFits(header.alg, key)
  ) {
    throw refuse("J-03", `alg ${header.alg} does not fit key ${quoted(header.kid)}`);
  }
  if (!verifyJws(header.alg, input, signature, key)) {
    throw refuse("signature", `the signature is not one of key ${quoted(header.kid)}`);
  }
}

function checkTimes({ claims }: ReadJwt, { now, maxLife = MAX_TOKEN_LIFE }: VerifyJwtSvidOptions): void {
  const { iat, nbf, exp } = claims;
  if (now >= exp + CLOCK_SKEW) throw refuse("J-09", `expired at ${exp}, it is ${now}`);
  if (iat > now + CLOCK_SKEW) throw refuse("iat", `issued in the future, at ${iat}, it is ${now}`);
  if (nbf !== undefined && nbf > now + CLOCK_SKEW) {
    throw refuse("nbf", `not valid before ${nbf}, it is ${now}`);
  }
  if (exp <= iat || (nbf !== undefined && exp <= nbf)) throw refuse("J-09", "it ends before it begins");
  if (exp - iat > maxLife + CLOCK_SKEW) {
    throw refuse("life", `valid for ${exp - iat} s, more than the ${maxLife} s accepted`);
  }
}

function checkAudience({ claims }: ReadJwt, options: VerifyJwtSvidOptions): void {
  const { audience, singleAudience = true } = options;
  if (!claims.aud.includes(audience)) throw refuse("J-07", `aud has no ${quoted(audience)}`);
  if (singleAudience && claims.aud.length !== 1) {
    throw refuse("J-08", `aud names ${claims.aud.length} audiences, only one is accepted`);
  }
}

function checkSubject(sub: string, trustDomain: TrustDomain): SpiffeId {
  let id: SpiffeId;
  try {
    id = parseSpiffeId(sub, "sub");
  } catch (error) {
    throw refuse("J-06", messageOf(error), error);
  }
  if (trustDomainOf(id) !== trustDomain) {
    throw refuse("J-14", `sub is of trust domain ${trustDomainOf(id)}, the bundle of ${trustDomain}`);
  }
  if (pathOf(id) === "") throw refuse("J-06", "sub has no path: it is the trust domain's own ID");
  return id;
}
