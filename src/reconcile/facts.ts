/**
 * From the content of an object to facts about it. Content may have been changed by anyone: whatever cannot be read is
 * simply no fact.
 */

import { digest } from "../core/digest.ts";
import { OperatorError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import { readJwt } from "../jwt/jwt-svid.ts";
import { issuerKeyIdOf, parseCertificate } from "../x509/certificate.ts";
import { keyAlgorithmOf, keyIdOfSpki, keysMatch, parsePrivateKey } from "../x509/keys.ts";
import { splitPem } from "../x509/pem.ts";
import type { KeyHashes } from "./annotations.ts";
import type {
  KnownX509,
  ObjectRef,
  Observed,
  ObservedConfigMap,
  ObservedSecret,
  TokenFacts,
  X509Facts,
} from "./state.ts";

export type Content = Readonly<Record<string, Uint8Array>>;

/** Public documents: they change with the bundle, without a new issuance. */
const PUBLIC_KEYS = ["ca.crt", "root-cert.pem", "bundle.json", "jwks.json"] as const;

/** What does not fit into a status is none of ours: characters of a key ID, and the last instant of RFC 3339. */
const MAX_KEY_ID = 64;
const MAX_INSTANT = 253_402_300_799;

/** `known`: taken in place of reading certificate and key, if the content is still the one that it is of. */
export function observeSecret(
  ref: ObjectRef,
  meta: Observed,
  content: Content,
  known?: KnownX509,
): ObservedSecret {
  const hashes = keyHashes(content);
  return {
    ref,
    ownerUid: meta.ownerUid,
    annotations: meta.annotations,
    hashes,
    bundleHash: publicHash(content),
    x509: known !== undefined && isOf(known, hashes) ? known.facts : x509Facts(content),
    tokens: tokenFacts(content),
  };
}

function isOf(known: KnownX509, hashes: KeyHashes): boolean {
  return ["tls.crt", "tls.key"].every((name) => known.hashes[name] === hashes[name]);
}

export function observeConfigMap(ref: ObjectRef, meta: Observed, content: Content): ObservedConfigMap {
  return {
    ref,
    ownerUid: meta.ownerUid,
    annotations: meta.annotations,
    bundleHash: publicHash(content),
  };
}

/** Sixteen hex digits of SHA-256 for each key, the public documents left out. */
export function keyHashes(content: Content): KeyHashes {
  const issued = Object.entries(content).filter(([key]) => !isPublicKey(key));
  return Object.fromEntries(issued.map(([key, value]) => [key, digest(value).slice(0, 16)]));
}

/** Digest over the public documents that are there; undefined when there is none. */
export function publicHash(content: Content): string | undefined {
  const names = PUBLIC_KEYS.filter((name) => content[name] !== undefined);
  if (names.length === 0) return undefined;
  return digest(...names.flatMap((name) => [name, content[name] ?? ""]));
}

/** The authorities that the public documents carry: key IDs of the roots in `ca.crt`, `kid`s of `jwks.json`. */
export function authoritiesIn(content: Content): {
  readonly roots?: ReadonlySet<string>;
  readonly jwt?: ReadonlySet<string>;
} {
  const ca = content["ca.crt"];
  const jwks = content["jwks.json"];
  return {
    ...(ca === undefined ? {} : { roots: rootKeyIDs(text(ca)) }),
    ...(jwks === undefined ? {} : { jwt: jwksKeyIDs(text(jwks)) }),
  };
}

/** Of a chain, the leaf first. */
export function topIssuerOf(chain: readonly Uint8Array[]): Pick<X509Facts, "topIssuerKeyID"> {
  const top = chain.length > 2 ? chain.at(-1) : undefined;
  const topIssuerKeyID = top && parseCertificate(top).authorityKeyID;
  return topIssuerKeyID === undefined ? {} : { topIssuerKeyID };
}

function isPublicKey(key: string): boolean {
  return (PUBLIC_KEYS as readonly string[]).includes(key);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

function rootKeyIDs(pem: string): ReadonlySet<string> {
  const found = new Set<string>();
  for (const der of readable(() => splitPem(pem)) ?? []) {
    // Not the identifier that stands in it: a root that meshid did not make may have any.
    const keyID = readable(() => keyIdOfSpki(parseCertificate(der).spki));
    if (keyID !== undefined) found.add(keyID);
  }
  return found;
}

function jwksKeyIDs(json: string): ReadonlySet<string> {
  const parsed = readable((): unknown => JSON.parse(json));
  const keys = typeof parsed === "object" && parsed !== null && "keys" in parsed ? parsed.keys : [];
  const found = new Set<string>();
  for (const key of Array.isArray(keys) ? (keys as readonly unknown[]) : []) {
    if (typeof key === "object" && key !== null && "kid" in key && typeof key.kid === "string")
      found.add(key.kid);
  }
  return found;
}

function x509Facts(content: Content): X509Facts | undefined {
  const chain = content["tls.crt"];
  const key = content["tls.key"];
  if (chain === undefined || key === undefined) return undefined;
  return readable(() => {
    const ders = splitPem(text(chain));
    const [der, issuer] = ders;
    if (der === undefined) return undefined;
    const leaf = parseCertificate(der);
    const authorityKeyID = issuerKeyIdOf(leaf, issuer && parseCertificate(issuer));
    if (authorityKeyID === undefined || authorityKeyID.length > MAX_KEY_ID) return undefined;
    return {
      uris: leaf.uris,
      dnsNames: leaf.dnsNames,
      serialNumber: leaf.serialNumber,
      notBefore: leaf.notBefore,
      notAfter: leaf.notAfter,
      authorityKeyID,
      ...topIssuerOf(ders),
      keyAlgorithm: keyAlgorithmOf(leaf.publicKey),
      pairMatches: keysMatch(parsePrivateKey(new Secret(text(key))), leaf.publicKey),
    };
  });
}

function tokenFacts(content: Content): Readonly<Record<string, TokenFacts>> {
  // Keys are chosen by users: `constructor` and `__proto__` are such.
  const found: Record<string, TokenFacts> = Object.create(null);
  for (const [name, bytes] of Object.entries(content)) {
    if (isPublicKey(name) || name.startsWith("tls") || bytes.byteLength > 16_384) continue;
    const token = readable(() => readJwt(text(bytes)));
    if (token === undefined) continue;
    const { header, claims } = token;
    if (header.kid.length > MAX_KEY_ID || Math.max(claims.iat, claims.exp) > MAX_INSTANT) continue;
    found[name] = {
      subject: claims.sub,
      issuer: claims.iss ?? "",
      audiences: claims.aud,
      keyID: header.kid,
      issuedAt: claims.iat,
      expiresAt: claims.exp,
    };
  }
  return found;
}

/** The outcome of a reader; undefined where it refuses its input or the engine's own parser does. */
function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw error;
    if (error instanceof OperatorError && error.retryable) throw error;
    return undefined;
  }
}
