/**
 * The trust bundle of one trust domain: its public authorities, as SPIFFE's JWK Set document.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { invalidInput } from "../core/errors.ts";
import { asRecord, parseStrictJson } from "../core/strict-json.ts";
import type { TrustDomain } from "./trust-domain.ts";

/** RFC 7518 §6.2 (EC), §6.3 (RSA), RFC 8037 §2 (OKP): the public members only, all base64url without padding. */
export interface PublicJwk {
  readonly kty: string;
  readonly crv?: string;
  readonly x?: string;
  readonly y?: string;
  readonly n?: string;
  readonly e?: string;
}

interface X509BundleEntry {
  /** A CA certificate, DER. */
  readonly der: Uint8Array;
  /** The certificate's public key. */
  readonly jwk: PublicJwk;
}

interface JwtBundleEntry {
  readonly keyID: string;
  readonly jwk: PublicJwk;
}

export interface Bundle {
  readonly trustDomain: TrustDomain;
  readonly x509Authorities: readonly X509BundleEntry[];
  readonly jwtAuthorities: readonly JwtBundleEntry[];
  /** Rises with each change of content (Trust Domain and Bundle §4.1.1). */
  readonly sequence: number | bigint;
  /** How often a consumer should fetch the bundle again. */
  readonly refreshHint?: Seconds;
}

/** A bundle as a publisher gave it: the sequence with all its digits, absent where the publisher gives none. */
export interface ParsedBundle extends Omit<Bundle, "sequence" | "refreshHint"> {
  readonly sequence: bigint | undefined;
  readonly refreshHint: Seconds;
}

/** For publishers that give no hint (Trust Domain and Bundle §6.1). */
const DEFAULT_REFRESH_HINT: Seconds = seconds(300);

/** Longest bundle document that is read, in UTF-16 units. */
export const MAX_BUNDLE_LENGTH = 1_048_576;

/** By key type: the public members in the order in which they are written. */
const MEMBERS = {
  EC: ["crv", "x", "y"],
  OKP: ["crv", "x"],
  RSA: ["n", "e"],
} as const satisfies Record<string, readonly (keyof PublicJwk)[]>;

const BASE64URL = /^[A-Za-z0-9_-]+$/;

const MAX_SEQUENCE = 2n ** 64n - 1n;
const JWT_CURVES: ReadonlySet<unknown> = new Set(["P-256", "P-384", "P-521"]);

/**
 * The document, byte for byte the same for the same bundle: entries are sorted and a certificate stands once. It has no
 * entry but the two SPIFFE kinds, because peers drop a whole bundle for a `use` that they do not know.
 * @throws TypeError when two JWT authorities share a key ID or the sequence is not a 64-bit whole number.
 */
export function encodeBundle(bundle: Bundle): string {
  const sequence =
    typeof bundle.sequence === "bigint" || Number.isSafeInteger(bundle.sequence)
      ? BigInt(bundle.sequence)
      : -1n;
  if (sequence < 0n || sequence > MAX_SEQUENCE) {
    throw new TypeError(`sequence: expected a whole number of 64 bits, got ${bundle.sequence}`);
  }
  const keys = JSON.stringify([...x509Entries(bundle.x509Authorities), ...jwtEntries(bundle.jwtAuthorities)]);
  const hint = bundle.refreshHint === undefined ? "" : `,"spiffe_refresh_hint":${bundle.refreshHint}`;
  return `{"keys":${keys},"spiffe_sequence":${sequence}${hint}}`;
}

/**
 * Reads the bundle of `trustDomain`; the document does not name its trust domain, the caller knows it by where it came
 * from, and two bundles are never merged. Entries of an unknown `use` or `kty`, without what its use needs, or with key
 * members that are no public key are left out (Trust Domain and Bundle §4.2, RFC 7517 §5); when none remains, no SVID of
 * the trust domain is valid (§4.1.3).
 * @throws INVALID_INPUT when the text is no bundle, names a member twice, or two different JWT keys share a `kid`.
 */
export function parseBundle(text: string, trustDomain: TrustDomain): ParsedBundle {
  const expected = "a SPIFFE bundle document of at most 1 MiB";
  if (text.length > MAX_BUNDLE_LENGTH) throw invalidInput("bundle", "is too long", expected);
  const document = asRecord(parseStrictJson(text, "bundle"));
  if (document === undefined) throw invalidInput("bundle", "is not a JSON object", expected);
  const { keys, spiffe_sequence: sequence, spiffe_refresh_hint: hint } = document;
  if (!Array.isArray(keys)) {
    throw invalidInput("bundle.keys", "is not an array", "an array of JWKs; [] revokes every authority");
  }
  const entries = keys.map(asRecord).filter((entry) => entry !== undefined);
  return {
    trustDomain,
    x509Authorities: entries.map(x509Authority).filter((entry) => entry !== undefined),
    jwtAuthorities: distinctKeys(entries.map(jwtAuthority).filter((entry) => entry !== undefined)),
    sequence: sequence === undefined ? undefined : parseSequence(sequence),
    refreshHint: hint === undefined ? DEFAULT_REFRESH_HINT : parseRefreshHint(hint),
  };
}

/** The public members of a JWK from outside; undefined when it is of another type or a member is missing or misformed. */
export function publicJwkOf(jwk: Readonly<Record<string, unknown>>): PublicJwk | undefined {
  const { kty } = jwk;
  if (kty !== "EC" && kty !== "RSA" && kty !== "OKP") return undefined;
  const found: Record<string, string> = {};
  for (const name of MEMBERS[kty]) {
    const value = jwk[name];
    if (typeof value !== "string" || !BASE64URL.test(value)) return undefined;
    found[name] = value;
  }
  return { kty, ...found };
}

/**
 * All but `kty`, in a fixed order; members that are not public never pass.
 * @throws TypeError when the key is incomplete: what is published must be readable.
 */
export function jwkMembers(jwk: PublicJwk): Readonly<Record<string, string>> {
  const { kty, ...members } = publicJwkOf({ ...jwk }) ?? {};
  if (kty === undefined) throw new TypeError(`jwk: not a complete public key of type ${jwk.kty}`);
  return members;
}

function x509Entries(authorities: readonly X509BundleEntry[]): object[] {
  const byDer = new Map(
    authorities.map(({ der, jwk }) => [Buffer.from(der).toString("base64"), jwk] as const),
  );
  return [...byDer]
    .sort(([a], [b]) => compare(a, b))
    .map(([x5c, jwk]) => ({ kty: jwk.kty, use: "x509-svid", ...jwkMembers(jwk), x5c: [x5c] }));
}

function jwtEntries(authorities: readonly JwtBundleEntry[]): object[] {
  const sorted = [...authorities].sort((a, b) => compare(a.keyID, b.keyID));
  return sorted.map(({ keyID, jwk }, index) => {
    if (keyID === "" || sorted[index + 1]?.keyID === keyID) {
      throw new TypeError(`jwtAuthorities: key ID "${keyID}" is empty or stands twice`);
    }
    return { kty: jwk.kty, use: "jwt-svid", kid: keyID, ...jwkMembers(jwk) };
  });
}

/** By code units, the same on every machine. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

type JwkRecord = Readonly<Record<string, unknown>>;

/** Several certificates: the first counts (X509-SVID §6.2). */
function x509Authority(entry: JwkRecord): X509BundleEntry | undefined {
  const { use, x5c } = entry;
  const first: unknown = use === "x509-svid" && Array.isArray(x5c) ? x5c[0] : undefined;
  const jwk = publicJwkOf(entry);
  if (typeof first !== "string" || first === "" || jwk === undefined) return undefined;
  const der = Buffer.from(first, "base64");
  return der.toString("base64") === first ? { der, jwk } : undefined;
}

function jwtAuthority(entry: JwkRecord): JwtBundleEntry | undefined {
  const { use, kid } = entry;
  const jwk = publicJwkOf(entry);
  if (use !== "jwt-svid" || typeof kid !== "string" || kid === "" || jwk === undefined) return undefined;
  const fits = jwk.kty === "RSA" || (jwk.kty === "EC" && JWT_CURVES.has(jwk.crv));
  return fits ? { keyID: kid, jwk } : undefined;
}

function distinctKeys(authorities: readonly JwtBundleEntry[]): readonly JwtBundleEntry[] {
  const byKeyID = new Map<string, JwtBundleEntry>();
  for (const authority of authorities) {
    const other = byKeyID.get(authority.keyID);
    if (other !== undefined && JSON.stringify(other.jwk) !== JSON.stringify(authority.jwk)) {
      throw invalidInput(
        "bundle.keys",
        "two different jwt-svid keys share a kid",
        "a kid of its own for each",
      );
    }
    byKeyID.set(authority.keyID, authority);
  }
  return [...byKeyID.values()];
}

function parseSequence(value: unknown): bigint {
  const sequence =
    typeof value === "bigint" || Number.isSafeInteger(value) ? BigInt(value as bigint | number) : -1n;
  if (sequence >= 0n && sequence <= MAX_SEQUENCE) return sequence;
  throw invalidInput("bundle.spiffe_sequence", "is not a sequence number", "a whole number of 64 bits");
}

function parseRefreshHint(value: unknown): Seconds {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return seconds(value);
  throw invalidInput("bundle.spiffe_refresh_hint", "is not a length of time", "whole seconds");
}
