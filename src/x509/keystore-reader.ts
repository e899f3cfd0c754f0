/**
 * Reads PKCS#12 files to explain them: certificates, names and how they are protected. Private keys stay shut. Only
 * strict DER with a MAC is read; of the encryptions only PBES2 with AES, others are named.
 */

import { createDecipheriv, timingSafeEqual } from "node:crypto";
import { OperatorError } from "../core/errors.ts";
import type { Secret } from "../core/secret.ts";
import { contextTag, DerCursor, TAG } from "./der.ts";
import { printable } from "./name-reader.ts";
import { encryptionKey, MAC_DIGESTS, type MacDigest, macOf, PKCS12_OID } from "./pkcs12.ts";

const MAX_KEYSTORE_BYTES = 1_048_576;

const MAX_BAGS = 512;
const MAX_ITERATIONS = 1_000_000;
const FIELD = "keystore";

const PRFS: Readonly<Record<string, string>> = {
  "1.2.840.113549.2.7": "sha1",
  "1.2.840.113549.2.9": "sha256",
  "1.2.840.113549.2.10": "sha384",
  "1.2.840.113549.2.11": "sha512",
};

const CIPHERS: Readonly<Record<string, { readonly name: string; readonly key: number }>> = {
  "2.16.840.1.101.3.4.1.2": { name: "aes-128-cbc", key: 16 },
  "2.16.840.1.101.3.4.1.22": { name: "aes-192-cbc", key: 24 },
  "2.16.840.1.101.3.4.1.42": { name: "aes-256-cbc", key: 32 },
};

export interface KeystoreCertificate {
  /** DER, not parsed. */
  readonly der: Uint8Array;
  readonly friendlyName: string | undefined;
  /** Whether Java takes it for a trusted root. */
  readonly trusted: boolean;
}

export interface Keystore {
  readonly certificates: readonly KeystoreCertificate[];
  readonly keys: readonly { readonly friendlyName: string | undefined; readonly encryption: string }[];
  /** As in `aes-256-cbc, PBKDF2 sha256, 2048 iterations`; one for each part, `none` for plain ones. */
  readonly encryptions: readonly string[];
  /** As in `sha256, 2048 iterations`. */
  readonly mac: string;
}

interface Findings {
  readonly certificates: KeystoreCertificate[];
  readonly keys: { readonly friendlyName: string | undefined; readonly encryption: string }[];
  readonly encryptions: string[];
}

/** @throws INVALID_INPUT for what is no such file; VERIFICATION_FAILED when the password does not fit. */
export function readPkcs12(der: Uint8Array, password: Secret): Keystore {
  const outer = new DerCursor(der, FIELD);
  if (der.length > MAX_KEYSTORE_BYTES)
    throw outer.fault("is too large", `at most ${MAX_KEYSTORE_BYTES} bytes`);
  const pfx = outer.enter(TAG.sequence, "PFX");
  outer.end("PFX");
  if (pfx.smallInteger("version") !== 3) throw pfx.fault("is of an unknown version", "PKCS#12 version 3");
  const safe = readData(pfx);
  const mac = checkMac(pfx, safe, password);
  pfx.end("PFX");
  const found: Findings = { certificates: [], keys: [], encryptions: [] };
  const parts = new DerCursor(safe, FIELD).enter(TAG.sequence, "authenticated safe");
  while (!parts.done) {
    const content = openPart(parts.enter(TAG.sequence, "content"), password, found);
    if (content !== undefined) readBags(content, found);
  }
  return { ...found, mac };
}

/** The octets of a ContentInfo of type data. */
function readData(cursor: DerCursor): Uint8Array {
  const info = cursor.enter(TAG.sequence, "content");
  const type = info.oid("content type");
  if (type !== PKCS12_OID.data) throw info.fault(`is protected as ${type}`, "password integrity");
  return info.enter(contextTag(0), "content").bytes(TAG.octetString, "content");
}

function checkMac(pfx: DerCursor, safe: Uint8Array, password: Secret): string {
  if (pfx.done) throw pfx.fault("has no MAC", "a keystore with a password");
  const body = pfx.enter(TAG.sequence, "MAC");
  const info = body.enter(TAG.sequence, "digest");
  const id = info.enter(TAG.sequence, "digest algorithm").oid("digest algorithm");
  const expected = info.bytes(TAG.octetString, "digest");
  const salt = body.bytes(TAG.octetString, "salt");
  const iterations = body.done ? 1 : readIterations(body);
  const digests: Readonly<Record<string, MacDigest>> = MAC_DIGESTS;
  const digest = digests[id];
  if (digest === undefined) throw body.fault(`has a MAC of the unknown kind ${id}`, "SHA-1 or SHA-2");
  const actual = macOf(safe, password, digest, { salt, iterations });
  if (actual.length !== expected.length || !timingSafeEqual(actual, expected)) {
    throw new OperatorError(
      "VERIFICATION_FAILED",
      `${FIELD}: the password does not fit, or the file was changed`,
      {
        details: { rule: "PKCS12-MAC" },
      },
    );
  }
  return `${digest.name}, ${iterations} iterations`;
}

function readIterations(cursor: DerCursor): number {
  const iterations = cursor.smallInteger("iterations");
  if (iterations < 1 || iterations > MAX_ITERATIONS) {
    throw cursor.fault(`asks for ${iterations} iterations`, `1 … ${MAX_ITERATIONS}`);
  }
  return iterations;
}

/** The safe contents of one part; undefined where they cannot be opened. */
function openPart(info: DerCursor, password: Secret, found: Findings): Uint8Array | undefined {
  const type = info.oid("content type");
  const holder = info.enter(contextTag(0), "content");
  if (type === PKCS12_OID.data) {
    found.encryptions.push("none");
    return holder.bytes(TAG.octetString, "content");
  }
  if (type !== PKCS12_OID.encryptedData) {
    found.encryptions.push(type);
    return undefined;
  }
  const data = holder.enter(TAG.sequence, "encrypted data");
  data.smallInteger("version");
  const body = data.enter(TAG.sequence, "encrypted content");
  body.oid("content type");
  const scheme = readScheme(body);
  found.encryptions.push(scheme.name);
  return scheme.open?.(body.bytes(contextTag(0, true), "encrypted content"), password);
}

interface Scheme {
  readonly name: string;
  /** Absent for schemes that are only named. */
  readonly open?: (content: Uint8Array, password: Secret) => Uint8Array;
}

function readScheme(cursor: DerCursor): Scheme {
  const identifier = cursor.enter(TAG.sequence, "encryption algorithm");
  const id = identifier.oid("encryption algorithm");
  if (id !== PKCS12_OID.pbes2) return { name: id };
  const parameters = identifier.enter(TAG.sequence, "PBES2");
  const derivation = parameters.enter(TAG.sequence, "key derivation");
  const derivationID = derivation.oid("key derivation");
  const scheme = parameters.enter(TAG.sequence, "cipher");
  const cipherID = scheme.oid("cipher");
  const cipher = CIPHERS[cipherID];
  if (derivationID !== PKCS12_OID.pbkdf2 || cipher === undefined)
    return { name: `${derivationID}, ${cipherID}` };
  const iv = scheme.bytes(TAG.octetString, "initialization vector");
  const body = derivation.enter(TAG.sequence, "PBKDF2");
  const salt = body.bytes(TAG.octetString, "salt");
  const iterations = readIterations(body);
  if (body.tag === TAG.integer) body.smallInteger("key length");
  const prfID = body.done ? "1.2.840.113549.2.7" : body.enter(TAG.sequence, "PRF").oid("PRF");
  const prf = PRFS[prfID];
  if (prf === undefined) return { name: `${cipher.name}, PBKDF2 ${prfID}` };
  return {
    name: `${cipher.name}, PBKDF2 ${prf}, ${iterations} iterations`,
    open: (content, password) => {
      try {
        const key = encryptionKey(password, salt, iterations, { length: cipher.key, prf });
        const decipher = createDecipheriv(cipher.name, key, iv);
        return Buffer.concat([decipher.update(content), decipher.final()]);
      } catch {
        // The engine's error says nothing more, and must not become an oracle.
        throw cursor.fault(
          "has contents that the password does not open",
          "one password for MAC and contents",
        );
      }
    },
  };
}

function readBags(content: Uint8Array, found: Findings): void {
  const outer = new DerCursor(content, FIELD);
  const bags = outer.enter(TAG.sequence, "safe contents");
  outer.end("safe contents");
  while (!bags.done) {
    if (found.certificates.length + found.keys.length >= MAX_BAGS) {
      throw bags.fault("has too many entries", `at most ${MAX_BAGS}`);
    }
    const bag = bags.enter(TAG.sequence, "bag");
    const type = bag.oid("bag type");
    const value = bag.enter(contextTag(0), "bag");
    const { friendlyName, trusted } = readAttributes(bag);
    if (type === PKCS12_OID.certBag)
      found.certificates.push({ der: readCertBag(value), friendlyName, trusted });
    if (type === PKCS12_OID.keyBag) found.keys.push({ friendlyName, encryption: "none" });
    if (type === PKCS12_OID.shroudedKeyBag) {
      const scheme = readScheme(value.enter(TAG.sequence, "encrypted key"));
      found.keys.push({ friendlyName, encryption: scheme.name });
    }
  }
}

function readCertBag(value: DerCursor): Uint8Array {
  const body = value.enter(TAG.sequence, "certificate bag");
  if (body.oid("certificate type") !== PKCS12_OID.x509Certificate) {
    throw body.fault("has a certificate that is not X.509", "X.509 certificates");
  }
  return body.enter(contextTag(0), "certificate").bytes(TAG.octetString, "certificate");
}

function readAttributes(bag: DerCursor): {
  readonly friendlyName: string | undefined;
  readonly trusted: boolean;
} {
  let friendlyName: string | undefined;
  let trusted = false;
  if (bag.done) return { friendlyName, trusted };
  const attributes = bag.enter(TAG.set, "bag attributes");
  while (!attributes.done) {
    const entry = attributes.enter(TAG.sequence, "bag attribute");
    const type = entry.oid("bag attribute");
    const values = entry.enter(TAG.set, "bag attribute");
    if (type === PKCS12_OID.javaTrustedKeyUsage) trusted = true;
    if (type === PKCS12_OID.friendlyName) friendlyName = readBmp(values);
  }
  return { friendlyName, trusted };
}

function readBmp(cursor: DerCursor): string {
  const bytes = cursor.bytes(TAG.bmpString, "friendly name");
  if (bytes.length % 2 !== 0) throw cursor.fault("has a BMPString of odd length", "DER");
  return printable(Buffer.from(bytes).swap16().toString("utf16le"));
}
