/**
 * Keys of the six algorithms, held as the engine's key objects: a private key is exported only to be written.
 */

import {
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  hash,
  type JsonWebKey,
  type KeyObject,
} from "node:crypto";
import { type Brand, branded } from "../core/brand.ts";
import { invalidInput, OperatorError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import type { PublicJwk } from "../spiffe/bundle.ts";
import { DerCursor, TAG } from "./der.ts";

export const KEY_ALGORITHMS = [
  "ECDSA-P256",
  "ECDSA-P384",
  "RSA-2048",
  "RSA-3072",
  "RSA-4096",
  "Ed25519",
] as const;
export type KeyAlgorithm = (typeof KEY_ALGORITHMS)[number];

/** What a signing key of the trust domain may be. */
export const AUTHORITY_KEY_ALGORITHMS = ["ECDSA-P256", "ECDSA-P384", "RSA-3072", "RSA-4096"] as const;

export type PrivateKey = KeyObject;
export type PublicKey = KeyObject;

/** 40 lower-case hex digits: subject key identifier of certificates and `kid` of tokens. */
export type KeyId = Brand<string, "KeyId">;

/** The bytes before the raw key in a SubjectPublicKeyInfo (RFC 5480 §2, RFC 8410 §4), by JWK curve. */
const SPKI_PREFIX: Readonly<Record<string, Buffer>> = {
  "P-256": Buffer.from("3059301306072a8648ce3d020106082a8648ce3d03010703420004", "hex"),
  "P-384": Buffer.from("3076301006072a8648ce3d020106052b8104002203620004", "hex"),
  Ed25519: Buffer.from("302a300506032b6570032100", "hex"),
};
/** Of the whole SubjectPublicKeyInfo. */
const SPKI_BYTES: Readonly<Record<string, number>> = { "P-256": 91, "P-384": 120, Ed25519: 44 };

/** By the engine's name of the curve. */
const CURVE_ALGORITHMS: Readonly<Record<string, KeyAlgorithm>> = {
  prime256v1: "ECDSA-P256",
  secp384r1: "ECDSA-P384",
};

/** Runs on the engine's thread pool; callers bound how many run at once. @throws SIGNING_FAILED */
export function generateKey(algorithm: KeyAlgorithm): Promise<PrivateKey> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, _publicKey: KeyObject, privateKey: KeyObject): void => {
      if (error === null) resolve(privateKey);
      else reject(new OperatorError("SIGNING_FAILED", `generating a key of ${algorithm}`, { cause: error }));
    };
    switch (algorithm) {
      case "ECDSA-P256":
        return generateKeyPair("ec", { namedCurve: "P-256" }, done);
      case "ECDSA-P384":
        return generateKeyPair("ec", { namedCurve: "P-384" }, done);
      case "Ed25519":
        return generateKeyPair("ed25519", {}, done);
      case "RSA-2048":
      case "RSA-3072":
      case "RSA-4096":
        return generateKeyPair("rsa", { modulusLength: Number(algorithm.slice(4)) }, done);
    }
  });
}

/** Of a public key too. Undefined for keys that meshid does not make. */
export function keyAlgorithmOf(key: KeyObject): KeyAlgorithm | undefined {
  const type = key.asymmetricKeyType;
  if (type === "ed25519") return "Ed25519";
  if (type === "ec") return CURVE_ALGORITHMS[key.asymmetricKeyDetails?.namedCurve ?? ""];
  if (type !== "rsa") return undefined;
  const name = `RSA-${key.asymmetricKeyDetails?.modulusLength ?? 0}`;
  return KEY_ALGORITHMS.find((algorithm) => algorithm === name);
}

export function publicKeyOf(privateKey: PrivateKey): PublicKey {
  return createPublicKey(privateKey);
}

/** Whether the two are one pair; no signature is made. */
export function keysMatch(privateKey: PrivateKey, publicKey: PublicKey): boolean {
  return samePublicKey(createPublicKey(privateKey), publicKey);
}

/**
 * Only keys of one type are given to the engine's `equals`: on others it leaves an error behind, with which the next
 * private key, a good one, then fails to load (Node 24.21, OpenSSL's "different key types").
 */
export function samePublicKey(a: PublicKey, b: PublicKey): boolean {
  return a.asymmetricKeyType === b.asymmetricKeyType && a.equals(b);
}

/**
 * SubjectPublicKeyInfo, DER. Elliptic keys go by way of JWK: the engine's own DER export takes 42 µs for P-256, this 18.
 */
export function encodeSpki(key: KeyObject): Uint8Array {
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  if (publicKey.asymmetricKeyType === "rsa") return publicKey.export({ type: "spki", format: "der" });
  const jwk: JsonWebKey = publicKey.export({ format: "jwk" });
  const prefix = SPKI_PREFIX[jwk.crv ?? ""];
  const length = SPKI_BYTES[jwk.crv ?? ""];
  if (prefix === undefined || length === undefined) return publicKey.export({ type: "spki", format: "der" });
  const spki = Buffer.alloc(length);
  const at = prefix.copy(spki);
  const y = at + spki.write(jwk.x ?? "", at, "base64url");
  spki.write(jwk.y ?? "", y, "base64url");
  return spki;
}

/**
 * PKCS#8 PEM, not encrypted, and the SubjectPublicKeyInfo, DER. For the elliptic keys that meshid makes the second is read from
 * the first, which holds the public point at its end (RFC 5915 §3): one export less for each certificate.
 */
export function encodeKey(key: PrivateKey): { readonly pem: Secret; readonly spki: Uint8Array } {
  const pem = encodePrivateKey(key);
  return { pem, spki: spkiIn(pem, keyAlgorithmOf(key)) ?? encodeSpki(key) };
}

function spkiIn(pem: Secret, algorithm: KeyAlgorithm | undefined): Uint8Array | undefined {
  const curve = algorithm === "ECDSA-P256" ? "P-256" : algorithm === "ECDSA-P384" ? "P-384" : "";
  const prefix = SPKI_PREFIX[curve];
  if (prefix === undefined) return undefined;
  const lines = pem.reveal().split("\n");
  const der = Buffer.from(lines.slice(1, -2).join(""), "base64");
  const point = (SPKI_BYTES[curve] ?? 0) - prefix.length;
  // BIT STRING, of whole bytes, uncompressed: the end of the prefix too.
  const end = der.subarray(-point - 4);
  return end.subarray(0, 4).equals(prefix.subarray(-4))
    ? Buffer.concat([prefix, end.subarray(4)])
    : undefined;
}

/** RFC 7093 §2 method 1: the leftmost 160 bits of SHA-256 over the subjectPublicKey's bits. */
export function keyIdOf(key: KeyObject): KeyId {
  return keyIdOfSpki(encodeSpki(key));
}

/** The same, of a SubjectPublicKeyInfo. @throws INVALID_INPUT */
export function keyIdOfSpki(spki: Uint8Array): KeyId {
  const cursor = new DerCursor(spki, "publicKey").enter(TAG.sequence, "SubjectPublicKeyInfo");
  cursor.bytes(TAG.sequence, "algorithm");
  return branded<KeyId>(hash("sha256", cursor.bitStringBytes("subjectPublicKey"), "hex").slice(0, 40));
}

/** PKCS#8 PEM, not encrypted. */
export function encodePrivateKey(key: PrivateKey): Secret {
  return new Secret(key.export({ type: "pkcs8", format: "pem" }).toString());
}

/** @throws INVALID_INPUT; the message never holds any of the key. */
export function parsePrivateKey(pem: Secret, field = "privateKey"): PrivateKey {
  try {
    return createPrivateKey(pem.reveal());
  } catch {
    // The engine's error is dropped on purpose: nothing of a key may travel with an error.
    throw invalidInput(field, "is not a usable private key", "a PKCS#8 key in PEM, not encrypted");
  }
}

/** SubjectPublicKeyInfo PEM. */
export function encodePublicKey(key: PublicKey): string {
  return key.export({ type: "spki", format: "pem" }).toString();
}

/** @throws INVALID_INPUT, also for a private key. */
export function parsePublicKey(pem: string, field = "publicKey"): PublicKey {
  try {
    if (pem.includes("-----BEGIN PUBLIC KEY-----")) return createPublicKey(pem);
  } catch (cause) {
    throw new OperatorError("INVALID_INPUT", `${field}: is not a usable public key`, {
      cause,
      details: { field, expected: "SubjectPublicKeyInfo in PEM" },
    });
  }
  throw invalidInput(field, "is not a public key", "SubjectPublicKeyInfo in PEM");
}

/** Only the members that RFC 7518 §6 and RFC 8037 §2 ask for. */
export function publicJwk(key: KeyObject): PublicJwk {
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  const { kty, crv, x, y, n, e }: JsonWebKey = publicKey.export({ format: "jwk" });
  if (kty === "RSA" && n !== undefined && e !== undefined) return { kty, n, e };
  if (kty === "EC" && crv !== undefined && x !== undefined && y !== undefined) return { kty, crv, x, y };
  if (kty === "OKP" && crv !== undefined && x !== undefined) return { kty, crv, x };
  throw new TypeError(`no JWK form for a key of type ${String(publicKey.asymmetricKeyType)}`);
}
