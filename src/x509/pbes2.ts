/**
 * Encryption under a password: PBES2 with PBKDF2, HMAC-SHA256 and AES-256-CBC, which OpenSSL and Java read by default.
 */

import { createCipheriv, createPrivateKey } from "node:crypto";
import type { Random } from "../core/random.ts";
import type { Secret } from "../core/secret.ts";
import { type Der, integer, nullValue, octetString, oid, sequence, toBytes } from "./asn1.ts";
import type { PrivateKey } from "./keys.ts";
import { encryptionKey, PKCS12_OID } from "./pkcs12.ts";

const SALT_BYTES = 16;
const IV_BYTES = 16;
/**
 * For a key at rest, whose password is all that guards it (OWASP's number for HMAC-SHA256; the engine's own export has 2048
 * and takes no other): some 0.2 s a key.
 */
const KEY_ITERATIONS = 600_000;

export interface Pbes2Options {
  readonly iterations: number;
  readonly random: Random;
}

/** RFC 8018 §6.2: the AlgorithmIdentifier, and what was encrypted. */
export function encryptPbes2(
  plain: Uint8Array,
  password: Secret,
  { iterations, random }: Pbes2Options,
): { readonly identifier: Der; readonly content: Uint8Array } {
  const salt = random.bytes(SALT_BYTES);
  const iv = random.bytes(IV_BYTES);
  const key = encryptionKey(password, salt, iterations, { length: 32, prf: "sha256" });
  const cipher = createCipheriv("aes-256-cbc", key, iv);
  const content = Buffer.concat([cipher.update(plain), cipher.final()]);
  const prf = sequence(oid(PKCS12_OID.hmacSha256), nullValue());
  const derivation = sequence(oid(PKCS12_OID.pbkdf2), sequence(octetString(salt), integer(iterations), prf));
  const scheme = sequence(oid(PKCS12_OID.aes256Cbc), octetString(iv));
  return { identifier: sequence(oid(PKCS12_OID.pbes2), sequence(derivation, scheme)), content };
}

/** EncryptedPrivateKeyInfo (RFC 5958 §3), PEM: `openssl pkey` reads it. */
export function encryptPrivateKey(key: PrivateKey, password: Secret, random: Random): string {
  const plain = key.export({ type: "pkcs8", format: "der" });
  const { identifier, content } = encryptPbes2(plain, password, { iterations: KEY_ITERATIONS, random });
  const lines = toBytes(sequence(identifier, octetString(content)))
    .toString("base64")
    .match(/.{1,64}/g);
  return `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${(lines ?? []).join("\n")}\n-----END ENCRYPTED PRIVATE KEY-----\n`;
}

/** Undefined for another password, and for what is no encrypted key. */
export function decryptPrivateKey(pem: string, password: Secret): PrivateKey | undefined {
  if (!pem.startsWith("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")) return undefined;
  try {
    return createPrivateKey({ key: pem, passphrase: password.reveal() });
  } catch {
    // The engine's error is dropped on purpose: nothing of a key may travel with an error.
    return undefined;
  }
}
