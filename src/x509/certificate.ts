/**
 * Reads a certificate that anyone may have made. Our own cursor reads the fields, so that exact names, critical flags
 * and key usage are seen; the engine reads only the public key. No field is read twice by two parsers that could differ.
 */

import type { Seconds } from "../core/brand.ts";
import { invalidInput } from "../core/errors.ts";
import { contextTag, DerCursor, sameBytes, TAG } from "./der.ts";
import { type ExtensionFields, readExtensions } from "./extension-reader.ts";
import { type KeyId, keyIdOfSpki, type PublicKey, parsePublicKey } from "./keys.ts";
import { readName } from "./name-reader.ts";
import { type CertificatePem, certificatePem, encodePem, splitPem } from "./pem.ts";

/** Certificates above this size are refused unread. */
const MAX_CERTIFICATE_BYTES = 65_536;

/** `name` is absent for an algorithm that is not in `SIGNATURE_ALGORITHMS`. */
interface SignatureAlgorithm {
  readonly oid: string;
  readonly name: SignatureAlgorithmName | undefined;
}

/** What a signature on a certificate may be made with, by object identifier: nothing with SHA-1 or MD5. */
const SIGNATURE_ALGORITHMS = {
  "1.2.840.10045.4.3.2": "ECDSA-SHA256",
  "1.2.840.10045.4.3.3": "ECDSA-SHA384",
  "1.2.840.10045.4.3.4": "ECDSA-SHA512",
  "1.2.840.113549.1.1.11": "RSA-SHA256",
  "1.2.840.113549.1.1.12": "RSA-SHA384",
  "1.2.840.113549.1.1.13": "RSA-SHA512",
  "1.3.101.112": "Ed25519",
} as const;
export type SignatureAlgorithmName = (typeof SIGNATURE_ALGORITHMS)[keyof typeof SIGNATURE_ALGORITHMS];

export interface Certificate extends ExtensionFields {
  readonly der: Uint8Array;
  /** The signed part, and the signature over it. */
  readonly tbs: Uint8Array;
  readonly signature: Uint8Array;
  readonly signatureAlgorithm: SignatureAlgorithm;
  /** 1, 2 or 3. */
  readonly version: number;
  /** Lower-case hex without leading zeros; `-` before a negative one, which the profile refuses. */
  readonly serialNumber: string;
  readonly notBefore: Seconds;
  readonly notAfter: Seconds;
  /** As a person reads it: `CN=…, O=…` in the order of the certificate; empty when there is none. */
  readonly subject: string;
  readonly issuer: string;
  /** Names are the same when these bytes are. */
  readonly subjectDer: Uint8Array;
  readonly issuerDer: Uint8Array;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  /** @throws INVALID_INPUT for a key that the engine does not know. */
  readonly publicKey: PublicKey;
  pem(): CertificatePem;
}

/**
 * Structure only: whether it is a good SVID is for `verify.ts`.
 * @throws INVALID_INPUT on anything that is not one certificate in strict DER, or PEM of one.
 */
export function parseCertificate(input: Uint8Array | string, field = "certificate"): Certificate {
  if (typeof input !== "string") return readCertificate(input, field);
  const [der, ...others] = splitPem(input, field);
  if (der === undefined || others.length > 0) {
    throw invalidInput(field, `holds ${others.length + 1} certificates`, "exactly one certificate");
  }
  return readCertificate(der, field);
}

/** Each certificate of a PEM text, in its order. @throws INVALID_INPUT */
export function parseCertificates(pem: string, field = "certificates"): readonly Certificate[] {
  return splitPem(pem, field).map((der, index) => readCertificate(der, `${field}[${index}]`));
}

/**
 * The key ID of whoever signed `certificate`, by the certificate that stands behind it in its chain: an authority that
 * meshid did not make may have another subject key identifier than its key ID, and what it signs repeats that one.
 * Where that certificate is missing or another's, the identifier is taken for the key ID.
 */
export function issuerKeyIdOf(certificate: Certificate, issuer: Certificate | undefined): KeyId | undefined {
  const { authorityKeyID } = certificate;
  if (issuer === undefined || issuer.subjectKeyID !== authorityKeyID) return authorityKeyID;
  return keyIdOfSpki(issuer.spki);
}

function readCertificate(der: Uint8Array, field: string): Certificate {
  if (der.length > MAX_CERTIFICATE_BYTES) {
    throw invalidInput(field, `has ${der.length} bytes`, `at most ${MAX_CERTIFICATE_BYTES} bytes`);
  }
  const outer = new DerCursor(der, field);
  const body = outer.enter(TAG.sequence, "certificate");
  outer.end("certificate");
  const tbs = body.element(TAG.sequence, "tbsCertificate");
  const algorithmDer = body.element(TAG.sequence, "signatureAlgorithm");
  const signature = body.bitStringBytes("signature");
  body.end("certificate");

  const cursor = new DerCursor(tbs, field).enter(TAG.sequence, "tbsCertificate");
  const version = readVersion(cursor);
  const serialNumber = readSerial(cursor);
  if (!sameBytes(cursor.element(TAG.sequence, "signature algorithm"), algorithmDer)) {
    throw cursor.fault("names two different signature algorithms", "one signature algorithm");
  }
  const issuerDer = cursor.element(TAG.sequence, "issuer");
  const validity = cursor.enter(TAG.sequence, "validity");
  const notBefore = validity.time("notBefore");
  const notAfter = validity.time("notAfter");
  validity.end("validity");
  const subjectDer = cursor.element(TAG.sequence, "subject");
  const spki = cursor.element(TAG.sequence, "subjectPublicKeyInfo");
  for (const number of [1, 2]) {
    if (cursor.tag === contextTag(number, true)) cursor.bytes(contextTag(number, true), "unique identifier");
  }
  const extensions = readExtensions(cursor, version);
  cursor.end("tbsCertificate");
  let publicKey: PublicKey | undefined;
  return {
    der,
    tbs,
    signature,
    signatureAlgorithm: readAlgorithm(algorithmDer, field),
    version,
    serialNumber,
    notBefore,
    notAfter,
    subject: readName(subjectDer, field),
    issuer: readName(issuerDer, field),
    subjectDer,
    issuerDer,
    spki,
    ...extensions,
    get publicKey() {
      publicKey ??= readPublicKey(spki, field);
      return publicKey;
    },
    pem: () => certificatePem(der),
  };
}

function readVersion(cursor: DerCursor): number {
  if (cursor.tag !== contextTag(0)) return 1;
  const holder = cursor.enter(contextTag(0), "version");
  const version = holder.smallInteger("version");
  holder.end("version");
  // DER leaves out the default, version 1.
  if (version !== 1 && version !== 2) throw cursor.fault("has an unknown version", "X.509 version 3");
  return version + 1;
}

function readSerial(cursor: DerCursor): string {
  const bytes = cursor.integer("serialNumber");
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
  if (bytes.length > 20) throw cursor.fault("has a serial number of over 20 octets", "at most 20 octets");
  if ((bytes[0] ?? 0) >= 0x80) return `-${hex}`;
  return hex.replace(/^0+(?=.)/, "");
}

function readAlgorithm(der: Uint8Array, field: string): SignatureAlgorithm {
  const cursor = new DerCursor(der, field).enter(TAG.sequence, "signatureAlgorithm");
  const oid = cursor.oid("signatureAlgorithm");
  const name = nameOfAlgorithm(oid);
  // RFC 5758 §3.2 and RFC 8410 §3: no parameters; RFC 4055 §5: NULL for RSA.
  if (name?.startsWith("RSA-") === true && cursor.bytes(TAG.null, "RSA parameters").length > 0) {
    throw cursor.fault("has a NULL with contents", "strict DER");
  }
  if (name !== undefined) cursor.end("signatureAlgorithm");
  return { oid, name };
}

function nameOfAlgorithm(oid: string): SignatureAlgorithmName | undefined {
  const names: Readonly<Record<string, SignatureAlgorithmName>> = SIGNATURE_ALGORITHMS;
  return Object.hasOwn(names, oid) ? names[oid] : undefined;
}

function readPublicKey(spki: Uint8Array, field: string): PublicKey {
  // As PEM: the engine takes 15 µs for it and 36 for an options object with DER.
  return parsePublicKey(encodePem(spki, "PUBLIC KEY"), field);
}
