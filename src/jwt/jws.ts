/**
 * JWS algorithms and raw signatures over `node:crypto` (RFC 7515, RFC 7518 §3).
 *
 * ECDSA goes through DER and is converted here: an options object in the key position, which the engine would need to
 * write r‖s itself, costs more than the signature on Node 24.
 */

import { constants, type KeyObject, sign, verify } from "node:crypto";

/** What a JWT-SVID may be signed with (JWT-SVID §2.1). */
export const JWS_ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "ES256",
  "ES384",
  "ES512",
  "PS256",
  "PS384",
  "PS512",
] as const;
export type JwsAlgorithm = (typeof JWS_ALGORITHMS)[number];

interface Ecdsa {
  readonly scheme: "ECDSA";
  readonly hash: string;
  readonly curve: string;
  /** Bytes of r, and of s. */
  readonly size: number;
}
interface Rsa {
  readonly scheme: "RSA" | "PSS";
  readonly hash: string;
  /** Bytes of the hash, and of the PSS salt. */
  readonly size: number;
}

const PROFILES: Readonly<Record<JwsAlgorithm, Ecdsa | Rsa>> = {
  RS256: { scheme: "RSA", hash: "sha256", size: 32 },
  RS384: { scheme: "RSA", hash: "sha384", size: 48 },
  RS512: { scheme: "RSA", hash: "sha512", size: 64 },
  ES256: { scheme: "ECDSA", hash: "sha256", curve: "prime256v1", size: 32 },
  ES384: { scheme: "ECDSA", hash: "sha384", curve: "secp384r1", size: 48 },
  ES512: { scheme: "ECDSA", hash: "sha512", curve: "secp521r1", size: 66 },
  PS256: { scheme: "PSS", hash: "sha256", size: 32 },
  PS384: { scheme: "PSS", hash: "sha384", size: 48 },
  PS512: { scheme: "PSS", hash: "sha512", size: 64 },
};

/** RFC 7518 §3.3. */
const MIN_RSA_BITS = 2048;

export function isJwsAlgorithm(name: unknown): name is JwsAlgorithm {
  return (JWS_ALGORITHMS as readonly unknown[]).includes(name);
}

/** Whether `key` is of the type, and the curve or size, that `algorithm` requires; never for a symmetric key. */
export function keyFits(algorithm: JwsAlgorithm, key: KeyObject): boolean {
  const profile = PROFILES[algorithm];
  if (profile.scheme === "ECDSA") {
    return key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === profile.curve;
  }
  return key.asymmetricKeyType === "rsa" && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS;
}

/**
 * The signature as a JWS carries it. P-256 signs at once (0.08 ms); everything slower signs on the thread pool.
 * @throws what the engine throws when the key does not fit; ask `keyFits` first.
 */
export async function signJws(algorithm: JwsAlgorithm, input: Buffer, key: KeyObject): Promise<Buffer> {
  const profile = PROFILES[algorithm];
  if (profile.scheme === "ECDSA") {
    const der =
      algorithm === "ES256" ? sign(profile.hash, input, key) : await signOnPool(profile.hash, input, key);
    return rawFromDer(der, profile.size);
  }
  return signOnPool(profile.hash, input, profile.scheme === "PSS" ? withPss(key, profile.size) : key);
}

/** Whether `signature` is one of `key` over `input`; false for every malformed one. The key must fit. */
export function verifyJws(
  algorithm: JwsAlgorithm,
  input: Buffer,
  signature: Buffer,
  key: KeyObject,
): boolean {
  const profile = PROFILES[algorithm];
  if (profile.scheme === "ECDSA") {
    const der = derFromRaw(signature, profile.size);
    return der !== undefined && verify(profile.hash, input, key, der);
  }
  const pssKey = profile.scheme === "PSS" ? withPss(key, profile.size) : key;
  return verify(profile.hash, input, pssKey, signature);
}

type SigningKey = KeyObject | ReturnType<typeof withPss>;

function withPss(
  key: KeyObject,
  saltLength: number,
): { readonly key: KeyObject; readonly padding: number; readonly saltLength: number } {
  return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength };
}

function signOnPool(hash: string, input: Buffer, key: SigningKey): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    sign(hash, input, key, (error, signature) => (error === null ? resolve(signature) : reject(error)));
  });
}

/**
 * SEQUENCE { INTEGER r, INTEGER s } to r‖s (RFC 7518 §3.4). Reads only what `sign` has just written.
 */
function rawFromDer(der: Buffer, size: number): Buffer {
  const raw = Buffer.alloc(2 * size);
  // The length of the SEQUENCE takes a second byte for P-521 only.
  let offset = der[1] === 0x81 ? 3 : 2;
  for (const end of [size, 2 * size]) {
    const length = der[offset + 1] ?? 0;
    const start = offset + 2;
    offset = start + length;
    // A leading zero byte keeps the INTEGER positive.
    const from = Math.max(start, offset - size);
    der.copy(raw, end - (offset - from), from, offset);
  }
  return raw;
}

/** Undefined for a wrong length, r = 0 or s = 0. */
function derFromRaw(raw: Buffer, size: number): Buffer | undefined {
  if (raw.length !== 2 * size) return undefined;
  const r = derInteger(raw.subarray(0, size));
  const s = derInteger(raw.subarray(size));
  if (r === undefined || s === undefined) return undefined;
  const length = r.length + s.length;
  return Buffer.concat([Buffer.from(length < 0x80 ? [0x30, length] : [0x30, 0x81, length]), r, s]);
}

function derInteger(bytes: Buffer): Buffer | undefined {
  const first = bytes.findIndex((byte) => byte !== 0);
  if (first === -1) return undefined;
  const digits = bytes.subarray(first);
  const sign = (digits[0] ?? 0) >= 0x80 ? [0] : [];
  return Buffer.concat([Buffer.from([0x02, digits.length + sign.length, ...sign]), digits]);
}
