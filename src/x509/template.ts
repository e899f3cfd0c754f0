/**
 * Signs certificates: root, issuing, cross and leaf, each from one fixed profile (X509-SVID §3, §4). What does not change from
 * one leaf to the next is encoded when the issuer is made and spliced in after that. Nothing here checks the result:
 * `verify.ts` does.
 */

import type { Seconds } from "../core/brand.ts";
import { invalidInput, OperatorError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import {
  parseSpiffeId,
  pathOf,
  type SpiffeId,
  trustDomainOf,
  trustDomainSpiffeId,
} from "../spiffe/spiffe-id.ts";
import type { TrustDomain } from "../spiffe/trust-domain.ts";
import { type Der, join, oid, printableString, sequence, set, splice, utf8String } from "./asn1.ts";
import { type Certificate, parseCertificate } from "./certificate.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  extensions,
  extKeyUsage,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
} from "./extensions.ts";
import {
  encodeSpki,
  type KeyId,
  keyIdOf,
  keyIdOfSpki,
  keysMatch,
  type PrivateKey,
  type PublicKey,
} from "./keys.ts";
import type { CertificatePem } from "./pem.ts";
import { type Sign, type SignedCertificate, signContents, signerOf } from "./signing.ts";

/** A signing key with its certificate, and what everything under it has in common, encoded once. */
export interface Issuer {
  readonly certificate: Certificate;
  /** What stands above it, as far as its names may bind what is signed: intermediates and root of one that was brought. */
  readonly above: readonly Certificate[];
  /** Undefined for a certificate without a URI SAN, as its owner may have brought it. */
  readonly trustDomain: TrustDomain | undefined;
  readonly sign: Sign;
  readonly algorithm: Der;
  readonly name: Der;
  readonly authorityKeyID: Der;
}

export interface RootRequest {
  readonly trustDomain: TrustDomain;
  readonly key: PrivateKey;
  readonly notBefore: Seconds;
  readonly notAfter: Seconds;
  readonly random: Random;
}

export interface IssuingRequest {
  readonly trustDomain: TrustDomain;
  readonly publicKey: PublicKey;
  readonly notBefore: Seconds;
  readonly notAfter: Seconds;
  readonly random: Random;
}

export interface CrossRequest {
  readonly trustDomain: TrustDomain;
  /** The certificate that the new root has of itself. */
  readonly root: Certificate;
  readonly notBefore: Seconds;
  readonly notAfter: Seconds;
  readonly random: Random;
}

export interface LeafRequest {
  readonly spiffeId: SpiffeId;
  readonly dnsNames: readonly string[];
  /** Only for meshid's own server. */
  readonly ipAddresses?: readonly string[];
  readonly publicKey: PublicKey;
  /** Of `publicKey`, from `encodeKey`: to encode it here takes most of the time of a signature. */
  readonly spki?: Uint8Array;
  readonly notBefore: Seconds;
  readonly notAfter: Seconds;
  readonly random: Random;
}

/** ub-common-name of RFC 5280 appendix A. */
const MAX_COMMON_NAME = 64;

const OID = { commonName: "2.5.4.3", serialNumber: "2.5.4.5" } as const;

/** Of a cross certificate: the issuing certificates of its root, and nothing below them but leaves. */
export const CROSS_PATH_LENGTH = 1;

const EMPTY_NAME = sequence();
const AUTHORITY_USAGE = keyUsage("keyCertSign", "cRLSign");
const LEAF_PROFILE = join(basicConstraints(false), keyUsage("digitalSignature"), extKeyUsage());
/** RSA keys alone can be asked to decrypt: TLS 1.2 without forward secrecy, which old peers still choose. */
const RSA_LEAF_PROFILE = join(
  basicConstraints(false),
  keyUsage("digitalSignature", "keyEncipherment"),
  extKeyUsage(),
);

/**
 * Prepares a signing key. The certificate must have been verified (`verifyAuthority`) by whoever loads it.
 * @throws INVALID_INPUT when certificate and key are no pair, or cannot sign leaves.
 */
export function makeIssuer(
  certificate: CertificatePem,
  key: PrivateKey,
  above: readonly Certificate[] = [],
): Issuer {
  const parsed = parseCertificate(certificate, "issuer");
  const keyID = parsed.subjectKeyID;
  if (keyID === undefined || !parsed.isCA || parsed.keyUsage?.has("keyCertSign") !== true) {
    throw invalidInput("issuer", "cannot sign", "a signing certificate with a subject key identifier");
  }
  if (!keysMatch(key, parsed.publicKey)) {
    throw invalidInput("issuer", "key and certificate do not belong together", "the key of this certificate");
  }
  const { identifier, sign } = signerOf(key);
  return {
    certificate: parsed,
    above,
    trustDomain: trustDomainOfAuthority(parsed),
    sign,
    algorithm: identifier,
    name: splice(parsed.subjectDer),
    authorityKeyID: authorityKeyIdentifier(keyID),
  };
}

/** Self-signed. @throws TypeError for a key that cannot be an authority; SIGNING_FAILED */
export async function signRoot(request: RootRequest): Promise<CertificatePem> {
  const { identifier, sign } = signerOf(request.key);
  const keyID = keyIdOf(request.key);
  const name = authorityName(`${request.trustDomain} root`, keyID);
  const signed = await signContents(
    {
      ...request,
      algorithm: identifier,
      issuer: name,
      subject: name,
      spki: encodeSpki(request.key),
      extensions: extensions(
        basicConstraints(true),
        AUTHORITY_USAGE,
        subjectKeyIdentifier(keyID),
        authorityKeyIdentifier(keyID),
        subjectAltName({ uri: trustDomainSpiffeId(request.trustDomain) }, false),
      ),
    },
    sign,
  );
  return signed.pem;
}

/** Signs leaves only: `pathLenConstraint` 0. @throws SIGNING_FAILED, also when it would outlive its issuer. */
export async function signIssuing(request: IssuingRequest, issuer: Issuer): Promise<CertificatePem> {
  refuseOutliving(request.notAfter, issuer);
  refuseForeign(request.trustDomain, issuer);
  const keyID = keyIdOf(request.publicKey);
  const signed = await signContents(
    {
      ...request,
      algorithm: issuer.algorithm,
      issuer: issuer.name,
      subject: authorityName(`${request.trustDomain} issuing`, keyID),
      spki: encodeSpki(request.publicKey),
      extensions: extensions(
        basicConstraints(true, 0),
        AUTHORITY_USAGE,
        subjectKeyIdentifier(keyID),
        issuer.authorityKeyID,
        subjectAltName({ uri: trustDomainSpiffeId(request.trustDomain) }, false),
      ),
    },
    issuer.sign,
  );
  return signed.pem;
}

/**
 * What one root says of the next: its name and key, for consumers that know only the former. `pathLenConstraint` 1: issuing
 * certificates stand below it, and no further root.
 * @throws SIGNING_FAILED, also when it would outlive either of the two.
 */
export async function signCross(request: CrossRequest, issuer: Issuer): Promise<CertificatePem> {
  const { root } = request;
  refuseOutliving(request.notAfter, issuer);
  if (request.notAfter > root.notAfter) {
    throw new OperatorError("SIGNING_FAILED", "signing a cross certificate: it would end after its root");
  }
  refuseForeign(request.trustDomain, issuer);
  const signed = await signContents(
    {
      ...request,
      algorithm: issuer.algorithm,
      issuer: issuer.name,
      subject: splice(root.subjectDer),
      spki: root.spki,
      extensions: extensions(
        basicConstraints(true, CROSS_PATH_LENGTH),
        AUTHORITY_USAGE,
        subjectKeyIdentifier(keyIdOfSpki(root.spki)),
        issuer.authorityKeyID,
        subjectAltName({ uri: trustDomainSpiffeId(request.trustDomain) }, false),
      ),
    },
    issuer.sign,
  );
  return signed.pem;
}

/**
 * Empty subject, critical SAN with exactly one URI.
 * @throws SIGNING_FAILED when it would outlive its issuer, is of another trust domain, or names no workload.
 */
export async function signLeaf(request: LeafRequest, issuer: Issuer): Promise<SignedCertificate> {
  refuseOutliving(request.notAfter, issuer);
  refuseForeign(trustDomainOf(request.spiffeId), issuer);
  if (pathOf(request.spiffeId) === "") {
    throw new OperatorError("SIGNING_FAILED", `signing ${request.spiffeId}: the ID of a leaf has a path`);
  }
  const spki = request.spki ?? encodeSpki(request.publicKey);
  const names = {
    uri: request.spiffeId,
    dnsNames: request.dnsNames,
    ...(request.ipAddresses === undefined ? {} : { ipAddresses: request.ipAddresses }),
  };
  return signContents(
    {
      notBefore: request.notBefore,
      notAfter: request.notAfter,
      random: request.random,
      algorithm: issuer.algorithm,
      issuer: issuer.name,
      subject: EMPTY_NAME,
      spki,
      extensions: extensions(
        request.publicKey.asymmetricKeyType === "rsa" ? RSA_LEAF_PROFILE : LEAF_PROFILE,
        subjectKeyIdentifier(keyIdOfSpki(spki)),
        issuer.authorityKeyID,
        subjectAltName(names, true),
      ),
    },
    issuer.sign,
  );
}

/**
 * Unique by the key (two roots with one subject break peers that choose an issuer by name). A long trust domain is cut:
 * the URI SAN carries it whole.
 */
function authorityName(text: string, keyID: KeyId): Der {
  const commonName = text.length <= MAX_COMMON_NAME ? text : `${text.slice(0, MAX_COMMON_NAME - 1)}…`;
  return sequence(
    set(sequence(oid(OID.commonName), utf8String(commonName))),
    set(sequence(oid(OID.serialNumber), printableString(keyID))),
  );
}

function trustDomainOfAuthority(certificate: Certificate): TrustDomain | undefined {
  const [uri] = certificate.uris;
  return uri === undefined ? undefined : trustDomainOf(parseSpiffeId(uri, "issuer"));
}

function refuseOutliving(notAfter: Seconds, issuer: Issuer): void {
  if (notAfter <= issuer.certificate.notAfter) return;
  throw new OperatorError("SIGNING_FAILED", "signing a certificate: it would end after its issuer", {
    details: { notAfter, issuerNotAfter: issuer.certificate.notAfter },
  });
}

function refuseForeign(trustDomain: TrustDomain, issuer: Issuer): void {
  // A certificate brought by its owner need not name a trust domain.
  if (issuer.trustDomain === undefined || issuer.trustDomain === trustDomain) return;
  throw new OperatorError(
    "SIGNING_FAILED",
    `signing for ${trustDomain}: the issuer is of ${issuer.trustDomain}`,
  );
}
