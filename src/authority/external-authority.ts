/**
 * An issuing certificate that the owner of the trust domain brought (`authority.source: Secret`), made by cert-manager,
 * Vault, step-ca or OpenSSL. All of it is checked before anything is published or signed: a peer that meets a fault
 * later refuses every workload.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { invalidInput, isOperatorError, OperatorError, quoted } from "../core/errors.ts";
import type { Secret } from "../core/secret.ts";
import type { TrustDomain } from "../spiffe/trust-domain.ts";
import { parseCertificate } from "../x509/certificate.ts";
import { sameBytes } from "../x509/der.ts";
import { readForeignKey, signsFor } from "../x509/foreign-key.ts";
import {
  encodePublicKey,
  type KeyAlgorithm,
  type KeyId,
  keyAlgorithmOf,
  keyIdOf,
  type PrivateKey,
} from "../x509/keys.ts";
import { MAX_CHAIN_LENGTH } from "../x509/path.ts";
import { type CertificatePem, splitPem } from "../x509/pem.ts";
import {
  type Chain,
  checkAuthority,
  checkLinks,
  checkLives,
  checkRoot,
  type ExternalContext,
  findRoot,
  isSelfIssued,
  type Placed,
} from "./external-chain.ts";

/** What the Secret holds under `tls.crt`, `tls.key` and `ca.crt`. */
export interface ExternalFiles {
  readonly certificate: string;
  readonly key: Secret;
  readonly roots: string;
}

export interface ExternalCertificate {
  /** Of the public key, as everywhere in meshid: its subject key identifier may be another. */
  readonly keyID: KeyId;
  readonly algorithm: KeyAlgorithm;
  /** SubjectPublicKeyInfo, PEM. */
  readonly publicKey: string;
  readonly certificate: CertificatePem;
  readonly notBefore: Seconds;
  readonly notAfter: Seconds;
}

export interface ExternalAuthority {
  /** The root that the chain ends in, from `ca.crt`. */
  readonly root: ExternalCertificate;
  /** Signs leaves. It is valid while its whole chain is. Intermediates: its issuer first, without the root. */
  readonly issuing: ExternalCertificate & { readonly intermediates: readonly CertificatePem[] };
  readonly key: PrivateKey;
  /** Further roots of `ca.crt`, to be published beside: also ones that are not valid yet or any more. */
  readonly otherRoots: readonly CertificatePem[];
}

const MAX_ROOTS = 16;
/**
 * In characters of PEM, of one file and of one certificate: far above what they take. All that is retired stands in the journal
 * too, which has to remain readable.
 */
const [MAX_FILE_LENGTH, MAX_CERTIFICATE_LENGTH] = [65_536, 16_384];
/** The leaf is part of what peers are shown. */
const MAX_AUTHORITIES = MAX_CHAIN_LENGTH - 1;

const USAGE = "a critical keyUsage with keyCertSign";
/** What stands behind a refusal, by `details.rule`. */
const EXPECTED: Readonly<Record<string, string>> = {
  "X-02": "at most one URI in a signing certificate: that of the trust domain",
  "X-07": "no URI, or the trust domain's without a path",
  "X-08": "no URI, or the trust domain's",
  "X-10": "critical basicConstraints with CA:TRUE",
  "X-12": "name constraints that permit the trust domain and the names of its workloads, or none",
  "X-13": USAGE,
  "X-14": USAGE,
  "X-17": "no extended key usage, or one with serverAuth and clientAuth, or any",
  "X-19": "no URI, or the trust domain's",
};
const EXPECTED_OTHERWISE = "what RFC 5280 section 6.1 asks of a chain";

/**
 * @throws SECRET_INVALID naming the place, the file, the certificate, what was found and what was expected; retryable only
 * where time alone mends it. Nothing of a key is in a message or a cause.
 */
export function readExternalAuthority(files: ExternalFiles, context: ExternalContext): ExternalAuthority {
  try {
    return read(files, context);
  } catch (cause) {
    if (!isOperatorError(cause, "INVALID_INPUT") && !isOperatorError(cause, "VERIFICATION_FAILED"))
      throw cause;
    const { rule } = cause.details;
    const expected = rule === undefined ? "" : `; expected ${EXPECTED[rule] ?? EXPECTED_OTHERWISE}`;
    throw new OperatorError("SECRET_INVALID", `${context.place}: ${cause.message}${expected}`, {
      retryable: cause.retryable,
      details: { ...cause.details, place: context.place },
    });
  }
}

function read(files: ExternalFiles, context: ExternalContext): ExternalAuthority {
  const roots = readRoots(files.roots, context.trustDomain);
  const chain = readChain(files.certificate, roots);
  const key = readForeignKey(files.key, "tls.key");
  checkPair(key, chain);
  chain.forEach((placed, index) => {
    checkAuthority(placed, index, context);
  });
  const root = findRoot(chain, roots, context.now);
  checkLinks(chain, root, context);
  const path = [...chain, root];
  checkLives(path, context);
  const issuing = describe(chain[0]);
  return {
    root: describe(root),
    issuing: {
      ...issuing,
      notBefore: seconds(Math.max(...path.map(({ certificate }) => certificate.notBefore))),
      notAfter: seconds(Math.min(...path.map(({ certificate }) => certificate.notAfter))),
      intermediates: chain.slice(1).map(({ certificate }) => certificate.pem()),
    },
    key,
    otherRoots: roots.filter((each) => each !== root).map(({ certificate }) => certificate.pem()),
  };
}

/** Each once. */
function readRoots(text: string, trustDomain: TrustDomain): readonly Placed[] {
  const file = "ca.crt";
  const expected = "the self-signed root that the chain in tls.crt ends in";
  const found = readFile(text, { file, most: MAX_ROOTS, expected });
  const roots = found.filter(({ certificate }, index) => {
    return found.findIndex((other) => sameBytes(other.certificate.der, certificate.der)) === index;
  });
  for (const root of roots) checkRoot(root, trustDomain);
  return roots;
}

/** cert-manager and Vault repeat the root at the end, which peers must have anyway. */
function readChain(text: string, roots: readonly Placed[]): Chain {
  const file = "tls.crt";
  const expected = "the issuing certificate, then its intermediates";
  const found = readFile(text, { file, most: MAX_AUTHORITIES + 1, expected });
  const last = found.at(-1);
  const isRoot = last !== undefined && isSelfIssued(last.certificate);
  const [issuing, ...intermediates] = isRoot ? found.slice(0, -1) : found;
  if (issuing === undefined) {
    throw invalidInput(
      last?.place ?? file,
      "is self-signed, and a root signs no leaves",
      "an issuing certificate that a root of ca.crt signed",
    );
  }
  if (isRoot && !roots.some(({ certificate }) => sameBytes(certificate.der, last.certificate.der))) {
    throw invalidInput(
      last.place,
      "is a root that is not in ca.crt",
      "only roots of ca.crt at the end of the chain",
    );
  }
  if (intermediates.length >= MAX_AUTHORITIES) {
    throw invalidInput(
      file,
      `holds ${intermediates.length + 1} certificates below the root`,
      `at most ${MAX_AUTHORITIES}: longer chains are refused by peers`,
    );
  }
  return [issuing, ...intermediates];
}

interface FileForm {
  readonly file: string;
  readonly most: number;
  readonly expected: string;
}

function readFile(text: string, { file, most, expected }: FileForm): readonly Placed[] {
  if (text.trim() === "") throw invalidInput(file, "is empty", expected);
  if (text.length > MAX_FILE_LENGTH) {
    throw invalidInput(file, `has ${text.length} characters`, `at most ${MAX_FILE_LENGTH}`);
  }
  const blocks = splitPem(text, file);
  if (blocks.length > most) {
    throw invalidInput(file, `holds ${blocks.length} certificates`, `at most ${most}`);
  }
  return blocks.map((der, index) => {
    const certificate = parseCertificate(der, `${file} certificate ${index + 1}`);
    const { length } = certificate.pem();
    if (length > MAX_CERTIFICATE_LENGTH) {
      const found = `has ${length} characters`;
      throw invalidInput(`${file} certificate ${index + 1}`, found, `at most ${MAX_CERTIFICATE_LENGTH}`);
    }
    return { certificate, place: `${file} certificate ${index + 1} (${quoted(certificate.subject)})` };
  });
}

function checkPair(key: PrivateKey, chain: Chain): void {
  if (signsFor(key, chain[0].certificate.publicKey)) return;
  const owner = chain.slice(1).find(({ certificate }) => signsFor(key, certificate.publicKey));
  throw invalidInput(
    "tls.key",
    owner === undefined ? "belongs to no certificate of tls.crt" : `belongs to ${owner.place}`,
    `the key of ${chain[0].place}`,
  );
}

function describe({ certificate, place }: Placed): ExternalCertificate {
  const { publicKey, notBefore, notAfter } = certificate;
  const algorithm = keyAlgorithmOf(publicKey);
  if (algorithm === undefined) throw new TypeError(`${place}: its algorithm was checked`);
  return {
    keyID: keyIdOf(publicKey),
    algorithm,
    publicKey: encodePublicKey(publicKey),
    certificate: certificate.pem(),
    notBefore,
    notAfter,
  };
}
