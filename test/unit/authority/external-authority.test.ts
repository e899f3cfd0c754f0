import { generateKeyPairSync } from "node:crypto";
import { beforeAll, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import {
  type ExternalAuthority,
  type ExternalFiles,
  readExternalAuthority,
} from "../../../src/authority/external-authority.ts";
import type { ExternalContext } from "../../../src/authority/external-chain.ts";
import { branded, seconds } from "../../../src/core/brand.ts";
import { OperatorError } from "../../../src/core/errors.ts";
import { contextBytes, type Der, oid, sequence, time } from "../../../src/x509/asn1.ts";
import { type Certificate, parseCertificate } from "../../../src/x509/certificate.ts";
import {
  basicConstraints,
  EKU_OID,
  EXTENSION_OID,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
} from "../../../src/x509/extensions.ts";
import {
  encodePrivateKey,
  generateKey,
  type KeyId,
  keyIdOf,
  keysMatch,
  type PrivateKey,
  publicKeyOf,
} from "../../../src/x509/keys.ts";
import { makeIssuer, signLeaf } from "../../../src/x509/template.ts";
import { verifyIssuedLeaf, verifyX509Svid } from "../../../src/x509/verify.ts";
import {
  DAY,
  type Forgery,
  leafRequest,
  NOW,
  RSA_SHA1,
  rawExtension,
  SPIFFE_ID,
  TRUST_DOMAIN,
} from "../../support/certificates.ts";
import {
  authority,
  type ExternalChain,
  type ExternalChanges,
  type ExternalKeys,
  externalChain,
  externalFiles,
  externalKeys,
  nameConstraints,
  pems,
  RSA_SHA256,
} from "../../support/external-ca.ts";

const PLACE = "Secret meshid-system/byo-ca";
const CONTEXT: ExternalContext = {
  trustDomain: TRUST_DOMAIN,
  now: NOW,
  place: PLACE,
  leastLife: seconds(DAY),
  dnsNames: ["payments.shop.svc"],
};

let keys: ExternalKeys;
let chain: ExternalChain;
let spare: PrivateKey;

beforeAll(async () => {
  keys = await externalKeys();
  chain = externalChain(keys);
  spare = await generateKey("ECDSA-P256");
});

function read(files: ExternalFiles, changes: Partial<ExternalContext> = {}): ExternalAuthority {
  return readExternalAuthority(files, { ...CONTEXT, ...changes });
}

function filesWith(changes: ExternalChanges): ExternalFiles {
  return externalFiles(externalChain(keys, changes), keys);
}

/** The refusal; undefined when there is none. */
function refused(files: ExternalFiles, changes: Partial<ExternalContext> = {}): OperatorError | undefined {
  try {
    read(files, changes);
    return undefined;
  } catch (error) {
    if (error instanceof OperatorError) return error;
    throw error;
  }
}

/** `message` in the words for a person, of which each says the place and what was expected. */
function expectRefusal(files: ExternalFiles, message: string, changes: Partial<ExternalContext> = {}): void {
  const error = refused(files, changes);
  expect(error?.message).toContain(message);
  expect(error?.message).toMatch(
    /^Secret meshid-system\/byo-ca: (tls\.crt|tls\.key|ca\.crt)\b.*; expected ./,
  );
  expect(error).toMatchObject({ code: "SECRET_INVALID", details: { place: PLACE } });
  const shown = JSON.stringify([error?.message, error?.details, String(error?.cause)]);
  for (const line of files.key.reveal().split("\n").filter(isKeyText)) expect(shown).not.toContain(line);
}

function isKeyText(line: string): boolean {
  return /^[A-Za-z0-9+/=]{16,}$/.test(line);
}

describe("readExternalAuthority", () => {
  it("gives root, issuing certificate, intermediates and key", () => {
    const found = read(externalFiles(chain, keys));
    expect(found).toMatchObject({
      root: { keyID: keyIdOf(keys.root), algorithm: "ECDSA-P256", certificate: chain.root.pem() },
      issuing: {
        keyID: keyIdOf(keys.issuing),
        algorithm: "ECDSA-P256",
        certificate: chain.issuing.pem(),
        intermediates: [chain.middle.pem()],
        notBefore: NOW - DAY,
        notAfter: NOW + 10 * DAY,
      },
      otherRoots: [],
    });
    expect(found.issuing.publicKey).toBe(
      chain.issuing.publicKey.export({ type: "spki", format: "pem" }).toString(),
    );
    expect(keysMatch(found.key, chain.issuing.publicKey)).toBe(true);
  });

  it("lets the issuing certificate live as long as its whole chain", () => {
    const files = filesWith({
      root: { notAfter: time(seconds(NOW + 3 * DAY)) },
      middle: { notBefore: time(seconds(NOW - 60)), notAfter: time(seconds(NOW + 4 * DAY)) },
    });
    expect(read(files)).toMatchObject({
      root: { notBefore: NOW - DAY, notAfter: NOW + 3 * DAY },
      issuing: { notBefore: NOW - 60, notAfter: NOW + 3 * DAY },
    });
  });

  it("drops the root at the end of tls.crt, which cert-manager and Vault write", () => {
    const certificate = pems(chain.issuing, chain.middle, chain.root);
    expect(read(externalFiles(chain, keys, { certificate })).issuing.intermediates).toEqual([
      chain.middle.pem(),
    ]);
  });

  it("takes an issuing certificate that the root signed itself", () => {
    const issuing = authority({
      signer: { certificate: chain.root, key: keys.root },
      key: keys.issuing,
      subject: "issuing",
    });
    const files = externalFiles(chain, keys, { certificate: pems(issuing) });
    expect(read(files).issuing.intermediates).toEqual([]);
  });

  it("takes Windows line ends and space around the blocks", () => {
    const certificate = `\n${pems(chain.issuing)}\n\n${pems(chain.middle)}  \n`.replaceAll("\n", "\r\n");
    expect(read(externalFiles(chain, keys, { certificate })).issuing.certificate).toBe(chain.issuing.pem());
  });

  it("finds the root of the chain among others, and gives these too, each once", () => {
    const other = authority({ signer: { key: spare }, key: spare, subject: "other" });
    const roots = pems(other, chain.root, other);
    const found = read(externalFiles(chain, keys, { roots }));
    expect(found.root.certificate).toBe(chain.root.pem());
    expect(found.otherRoots).toEqual([other.pem()]);
  });

  it.each<[string, Partial<Forgery>]>([
    ["is not valid yet", { notBefore: time(seconds(NOW + DAY)) }],
    ["has expired", { notBefore: time(seconds(NOW - 9 * DAY)), notAfter: time(seconds(NOW - DAY)) }],
  ])("gives another root too that %s", (_, changes) => {
    const other = authority({ signer: { key: spare }, key: spare, subject: "other", ...changes });
    const files = externalFiles(chain, keys, { roots: pems(chain.root, other) });
    expect(read(files).otherRoots).toEqual([other.pem()]);
  });

  it("takes of two certificates of one root the one that is valid, and then the longer", () => {
    const twin = (from: number, until: number): Certificate =>
      authority({
        signer: { key: keys.root },
        key: keys.root,
        subject: "root",
        notBefore: time(seconds(NOW + from)),
        notAfter: time(seconds(NOW + until * DAY)),
      });
    const [short, long, future] = [twin(-60, 2), twin(-60, 20), twin(60, 30)];
    for (const roots of [
      [short, long, future],
      [future, long, short],
    ]) {
      const found = read(externalFiles(chain, keys, { roots: pems(...roots) }));
      expect(found.root.certificate).toBe(long.pem());
      expect(found.otherRoots).toHaveLength(2);
    }
  });

  it.each<[string, Partial<Forgery>]>([
    ["URI of the trust domain", uriOf("spiffe://example.org")],
    ["extended key usage for servers and clients", ekuOf(EKU_OID.serverAuth, EKU_OID.clientAuth)],
    ["extended key usage for everything", ekuOf(EKU_OID.any)],
    ["extended key usage beyond that", ekuOf("1.2.3", EKU_OID.clientAuth, EKU_OID.serverAuth)],
    ["name constraints that permit the mesh", constrainedTo([6, "example.org"], [2, "svc"])],
    [
      "key usages of a leaf besides",
      { extensions: { keyUsage: keyUsage("digitalSignature", "keyCertSign") } },
    ],
  ])("takes signing certificates with a %s", (_, changes) => {
    expect(refused(filesWith({ root: changes, middle: changes, issuing: changes }))).toBeUndefined();
  });
});

function uriOf(uri: string): Partial<Forgery> {
  return { extensions: { subjectAltName: subjectAltName({ uri }, false) } };
}

function ekuOf(...purposes: readonly string[]): Partial<Forgery> {
  const content = sequence(...purposes.map((purpose) => oid(purpose)));
  return { extensions: { extKeyUsage: rawExtension(EXTENSION_OID.extKeyUsage, false, content) } };
}

function constrainedTo(
  ...permitted: Parameters<typeof nameConstraints>[0]["permitted"] & {}
): Partial<Forgery> {
  return { extensions: { extra: nameConstraints({ permitted }) } };
}

function usageOf(critical: boolean): Partial<Forgery> {
  // keyCertSign alone, as a BIT STRING.
  const content = branded<Der>("\x03\x02\x02\x04");
  return { extensions: { keyUsage: rawExtension(EXTENSION_OID.keyUsage, critical, content) } };
}

describe("readExternalAuthority, of tls.crt,", () => {
  const where = {
    issuing: 'tls.crt certificate 1 ("CN=issuing")',
    middle: 'tls.crt certificate 2 ("CN=middle")',
  };

  it.each<[string, string, (text: string) => string]>([
    ["is empty", "tls.crt: is empty", () => " \n"],
    ["holds no PEM", "tls.crt: line 1 is not PEM", () => "certificate"],
    ["has text before a block", "tls.crt: line 1 is not PEM", (text) => `Certificate:\n${text}`],
    ["has text behind the blocks", "is not PEM", (text) => `${text}junk`],
    ["holds a key too", 'holds a PEM block of the kind "PRIVATE KEY"', (text) => text + keyPem()],
    [
      "holds a certificate of OpenSSL's own form",
      'holds a PEM block of the kind "TRUSTED CERTIFICATE"',
      (text) => text.replaceAll(" CERTIFICATE", " TRUSTED CERTIFICATE"),
    ],
    ["ends in the middle of a block", "has no end", (text) => text.slice(0, -30)],
    [
      "holds what is no certificate",
      "tls.crt certificate 1: ",
      () => "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
    ],
    ["is very long", "tls.crt: has 200000 characters", () => "x".repeat(200_000)],
    [
      "holds very many certificates",
      "tls.crt: holds 5 certificates",
      (text) => text.repeat(2) + pems(chain.root),
    ],
  ])("refuses one that %s", (_, message, change) => {
    const certificate = change(pems(chain.issuing, chain.middle));
    expectRefusal(externalFiles(chain, keys, { certificate }), message);
  });

  it("refuses a longer chain than peers take", () => {
    const third = authority({
      signer: { certificate: chain.middle, key: keys.middle },
      key: spare,
      subject: "third",
    });
    const fourth = authority({
      signer: { certificate: third, key: spare },
      key: keys.root,
      subject: "fourth",
    });
    const last = authority({
      signer: { certificate: fourth, key: keys.root },
      key: keys.issuing,
      subject: "i",
    });
    const certificate = pems(last, fourth, third, chain.middle);
    expectRefusal(
      externalFiles(chain, keys, { certificate }),
      "tls.crt: holds 4 certificates below the root",
    );
  });

  it("refuses a certificate that signs itself: a root signs no leaves", () => {
    const changes = { certificate: pems(chain.root), key: encodePrivateKey(keys.root).reveal() };
    expectRefusal(
      externalFiles(chain, keys, changes),
      'tls.crt certificate 1 ("CN=root"): is self-signed, and a root signs no leaves',
    );
  });

  it("refuses a root at its end that is not in ca.crt", () => {
    const other = authority({ signer: { key: spare }, key: spare, subject: "other" });
    const certificate = pems(chain.issuing, chain.middle, other);
    expectRefusal(
      externalFiles(chain, keys, { certificate }),
      'tls.crt certificate 3 ("CN=other"): is a root that is not in ca.crt',
    );
  });

  it("refuses intermediates in another order, or ones that do not belong to the chain", () => {
    const second = authority({
      signer: { certificate: chain.middle, key: keys.middle },
      key: spare,
      subject: "second",
    });
    const issuing = authority({
      signer: { certificate: second, key: spare },
      key: keys.issuing,
      subject: "issuing",
    });
    const swapped = externalFiles(chain, keys, { certificate: pems(issuing, chain.middle, second) });
    expectRefusal(
      swapped,
      `ca.crt: holds "CN=root", but tls.crt certificate 3 ("CN=second") was issued by "CN=middle"`,
    );
    const gap = externalFiles(chain, keys, { certificate: pems(issuing, chain.middle) });
    expectRefusal(
      gap,
      `${where.issuing}: was issued by "CN=second", but the next certificate is of "CN=middle"; expected the issuing certificate, then the issuer of each, in this order`,
    );
  });

  it("refuses a signature by another key under the right names", () => {
    const issuing = authority({
      signer: { certificate: chain.middle, key: spare },
      key: keys.issuing,
      subject: "issuing",
    });
    const files = externalFiles(chain, keys, { certificate: pems(issuing, chain.middle) });
    expectRefusal(
      files,
      `${where.issuing}: has a signature that does not hold; expected the signature of ${where.middle}`,
    );
  });

  it.each<[string, string, () => Partial<Forgery>]>([
    ["names another authority key", "names the authority key", () => akiOf({ keyID: "ab".repeat(20) })],
    [
      "names another serial number of its issuer",
      'names the serial number "4f4e"',
      () => akiOf({ serial: "4f4e" }),
    ],
    [
      "has no authority key identifier",
      "has no authority key identifier",
      () => ({ extensions: { authorityKeyIdentifier: undefined } }),
    ],
  ])("refuses one that %s", (_, message, changes) => {
    expectRefusal(filesWith({ issuing: changes() }), `${where.issuing}: ${message}`);
  });

  it("takes one that names the serial number of its issuer", () => {
    expect(refused(filesWith({ issuing: akiOf({ serial: chain.middle.serialNumber }) }))).toBeUndefined();
  });

  it("refuses the key of its issuer in it again", () => {
    const twice = externalKeysWith({ issuing: keys.middle });
    expectRefusal(
      externalFiles(externalChain(twice), twice),
      `${where.middle}: has the key of ${where.issuing}`,
    );
  });

  /** For the issuing certificate and for one above it, whose place is another. */
  it.each<[string, string, Partial<Forgery>]>([
    [
      "is no authority",
      "is not a signing certificate",
      { extensions: { basicConstraints: basicConstraints(false) } },
    ],
    [
      "is an authority without saying so critically",
      "no critical basicConstraints with cA (X-10); expected critical basicConstraints with CA:TRUE",
      {
        extensions: {
          basicConstraints: rawExtension(
            EXTENSION_OID.basicConstraints,
            false,
            branded<Der>("\x30\x03\x01\x01\xff"),
          ),
        },
      },
    ],
    [
      "has no key usage",
      "has no critical key usage extension (X-13); expected a critical keyUsage",
      { extensions: { keyUsage: undefined } },
    ],
    ["has a key usage that is not critical", "has no critical key usage", usageOf(false)],
    [
      "may not sign certificates",
      "lacks the key usage keyCertSign",
      { extensions: { keyUsage: keyUsage("digitalSignature") } },
    ],
    [
      "is for servers only",
      "is limited to purposes other than serverAuth and clientAuth (X-17)",
      ekuOf(EKU_OID.serverAuth),
    ],
    [
      "is of another trust domain",
      "signs for other.org, not for example.org (X-08)",
      uriOf("spiffe://other.org"),
    ],
    [
      "has the ID of a workload",
      `the SPIFFE ID ${SPIFFE_ID} of a signing certificate has a path`,
      uriOf(SPIFFE_ID),
    ],
    ["has a URI that is no SPIFFE ID", "is not a SPIFFE ID (X-19)", uriOf("https://example.org")],
    [
      "may not sign for the trust domain",
      'do not permit "spiffe://example.org/',
      constrainedTo([6, "example.com"]),
    ],
    [
      "may not sign for the names of workloads",
      'do not permit "payments.shop.svc"',
      constrainedTo([2, "example.org"]),
    ],
    ["is constrained in a way that peers cannot evaluate", "cannot be evaluated", constrainedTo([8, "x"])],
    [
      "has an unknown critical extension",
      "unknown critical extension 1.2.3.4",
      { extensions: { extra: rawExtension("1.2.3.4", true, sequence()) } },
    ],
    ["has an empty subject", "has an empty subject", { subject: "" }],
    [
      "has no subject key identifier",
      "has no subject key identifier",
      { extensions: { subjectKeyIdentifier: undefined } },
    ],
    ["has an empty subject key identifier", "has no subject key identifier", skiOf("")],
    [
      "has a very long subject key identifier",
      "has a subject key identifier of 33 bytes",
      skiOf("ab".repeat(33)),
    ],
    ["has expired", "has expired at 2027-01-15T07:59:59Z;", { notAfter: time(seconds(NOW - 1)) }],
    [
      "ends soon",
      "ends at 2027-01-16T07:59:59Z; expected at least 24h0m0s to live",
      { notAfter: time(seconds(NOW + DAY - 1)) },
    ],
  ])("refuses one that %s, and an intermediate too", (_, message, changes) => {
    expectRefusal(filesWith({ issuing: changes }), message);
    const issuing = refused(filesWith({ issuing: changes }))?.message;
    expect(issuing).toContain("tls.crt certificate 1 (");
    const middle = refused(filesWith({ middle: changes }))?.message;
    expect(middle).toContain(message);
    expect(middle).toContain("tls.crt certificate 2 (");
  });

  it("waits for one that is not valid yet: time mends that", () => {
    const files = filesWith({ middle: { notBefore: time(seconds(NOW + 1)) } });
    expectRefusal(files, `${where.middle}: is not valid before 2027-01-15T08:00:01Z;`);
    expect(refused(files)?.retryable).toBe(true);
    expect(refused(filesWith({ middle: { notAfter: time(NOW) } }))?.retryable).toBe(false);
    expect(refused(files, { now: seconds(NOW + 1) })).toBeUndefined();
  });

  it("takes one with just the life that it needs", () => {
    expect(refused(filesWith({ issuing: { notAfter: time(seconds(NOW + DAY)) } }))).toBeUndefined();
  });

  it("counts authorities against the path length of each", () => {
    const limited = (length: number): Partial<Forgery> => {
      return { extensions: { basicConstraints: basicConstraints(true, length) } };
    };
    const good = filesWith({ issuing: limited(0), middle: limited(1), root: limited(2) });
    expect(refused(good)).toBeUndefined();
    expectRefusal(filesWith({ middle: limited(0) }), `${where.middle}: allows 0 authorities below it, not 1`);
    expectRefusal(
      filesWith({ root: limited(1) }),
      'ca.crt certificate 1 ("CN=root"): allows 1 authorities below it, not 2',
    );
  });

  it("refuses name constraints that an authority below them breaks itself", () => {
    const names = { uri: "spiffe://example.org", dnsNames: ["ca.corp"] };
    const middle = { extensions: { subjectAltName: subjectAltName(names, false) } };
    const root = { extensions: { extra: nameConstraints({ excluded: [[2, "corp"]] }) } };
    expect(refused(filesWith({ middle }))).toBeUndefined();
    expectRefusal(filesWith({ root, middle }), 'name constraints that do not permit "ca.corp"');
  });

  it("refuses addresses of the server that name constraints do not permit", () => {
    const files = filesWith({ root: constrainedTo([7, Uint8Array.of(10, 0, 0, 0, 255, 0, 0, 0)]) });
    expect(refused(files)).toBeUndefined();
    expectRefusal(files, 'do not permit "127.0.0.1"', { ipAddresses: ["127.0.0.1"] });
  });
});

/** Of the authority above the issuing certificate, unless it says otherwise. */
function akiOf({ keyID = chain.middle.subjectKeyID ?? "", serial = "" }): Partial<Forgery> {
  const content = sequence(
    contextBytes(0, Buffer.from(keyID, "hex")),
    ...(serial === "" ? [] : [contextBytes(2, Buffer.from(serial, "hex"))]),
  );
  return {
    extensions: {
      authorityKeyIdentifier: rawExtension(EXTENSION_OID.authorityKeyIdentifier, false, content),
    },
  };
}

function skiOf(hex: string): Partial<Forgery> {
  return { extensions: { subjectKeyIdentifier: subjectKeyIdentifier(branded<KeyId>(hex)) } };
}

function externalKeysWith(changes: Partial<ExternalKeys>): ExternalKeys {
  return { ...keys, ...changes };
}

function keyPem(): string {
  return encodePrivateKey(keys.issuing).reveal();
}

describe("readExternalAuthority, of ca.crt,", () => {
  it.each<[string, string, () => string]>([
    [
      "is empty",
      "ca.crt: is empty; expected the self-signed root that the chain in tls.crt ends in",
      () => "",
    ],
    ["holds no PEM", "ca.crt: line 1 is not PEM", () => "root"],
    [
      "lacks the root of the chain",
      'ca.crt: holds "CN=other", but tls.crt certificate 2 ("CN=middle") was issued by "CN=root"; expected the root',
      () => pems(authority({ signer: { key: spare }, key: spare, subject: "other" })),
    ],
    [
      "holds another root of the same name",
      'tls.crt certificate 2 ("CN=middle"): names the authority key',
      () => pems(authority({ signer: { key: spare }, key: spare, subject: "root" })),
    ],
    [
      "holds an intermediate",
      'ca.crt certificate 2 ("CN=middle"): was issued by "CN=root"; expected self-signed roots only',
      () => pems(chain.root, chain.middle),
    ],
    [
      "holds a root that somebody else signed",
      'ca.crt certificate 1 ("CN=root"): has a signature that does not hold',
      () => pems(authority({ signer: { key: spare }, key: keys.root, subject: "root", ...akiOfRoot() })),
    ],
    [
      "holds very many roots",
      "ca.crt: holds 17 certificates; expected at most 16",
      () => pems(chain.root).repeat(17),
    ],
    [
      "holds a root that is larger than a journal can bear",
      "ca.crt certificate 1: has 16853 characters; expected at most 16384",
      () => {
        const extra = rawExtension("1.2.3.4", false, branded<Der>("\x05\x00".repeat(6000)));
        return pems(
          authority({ signer: { key: keys.root }, key: keys.root, subject: "root", extensions: { extra } }),
        );
      },
    ],
  ])("refuses one that %s", (_, message, roots) => {
    expectRefusal(externalFiles(chain, keys, { roots: roots() }), message);
  });

  it.each<[string, string, Partial<Forgery>]>([
    [
      "is no authority",
      "is not a signing certificate (X-10)",
      { extensions: { basicConstraints: basicConstraints(false) } },
    ],
    [
      "is an authority without saying so critically",
      "has basicConstraints that are not critical",
      {
        extensions: {
          basicConstraints: rawExtension(
            EXTENSION_OID.basicConstraints,
            false,
            branded<Der>("\x30\x03\x01\x01\xff"),
          ),
        },
      },
    ],
    [
      "has no key usage",
      "has no key usage; expected a keyUsage with keyCertSign",
      { extensions: { keyUsage: undefined } },
    ],
    [
      "may not sign certificates",
      "lacks the key usage keyCertSign",
      { extensions: { keyUsage: keyUsage("cRLSign") } },
    ],
    [
      "has no subject key identifier",
      "has no subject key identifier",
      { extensions: { subjectKeyIdentifier: undefined, authorityKeyIdentifier: undefined } },
    ],
    ["has an empty subject", "has an empty subject", { subject: "" }],
    ["is of another trust domain", "signs for other.org, not for example.org", uriOf("spiffe://other.org")],
    ["is for servers only", "is limited to purposes", ekuOf(EKU_OID.serverAuth)],
    [
      "has an unknown critical extension",
      "unknown critical extension 1.2.3.4",
      { extensions: { extra: rawExtension("1.2.3.4", true, sequence()) } },
    ],
  ])("refuses a root that %s, whether the chain ends in it or not", (_, message, changes) => {
    expectRefusal(filesWith({ root: changes }), message);
    const other = authority({ signer: { key: spare }, key: spare, subject: "other", ...changes });
    const beside = refused(externalFiles(chain, keys, { roots: pems(chain.root, other) }))?.message;
    expect(beside).toContain(message);
    expect(beside).toContain("ca.crt certificate 2 (");
  });

  it.each<[string, string, Partial<Forgery>]>([
    ["has expired", "has expired at", { notAfter: time(seconds(NOW - 1)) }],
    ["is not valid yet", "is not valid before", { notBefore: time(seconds(NOW + 1)) }],
    ["ends soon", "to live for each certificate of the chain", { notAfter: time(seconds(NOW + DAY - 1)) }],
    ["may not sign for the trust domain", "do not permit", constrainedTo([6, "example.com"])],
    ["may not sign for the names of workloads", "do not permit", constrainedTo([2, "example.org"])],
  ])("refuses a root of the chain that %s", (_, message, changes) => {
    expectRefusal(filesWith({ root: changes }), `ca.crt certificate 1 ("CN=root"): `);
    expectRefusal(filesWith({ root: changes }), message);
  });

  it("takes a root whose key usage is not critical: many an old one has it so", () => {
    expect(refused(filesWith({ root: usageOf(false) }))).toBeUndefined();
  });
});

/** So that the identifiers fit where the signature does not. */
function akiOfRoot(): Partial<Forgery> {
  const content = sequence(contextBytes(0, Buffer.from(keyIdOf(keys.root), "hex")));
  return {
    extensions: {
      authorityKeyIdentifier: rawExtension(EXTENSION_OID.authorityKeyIdentifier, false, content),
    },
  };
}

describe("readExternalAuthority, of tls.key,", () => {
  const pkcs1 = (): string => exported(rsaIssuing.issuing, "pkcs1");
  let rsaIssuing: ExternalKeys;
  let rsaChain: ExternalChain;

  beforeAll(async () => {
    rsaIssuing = externalKeysWith({ issuing: await generateKey("RSA-3072") });
    rsaChain = externalChain(rsaIssuing);
  });

  const EC_PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";

  it.each<[string, () => string]>([
    ["PKCS#8", () => exported(keys.issuing, "pkcs8")],
    ["SEC1, as cert-manager writes it", () => exported(keys.issuing, "sec1")],
    [
      "SEC1 behind its curve, as openssl ecparam writes it",
      () => EC_PARAMETERS + exported(keys.issuing, "sec1"),
    ],
  ])("takes an ECDSA key in %s", (_, key) => {
    const found = read(externalFiles(chain, keys, { key: key() }));
    expect(keysMatch(found.key, publicKeyOf(keys.issuing))).toBe(true);
  });

  it.each<[string, () => string]>([
    ["PKCS#8", () => exported(rsaIssuing.issuing, "pkcs8")],
    ["PKCS#1, as cert-manager writes it", pkcs1],
  ])("takes an RSA key in %s", (_, key) => {
    const found = read(externalFiles(rsaChain, rsaIssuing, { key: key() }));
    expect(found.issuing.algorithm).toBe("RSA-3072");
  });

  it.each<[string, string, () => string]>([
    [
      "is empty",
      "tls.key: is empty; expected one private key in PEM (PKCS#8, PKCS#1 or SEC1), not encrypted",
      () => "\n",
    ],
    ["is no PEM", "tls.key: line 1 is not PEM", () => "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg"],
    [
      "holds a certificate",
      'tls.key: holds a PEM block of the kind "CERTIFICATE"',
      () => pems(chain.issuing),
    ],
    [
      "holds a public key",
      'holds a PEM block of the kind "PUBLIC KEY"',
      () => chain.issuing.publicKey.export({ type: "spki", format: "pem" }).toString(),
    ],
    ["holds two keys", "tls.key: holds 2 PEM blocks", () => keyPem() + keyPem()],
    ["holds only a curve", "tls.key: holds no key", () => EC_PARAMETERS],
    ["is encrypted as PKCS#8", "tls.key: the key is encrypted with a passphrase", () => encrypted("pkcs8")],
    ["is encrypted as SEC1", "tls.key: the key is encrypted with a passphrase", () => encrypted("sec1")],
    ["is broken", "tls.key: is not a usable private key", () => keyPem().replace(/\nM.{8}/, "\nMAAAAAAAA")],
    [
      "is broken base64",
      "tls.key: the block that starts on line 1 is not base64",
      () => keyPem().replace(/\nM.{8}/, "\nM*"),
    ],
    ["is very long", "tls.key: has ", () => keyPem().repeat(99)],
    [
      "belongs to no certificate",
      'tls.key: belongs to no certificate of tls.crt; expected the key of tls.crt certificate 1 ("CN=issuing")',
      () => exported(spare, "pkcs8"),
    ],
    [
      "belongs to an intermediate",
      'tls.key: belongs to tls.crt certificate 2 ("CN=middle")',
      () => exported(keys.middle, "pkcs8"),
    ],
    ["is of another kind", "tls.key: belongs to no certificate of tls.crt", pkcs1],
  ])("refuses one that %s, and shows nothing of it", (_, message, key) => {
    expectRefusal(externalFiles(chain, keys, { key: key() }), message);
  });

  it("refuses a key that is not the one of the public key that it names", () => {
    // SEC1 ends in the public key, which the engine believes.
    const [mine, theirs] = [keys.issuing, spare].map((key) => {
      return Buffer.from(key.export({ type: "sec1", format: "der" }));
    });
    for (const [secret, open] of [
      [mine, theirs],
      [theirs, mine],
    ]) {
      const forged = Buffer.concat([secret!.subarray(0, -65), open!.subarray(-65)]).toString("base64");
      const key = `-----BEGIN EC PRIVATE KEY-----\n${forged}\n-----END EC PRIVATE KEY-----\n`;
      expectRefusal(externalFiles(chain, keys, { key }), "tls.key: belongs to no certificate of tls.crt");
    }
  });
});

function exported(key: PrivateKey, type: "pkcs8" | "pkcs1" | "sec1"): string {
  return key.export({ type, format: "pem" }).toString();
}

function encrypted(type: "pkcs8" | "sec1"): string {
  const options = { type, format: "pem", cipher: "aes-256-cbc", passphrase: "secret" } as const;
  return keys.issuing.export(options).toString();
}

describe("readExternalAuthority, of algorithms,", () => {
  const ec = (namedCurve: string): PrivateKey => generateKeyPairSync("ec", { namedCurve }).privateKey;
  const rsa = (modulusLength: number): PrivateKey => generateKeyPairSync("rsa", { modulusLength }).privateKey;

  it.each<[string, () => PrivateKey]>([
    ["ECDSA-P384", () => ec("P-384")],
    ["RSA-3072", () => rsa(3072)],
    ["RSA-4096", () => rsa(4096)],
  ])("takes %s to sign leaves with", (algorithm, make) => {
    const own = externalKeysWith({ issuing: make() });
    expect(read(externalFiles(externalChain(own), own)).issuing.algorithm).toBe(algorithm);
  });

  it("takes RSA-2048 above the issuing certificate, and not in it", () => {
    const above = externalKeysWith({ root: rsa(2048), middle: rsa(2048) });
    expect(read(externalFiles(externalChain(above), above)).root.algorithm).toBe("RSA-2048");
    const below = externalKeysWith({ issuing: rsa(2048) });
    expectRefusal(
      externalFiles(externalChain(below), below),
      'tls.crt certificate 1 ("CN=issuing"): has a key of kind RSA-2048; expected a key of kind ECDSA-P256, ECDSA-P384, RSA-3072, RSA-4096',
    );
  });

  it.each<[string, () => PrivateKey]>([
    ["rsa 1024", () => rsa(1024)],
    ["ec secp521r1", () => ec("P-521")],
    ["ec secp256k1", () => ec("secp256k1")],
    ["Ed25519", () => generateKeyPairSync("ed25519").privateKey],
  ])("refuses a key of kind %s anywhere", (kind, make) => {
    const odd = make();
    const fault = `has a key of kind ${kind}; expected`;
    const own = externalKeysWith({ issuing: odd });
    expectRefusal(externalFiles(externalChain(own), own), `tls.crt certificate 1 ("CN=issuing"): ${fault}`);
    const middle = authority({
      signer: { certificate: chain.root, key: keys.root },
      key: odd,
      subject: "middle",
    });
    expectRefusal(externalFiles({ ...chain, middle }, keys), `tls.crt certificate 2 ("CN=middle"): ${fault}`);
    const signer = { key: kind === "Ed25519" ? spare : odd };
    const root = authority({ signer, key: odd, subject: "root" });
    expectRefusal(externalFiles({ ...chain, root }, keys), `ca.crt certificate 1 ("CN=root"): ${fault}`);
  });

  it("refuses a key that is bound to RSASSA-PSS, which signs in a way of its own", () => {
    const { publicKey } = generateKeyPairSync("rsa-pss", { modulusLength: 3072 });
    const spki = publicKey.export({ type: "spki", format: "der" });
    expectRefusal(filesWith({ middle: { spki } }), "has a key of kind rsa-pss 3072");
  });

  it.each(["issuing", "middle", "root"] as const)("refuses SHA-1 in the signature of %s", (at) => {
    const all = { ...keys, root: rsa(2048), middle: rsa(2048) };
    const weak = externalChain(all, { [at]: { algorithm: RSA_SHA1, hash: "sha1" } });
    expectRefusal(
      externalFiles(weak, all),
      `("CN=${at}"): is signed with the algorithm 1.2.840.113549.1.1.5; expected ECDSA`,
    );
  });

  it("refuses an algorithm in name that is not the one of the signature", () => {
    const all = { ...keys, middle: rsa(2048) };
    const odd = externalChain(all, { issuing: { algorithm: RSA_SHA256, hash: "sha512" } });
    expectRefusal(externalFiles(odd, all), "has a signature that does not hold");
  });

  it("refuses a compressed public key, whose key ID would be another", () => {
    const point = Buffer.from(chain.issuing.spki.subarray(-65));
    const head = Buffer.from("3039301306072a8648ce3d020106082a8648ce3d030107032200", "hex");
    const sign = Buffer.of(((point[64] ?? 0) & 1) === 0 ? 2 : 3);
    const spki = Buffer.concat([head, sign, point.subarray(1, 33)]);
    expectRefusal(filesWith({ issuing: { spki } }), "has its public key in an unusual encoding");
  });
});

describe("readExternalAuthority, of any change to a file,", () => {
  it("refuses tls.crt with any single byte changed, or reads the same from it", () => {
    const bytes = Buffer.from(pems(chain.issuing, chain.middle));
    const good = summary(read(externalFiles(chain, keys)));
    const position = fc.nat({ max: bytes.length - 1 });
    fc.assert(
      fc.property(position, fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ change;
        const files = externalFiles(chain, keys, { certificate: changed.toString("latin1") });
        const error = refused(files);
        if (error === undefined) expect(summary(read(files))).toEqual(good);
        else expect(error.code).toBe("SECRET_INVALID");
      }),
      { numRuns: 1000 },
    );
  });

  it("refuses the DER of a certificate with any single bit changed", () => {
    const der = Buffer.from(chain.issuing.der);
    for (let at = 0; at < der.length; at++) {
      const changed = Buffer.from(der);
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      const block = `-----BEGIN CERTIFICATE-----\n${changed.toString("base64")}\n-----END CERTIFICATE-----\n`;
      const certificate = block + pems(chain.middle);
      expect(refused(externalFiles(chain, keys, { certificate }))?.code).toBe("SECRET_INVALID");
    }
  });

  it("throws nothing but SECRET_INVALID, whatever the files hold", () => {
    const pieces = (): fc.Arbitrary<string> =>
      fc
        .array(
          fc.oneof(
            fc.constantFrom(pems(chain.root), pems(chain.middle), pems(chain.issuing), keyPem(), "\n"),
            fc.string(),
          ),
          { maxLength: 4 },
        )
        .map((parts) => parts.join(""));
    fc.assert(
      fc.property(pieces(), pieces(), pieces(), (certificate, key, roots) => {
        const error = refused(externalFiles(chain, keys, { certificate, key, roots }));
        if (error !== undefined) expect(error.code).toBe("SECRET_INVALID");
      }),
      { numRuns: 500 },
    );
  });

  function summary({ root, issuing, otherRoots }: ExternalAuthority): unknown {
    return { root, issuing, otherRoots };
  }
});

describe("a leaf under an external authority", () => {
  it("names the subject key identifier of its issuer, whatever it is computed from, and passes our own check", async () => {
    const foreign = externalChain(keys, { issuing: skiOf("5ba1".repeat(10)), middle: skiOf("5ba1") });
    const { issuing, key, root } = read(externalFiles(foreign, keys));
    expect(issuing.keyID).toBe(keyIdOf(keys.issuing));
    const above = issuing.intermediates.map((pem) => parseCertificate(pem));
    const issuer = makeIssuer(issuing.certificate, key, [...above, parseCertificate(root.certificate)]);
    const request = leafRequest(spare);
    const leaf = verifyIssuedLeaf(await signLeaf(request, issuer), request, issuer);
    expect(leaf.authorityKeyID).toBe("5ba1".repeat(10));
    expect(Buffer.from(leaf.issuerDer)).toEqual(Buffer.from(foreign.issuing.subjectDer));
    const roots = [parseCertificate(root.certificate)];
    const path = [leaf, issuer.certificate, ...above];
    expect(verifyX509Svid({ chain: path, roots, now: NOW, trustDomain: TRUST_DOMAIN })).toBe(SPIFFE_ID);
  });
});
