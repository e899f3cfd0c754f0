/**
 * JWT authorities for OIDC clients: the JWK Set and the discovery document. SPIFFE's bundle is a document of its own.
 */

import { KeyObject } from "node:crypto";
import { importJWK } from "jose";
import { invalidInput } from "../core/errors.ts";
import { asRecord, parseStrictJson } from "../core/strict-json.ts";
import { jwkMembers, MAX_BUNDLE_LENGTH, type PublicJwk, publicJwkOf } from "../spiffe/bundle.ts";
import { isJwsAlgorithm, type JwsAlgorithm } from "./jws.ts";
import type { VerificationKey } from "./jwt-svid.ts";

export interface JwksEntry {
  readonly keyID: string;
  readonly jwk: PublicJwk;
  readonly algorithm: JwsAlgorithm;
}

/** An entry as a publisher gave it: RFC 7517 leaves `alg` optional. */
export type ParsedJwksEntry = Omit<JwksEntry, "algorithm"> & { readonly algorithm?: JwsAlgorithm };

const JWKS_PATH = "/.well-known/jwks.json";
const EC_ALGORITHMS: Readonly<Record<string, JwsAlgorithm>> = {
  "P-256": "ES256",
  "P-384": "ES384",
  "P-521": "ES512",
};

/** The JWK Set (RFC 7517), byte for byte the same for the same keys. @throws TypeError when two share a key ID. */
export function encodeJwks(keys: readonly JwksEntry[]): string {
  const sorted = [...keys].sort((a, b) => (a.keyID < b.keyID ? -1 : 1));
  const entries = sorted.map(({ keyID, jwk, algorithm }, index) => {
    if (keyID === "" || sorted[index + 1]?.keyID === keyID) {
      throw new TypeError(`encodeJwks: key ID "${keyID}" is empty or stands twice`);
    }
    return { kty: jwk.kty, use: "sig", alg: algorithm, kid: keyID, ...jwkMembers(jwk) };
  });
  return JSON.stringify({ keys: entries });
}

/** OpenID Connect Discovery 1.0 §3, as far as a verifier of tokens needs it; `issuer` stands there byte for byte as in `iss`. */
export function encodeDiscovery(issuer: string, algorithms: readonly JwsAlgorithm[]): string {
  return JSON.stringify({
    issuer,
    jwks_uri: `${issuer.endsWith("/") ? issuer.slice(0, -1) : issuer}${JWKS_PATH}`,
    response_types_supported: ["id_token"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: [...new Set(algorithms)].sort(),
  });
}

/**
 * The signing keys of a JWK Set; entries that cannot verify a JWT-SVID are left out (RFC 7517 §5).
 * @throws INVALID_INPUT when the text is no JWK Set, names a member twice, or two keys share a `kid`.
 */
export function parseJwks(text: string): readonly ParsedJwksEntry[] {
  const expected = "a JWK Set (RFC 7517) of at most 1 MiB";
  if (text.length > MAX_BUNDLE_LENGTH) throw invalidInput("jwks", "is too long", expected);
  const keys = asRecord(parseStrictJson(text, "jwks"))?.["keys"];
  if (!Array.isArray(keys)) throw invalidInput("jwks.keys", "is not an array", expected);
  const entries = keys.map(parseEntry).filter((entry) => entry !== undefined);
  if (new Set(entries.map(({ keyID }) => keyID)).size !== entries.length) {
    throw invalidInput("jwks.keys", "two keys share a kid", "a kid of its own for each");
  }
  return entries;
}

/**
 * Makes the keys that `verifyJwtSvid` takes, from a parsed bundle or JWK Set. A key that no engine accepts (a point off
 * its curve) is left out, so that its tokens are refused as unknown.
 */
export async function importVerificationKeys(
  entries: readonly ParsedJwksEntry[],
): Promise<ReadonlyMap<string, VerificationKey>> {
  const keys = new Map<string, VerificationKey>();
  for (const { keyID, jwk, algorithm } of entries) {
    const key = await importPublicKey(jwk);
    if (key !== undefined) keys.set(keyID, algorithm === undefined ? { key } : { key, algorithm });
  }
  return keys;
}

function parseEntry(value: unknown): ParsedJwksEntry | undefined {
  const entry = asRecord(value) ?? {};
  const { use, kid, alg } = entry;
  const jwk = publicJwkOf(entry);
  if (use !== undefined && use !== "sig") return undefined;
  if (typeof kid !== "string" || kid === "" || jwk === undefined) return undefined;
  if (alg === undefined) return { keyID: kid, jwk };
  return isJwsAlgorithm(alg) ? { keyID: kid, jwk, algorithm: alg } : undefined;
}

/** The algorithm that jose asks for does not bind the key: `verifyJwtSvid` compares key and algorithm itself. */
async function importPublicKey(jwk: PublicJwk): Promise<KeyObject | undefined> {
  const algorithm = jwk.kty === "RSA" ? "RS256" : EC_ALGORITHMS[jwk.crv ?? ""];
  if (algorithm === undefined) return undefined;
  try {
    const key = await importJWK({ ...jwk }, algorithm);
    return key instanceof Uint8Array ? undefined : KeyObject.from(key);
  } catch {
    return undefined;
  }
}
