/**
 * A small public key infrastructure for tests, and certificates as an attacker or a careless issuer would make them.
 */

import { execFileSync } from "node:child_process";
import { sign } from "node:crypto";
import { type Seconds, seconds } from "../../src/core/brand.ts";
import { systemRandom } from "../../src/core/random.ts";
import { parseSpiffeId } from "../../src/spiffe/spiffe-id.ts";
import { parseTrustDomain, type TrustDomain } from "../../src/spiffe/trust-domain.ts";
import {
  bitString,
  context,
  type Der,
  element,
  integer,
  integerBytes,
  nullValue,
  oid,
  sequence,
  set,
  splice,
  time,
  toBytes,
  utf8String,
} from "../../src/x509/asn1.ts";
import { type Certificate, parseCertificate } from "../../src/x509/certificate.ts";
import { TAG } from "../../src/x509/der.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  extensions,
  extKeyUsage,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
} from "../../src/x509/extensions.ts";
import {
  encodeSpki,
  generateKey,
  type KeyAlgorithm,
  keyIdOf,
  type PrivateKey,
  publicKeyOf,
} from "../../src/x509/keys.ts";
import type { CertificatePem } from "../../src/x509/pem.ts";
import {
  type Issuer,
  type LeafRequest,
  makeIssuer,
  signIssuing,
  signLeaf,
  signRoot,
} from "../../src/x509/template.ts";

export const NOW: Seconds = seconds(1_800_000_000);
export const DAY = 86_400;
export const TRUST_DOMAIN: TrustDomain = parseTrustDomain("example.org");
export const SPIFFE_ID: string = "spiffe://example.org/ns/shop/sa/payments";

export interface Pki {
  readonly rootKey: PrivateKey;
  readonly rootPem: CertificatePem;
  readonly root: Certificate;
  readonly rootIssuer: Issuer;
  readonly issuingKey: PrivateKey;
  readonly issuingPem: CertificatePem;
  readonly issuing: Certificate;
  readonly issuer: Issuer;
}

/** Root for ten days, issuing for five, both from a day before `NOW`. */
export async function makePki(
  trustDomain: TrustDomain = TRUST_DOMAIN,
  algorithm: KeyAlgorithm = "ECDSA-P256",
): Promise<Pki> {
  const notBefore = seconds(NOW - DAY);
  const random = systemRandom;
  const rootKey = await generateKey(algorithm);
  const issuingKey = await generateKey(algorithm);
  const rootPem = await signRoot({
    trustDomain,
    key: rootKey,
    notBefore,
    notAfter: seconds(NOW + 10 * DAY),
    random,
  });
  const rootIssuer = makeIssuer(rootPem, rootKey);
  const issuingPem = await signIssuing(
    { trustDomain, publicKey: publicKeyOf(issuingKey), notBefore, notAfter: seconds(NOW + 5 * DAY), random },
    rootIssuer,
  );
  return {
    rootKey,
    rootPem,
    root: parseCertificate(rootPem),
    rootIssuer,
    issuingKey,
    issuingPem,
    issuing: parseCertificate(issuingPem),
    issuer: makeIssuer(issuingPem, issuingKey),
  };
}

/** An honest request for `key`, for a day. */
export function leafRequest(key: PrivateKey, changes: Partial<LeafRequest> = {}): LeafRequest {
  return {
    spiffeId: parseSpiffeId(SPIFFE_ID),
    dnsNames: ["payments.shop.svc"],
    publicKey: publicKeyOf(key),
    notBefore: seconds(NOW - 60),
    notAfter: seconds(NOW + DAY),
    random: systemRandom,
    ...changes,
  };
}

export async function honestLeaf(pki: Pki, key: PrivateKey): Promise<Certificate> {
  return parseCertificate((await signLeaf(leafRequest(key), pki.issuer)).der);
}

/** The extensions of an honest leaf or authority by name; a forgery replaces or drops (undefined) single ones. */
export interface ForgedExtensions {
  readonly basicConstraints?: Der | undefined;
  readonly keyUsage?: Der | undefined;
  readonly extKeyUsage?: Der | undefined;
  readonly subjectKeyIdentifier?: Der | undefined;
  readonly authorityKeyIdentifier?: Der | undefined;
  readonly subjectAltName?: Der | undefined;
  readonly extra?: Der | undefined;
}

export interface Forgery {
  readonly signer: { readonly certificate?: Certificate; readonly key: PrivateKey };
  /** The subject's key. */
  readonly key: PrivateKey;
  readonly extensions?: ForgedExtensions;
  /** A common name; empty by default. */
  readonly subject?: string;
  readonly issuerName?: Der;
  readonly serial?: Der;
  readonly notBefore?: Der;
  readonly notAfter?: Der;
  readonly algorithm?: Der;
  readonly hash?: string;
  readonly version?: Der;
  /** In place of the encoding of `key`. */
  readonly spki?: Uint8Array;
}

const ECDSA_SHA256: Der = sequence(oid("1.2.840.10045.4.3.2"));
export const RSA_SHA1: Der = sequence(oid("1.2.840.113549.1.1.5"), nullValue());

export function name(commonName: string): Der {
  return commonName === "" ? sequence() : sequence(set(sequence(oid("2.5.4.3"), utf8String(commonName))));
}

/** Whatever is not named is as an honest leaf has it; P-256 or RSA by SHA-256 unless `hash` says otherwise. */
export function forgeCertificate(forgery: Forgery): Certificate {
  return parseCertificate(forgeDer(forgery));
}

export function forgeDer(forgery: Forgery): Buffer {
  const { signer, key } = forgery;
  const authority = signer.certificate;
  const members: ForgedExtensions = {
    basicConstraints: basicConstraints(false),
    keyUsage: keyUsage("digitalSignature"),
    extKeyUsage: extKeyUsage(),
    subjectKeyIdentifier: subjectKeyIdentifier(keyIdOf(key)),
    authorityKeyIdentifier: authorityKeyIdentifier(keyIdOf(signer.key)),
    subjectAltName: subjectAltName({ uri: SPIFFE_ID }, true),
    ...forgery.extensions,
  };
  const algorithm = forgery.algorithm ?? ECDSA_SHA256;
  const present = Object.values(members).filter((member: Der | undefined) => member !== undefined);
  const subject = name(forgery.subject ?? "");
  const tbs = sequence(
    forgery.version ?? context(0, integer(2)),
    forgery.serial ?? integerBytes(Buffer.alloc(16, 0x4f)),
    algorithm,
    forgery.issuerName ?? (authority === undefined ? subject : splice(authority.subjectDer)),
    sequence(forgery.notBefore ?? time(seconds(NOW - 60)), forgery.notAfter ?? time(seconds(NOW + DAY))),
    subject,
    splice(forgery.spki ?? encodeSpki(key)),
    ...(present.length === 0 ? [] : [extensions(...present)]),
  );
  const signature = sign(forgery.hash ?? "sha256", toBytes(tbs), signer.key);
  return toBytes(sequence(tbs, algorithm, bitString(signature)));
}

/** Extensions of a signing certificate, to be laid over a forgery. */
export function authorityExtensions(uri: string | undefined = "spiffe://example.org"): ForgedExtensions {
  return {
    basicConstraints: basicConstraints(true),
    keyUsage: keyUsage("keyCertSign", "cRLSign"),
    extKeyUsage: undefined,
    subjectAltName: uri === undefined ? undefined : subjectAltName({ uri }, false),
  };
}

/** Any extension: `content` is the DER inside the OCTET STRING. */
export function rawExtension(id: string, critical: boolean, content: Der): Der {
  const flag = critical ? [element(TAG.boolean, "\xff")] : [];
  return sequence(oid(id), ...flag, element(TAG.octetString, content));
}

/** Runs a program that gives the second opinion; its output. @throws with the output when it fails. */
export function run(program: string, args: readonly string[], input?: string | Uint8Array): string {
  return execFileSync(program, [...args], {
    encoding: "utf8",
    stdio: ["pipe", "pipe", "pipe"],
    ...(input === undefined ? {} : { input }),
  });
}

/** Whether `program` can be started. */
export function has(program: string, ...args: readonly string[]): boolean {
  try {
    run(program, args);
    return true;
  } catch {
    return false;
  }
}

/** @throws when there is no OpenSSL 3: these suites need its opinion and never pass without it. */
export function requireOpenssl(): void {
  if (has("openssl", "version")) return;
  throw new Error("the binary openssl (3.x) is missing: the tests of x509 compare their results with it");
}
