/**
 * From the contents of a certificate to a signed one: the frame that all three templates share.
 */

import { sign as signBytes } from "node:crypto";
import type { Seconds } from "../core/brand.ts";
import { invalidInput, OperatorError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import {
  bitString,
  context,
  type Der,
  integer,
  integerBytes,
  nullValue,
  oid,
  sequence,
  splice,
  time,
  toBytes,
} from "./asn1.ts";
import { type KeyAlgorithm, keyAlgorithmOf, type PrivateKey } from "./keys.ts";
import { type CertificatePem, certificatePem } from "./pem.ts";

/** The signature over the DER of a tbsCertificate; a promise for all keys but P-256. */
export type Sign = (tbs: Uint8Array) => Uint8Array | Promise<Uint8Array>;

/** What was signed, not yet verified. */
export interface SignedCertificate {
  readonly der: Uint8Array;
  readonly pem: CertificatePem;
  /** SubjectPublicKeyInfo of the key that was asked for, as `encodeSpki` gives it. */
  readonly spki: Uint8Array;
}

export interface Contents {
  readonly algorithm: Der;
  readonly issuer: Der;
  readonly subject: Der;
  readonly notBefore: Seconds;
  readonly notAfter: Seconds;
  readonly spki: Uint8Array;
  readonly extensions: Der;
  readonly random: Random;
}

const SERIAL_BYTES = 16;

const VERSION_3 = context(0, integer(2));

/** How a key signs certificates. Ed25519 is for leaves only: too few TLS peers take it in a chain. */
const SIGNING = {
  "ECDSA-P256": { hash: "sha256", identifier: sequence(oid("1.2.840.10045.4.3.2")) },
  "ECDSA-P384": { hash: "sha384", identifier: sequence(oid("1.2.840.10045.4.3.3")) },
  "RSA-2048": { hash: "sha256", identifier: sequence(oid("1.2.840.113549.1.1.11"), nullValue()) },
  "RSA-3072": { hash: "sha256", identifier: sequence(oid("1.2.840.113549.1.1.11"), nullValue()) },
  "RSA-4096": { hash: "sha256", identifier: sequence(oid("1.2.840.113549.1.1.11"), nullValue()) },
} as const satisfies Readonly<Record<Exclude<KeyAlgorithm, "Ed25519">, { hash: string; identifier: Der }>>;

/** @throws TypeError for a life that ends before it begins; SIGNING_FAILED */
export async function signContents(contents: Contents, sign: Sign): Promise<SignedCertificate> {
  if (contents.notAfter <= contents.notBefore) throw new TypeError("notAfter is not after notBefore");
  const tbs = sequence(
    VERSION_3,
    integerBytes(serialFrom(contents.random)),
    contents.algorithm,
    contents.issuer,
    sequence(time(contents.notBefore), time(contents.notAfter)),
    contents.subject,
    splice(contents.spki),
    contents.extensions,
  );
  const signature = await signed(toBytes(tbs), sign);
  const der = toBytes(sequence(tbs, contents.algorithm, bitString(signature)));
  return { der, pem: certificatePem(der), spki: contents.spki };
}

async function signed(tbs: Uint8Array, sign: Sign): Promise<Uint8Array> {
  try {
    return await sign(tbs);
  } catch (cause) {
    throw new OperatorError("SIGNING_FAILED", "signing a certificate", { cause });
  }
}

/** 126 random bits in 16 octets: positive, not zero, and minimal without stripping. */
function serialFrom(random: Random): Uint8Array {
  const bytes = Uint8Array.from(random.bytes(SERIAL_BYTES));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

/** P-256 signs at once (25 µs); slower keys on the engine's thread pool, whose use callers bound. */
export function signerOf(key: PrivateKey): { readonly identifier: Der; readonly sign: Sign } {
  const algorithm = keyAlgorithmOf(key);
  if (algorithm === undefined || algorithm === "Ed25519" || key.type !== "private") {
    throw invalidInput(
      "key",
      `${algorithm ?? key.type} cannot sign certificates`,
      "an ECDSA or RSA private key",
    );
  }
  const { hash, identifier } = SIGNING[algorithm];
  if (algorithm === "ECDSA-P256") return { identifier, sign: (tbs) => signBytes(hash, tbs, key) };
  const sign = (tbs: Uint8Array): Promise<Uint8Array> =>
    new Promise((resolve, reject) => {
      signBytes(hash, tbs, key, (error, signature) => {
        if (error === null) resolve(signature);
        else reject(error);
      });
    });
  return { identifier, sign };
}
