/**
 * What writing and reading PKCS#12 (RFC 7292) have in common: names, and keys from passwords.
 */

import { createHmac, hash, pbkdf2Sync } from "node:crypto";
import type { Secret } from "../core/secret.ts";

export const PKCS12_OID = {
  data: "1.2.840.113549.1.7.1",
  encryptedData: "1.2.840.113549.1.7.6",
  keyBag: "1.2.840.113549.1.12.10.1.1",
  shroudedKeyBag: "1.2.840.113549.1.12.10.1.2",
  certBag: "1.2.840.113549.1.12.10.1.3",
  x509Certificate: "1.2.840.113549.1.9.22.1",
  friendlyName: "1.2.840.113549.1.9.20",
  localKeyID: "1.2.840.113549.1.9.21",
  /** Oracle's: without it Java does not take a lone certificate for a trusted one. */
  javaTrustedKeyUsage: "2.16.840.1.113894.746875.1.1",
  anyExtendedKeyUsage: "2.5.29.37.0",
  pbes2: "1.2.840.113549.1.5.13",
  pbkdf2: "1.2.840.113549.1.5.12",
  hmacSha256: "1.2.840.113549.2.9",
  aes256Cbc: "2.16.840.1.101.3.4.1.42",
  sha256: "2.16.840.1.101.3.4.2.1",
} as const;

/** Digests of the MAC, with their block and output lengths in bytes. */
export const MAC_DIGESTS = {
  "1.3.14.3.2.26": { name: "sha1", block: 64, length: 20 },
  "2.16.840.1.101.3.4.2.1": { name: "sha256", block: 64, length: 32 },
  "2.16.840.1.101.3.4.2.2": { name: "sha384", block: 128, length: 48 },
  "2.16.840.1.101.3.4.2.3": { name: "sha512", block: 128, length: 64 },
} as const;
export type MacDigest = (typeof MAC_DIGESTS)[keyof typeof MAC_DIGESTS];

/** HMAC over the authenticated safe with a key from the password (RFC 7292 appendix B, purpose 3). */
export function macOf(
  content: Uint8Array,
  password: Secret,
  digest: MacDigest,
  { salt, iterations }: { readonly salt: Uint8Array; readonly iterations: number },
): Uint8Array {
  const key = macKey(password, salt, iterations, digest);
  return createHmac(digest.name, key).update(content).digest();
}

/** PBKDF2 takes the password as UTF-8 (RFC 8018), where the MAC takes it as UTF-16. */
export function encryptionKey(
  password: Secret,
  salt: Uint8Array,
  iterations: number,
  { length, prf }: { readonly length: number; readonly prf: string },
): Buffer {
  return pbkdf2Sync(password.reveal(), salt, iterations, length, prf);
}

/** Appendix B.2 for one block of output, which is all that a MAC key takes. */
function macKey(password: Secret, salt: Uint8Array, iterations: number, digest: MacDigest): Buffer {
  const text = Buffer.from(`${password.reveal()}\0`, "utf16le").swap16();
  const diversifier = Buffer.alloc(digest.block, 3);
  let block: Buffer = Buffer.concat([diversifier, fill(salt, digest.block), fill(text, digest.block)]);
  for (let i = 0; i < iterations; i++) block = hash(digest.name, block, "buffer");
  return block;
}

/** Repeated to the next multiple of `block`. */
function fill(bytes: Uint8Array, block: number): Buffer {
  return Buffer.alloc(Math.ceil(bytes.length / block) * block, bytes);
}
