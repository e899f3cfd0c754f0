import { generateKeyPairSync } from "node:crypto";
import { beforeAll, describe, expect, it } from "@jest/globals";
import { seconds } from "../../../src/core/brand.ts";
import { OperatorError } from "../../../src/core/errors.ts";
import { parseSpiffeId } from "../../../src/spiffe/spiffe-id.ts";
import {
  contextBytes,
  type Der,
  integer,
  integerBytes,
  nullValue,
  oid,
  sequence,
  time,
} from "../../../src/x509/asn1.ts";
import { type Certificate, parseCertificate } from "../../../src/x509/certificate.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  EXTENSION_OID,
  keyUsage,
  subjectAltName,
} from "../../../src/x509/extensions.ts";
import { generateKey, keyIdOf, type PrivateKey, publicKeyOf } from "../../../src/x509/keys.ts";
import type { SignedCertificate } from "../../../src/x509/signing.ts";
import { type LeafRequest, makeIssuer, signLeaf } from "../../../src/x509/template.ts";
import {
  type SvidVerification,
  verifyAuthority,
  verifyIssuedLeaf,
  verifyX509Svid,
} from "../../../src/x509/verify.ts";
import {
  authorityExtensions,
  DAY,
  type Forgery,
  forgeCertificate,
  forgeDer,
  honestLeaf,
  leafRequest,
  makePki,
  NOW,
  name,
  type Pki,
  RSA_SHA1,
  rawExtension,
  SPIFFE_ID,
  TRUST_DOMAIN,
} from "../../support/certificates.ts";
import { refusalOf } from "../../support/errors.ts";
import { nameConstraints } from "../../support/external-ca.ts";

let pki: Pki;
let other: Pki;
let key: PrivateKey;
let leaf: Certificate;

beforeAll(async () => {
  pki = await makePki();
  other = await makePki();
  key = await generateKey("ECDSA-P256");
  leaf = await honestLeaf(pki, key);
});

function verdict(chain: readonly Certificate[], changes: Partial<SvidVerification> = {}): string {
  const request = { chain, roots: [pki.root], now: NOW, trustDomain: TRUST_DOMAIN, ...changes };
  return refusalOf(() => verifyX509Svid(request));
}

function forged(changes: Partial<Forgery>): Certificate {
  return forgeCertificate({ signer: { certificate: pki.issuing, key: pki.issuingKey }, key, ...changes });
}

/** A signing certificate without a limit on its path. */
function authority(
  subject: string,
  issuer: Certificate,
  issuerKey: PrivateKey,
  changes: Partial<Forgery> = {},
): Certificate {
  return forgeCertificate({
    signer: { certificate: issuer, key: issuerKey },
    key,
    subject,
    extensions: authorityExtensions(),
    ...changes,
  });
}

function below(issuer: Certificate): Certificate {
  return forgeCertificate({ signer: { certificate: issuer, key }, key });
}

describe("verifyX509Svid", () => {
  it("gives the SPIFFE ID of a good chain, with or without the root at its end", () => {
    const request = { roots: [pki.root], now: NOW, trustDomain: TRUST_DOMAIN };
    expect(verifyX509Svid({ ...request, chain: [leaf, pki.issuing] })).toBe(SPIFFE_ID);
    expect(verifyX509Svid({ ...request, chain: [leaf, pki.issuing, pki.root] })).toBe(SPIFFE_ID);
  });

  it("finds the right root among many, also among ones of the same name", () => {
    const twin = forgeCertificate({
      signer: { key },
      key,
      issuerName: name("twin"),
      subject: "twin",
      extensions: authorityExtensions(),
    });
    expect(verdict([leaf, pki.issuing], { roots: [other.root, twin, pki.root] })).toBe("accepted");
    expect(verdict([leaf, pki.issuing], { roots: [other.root, twin] })).toBe("VERIFICATION_FAILED X-18");
  });

  it("names rule and certificate in its refusal", () => {
    const request = { chain: [leaf, pki.issuing], roots: [other.root], now: NOW, trustDomain: TRUST_DOMAIN };
    expect(() => verifyX509Svid(request)).toThrow(
      expect.objectContaining({ details: { rule: "X-18", certificate: "intermediate 1" } }),
    );
  });

  it.each<[string, () => readonly Certificate[]]>([
    ["no certificate", () => []],
    ["the leaf alone, under the root", () => [leaf]],
    ["intermediates out of order", () => [pki.issuing, leaf]],
    ["another issuer's certificate", () => [leaf, other.issuing]],
    ["a certificate twice", () => [leaf, leaf, pki.issuing]],
    ["a certificate behind the root", () => [leaf, pki.issuing, pki.root, other.root]],
  ])("refuses %s", (_what, chain) => {
    expect(verdict(chain())).toMatch(/^VERIFICATION_FAILED X-/);
  });

  it("refuses every chain under a bundle without roots", () => {
    expect(verdict([leaf, pki.issuing], { roots: [] })).toBe("VERIFICATION_FAILED X-18");
  });

  it("allows two intermediates and a root, and no longer chain", () => {
    const first = authority("first", pki.root, pki.rootKey);
    const second = authority("second", first, key);
    const third = authority("third", second, key);
    expect(verdict([below(second), second, first, pki.root])).toBe("accepted");
    expect(verdict([below(third), third, second, first])).toBe("accepted");
    expect(verdict([below(third), third, second, first, pki.root])).toBe("VERIFICATION_FAILED X-18");
  });

  it("counts authorities against the path length of intermediates and of the root", () => {
    const limited = { ...authorityExtensions(), basicConstraints: basicConstraints(true, 1) };
    const root = forgeCertificate({ signer: { key }, key, subject: "root", extensions: limited });
    const first = authority("first", root, key);
    const second = authority("second", first, key);
    expect(verdict([below(first), first], { roots: [root] })).toBe("accepted");
    expect(verdict([below(second), second, first], { roots: [root] })).toBe("VERIFICATION_FAILED X-18");
  });

  it.each([
    [60, 0, "accepted"],
    [61, 0, "VERIFICATION_FAILED X-18"],
    [0, 60, "accepted"],
    [0, 61, "VERIFICATION_FAILED X-18"],
  ])("allows a minute of clock skew: %i s early, %i s late is %s", (early, late, expected) => {
    const notBefore = time(seconds(NOW + early));
    const notAfter = time(seconds(early > 0 ? NOW + DAY : NOW - late));
    const begin = early > 0 ? notBefore : time(seconds(NOW - DAY));
    expect(verdict([forged({ notBefore: begin, notAfter }), pki.issuing])).toBe(expected);
  });

  it("refuses an expired intermediate or root below or above a valid leaf", () => {
    const past = { notBefore: time(seconds(NOW - DAY)), notAfter: time(seconds(NOW - 3600)) };
    const stale = authority("stale", pki.root, pki.rootKey, past);
    expect(verdict([below(stale), stale])).toBe("VERIFICATION_FAILED X-18");
    const root = forgeCertificate({
      signer: { key },
      key,
      subject: "r",
      extensions: authorityExtensions(),
      ...past,
    });
    expect(verdict([below(root)], { roots: [root] })).toBe("VERIFICATION_FAILED X-18");
  });

  it("refuses a signature by another key under the right names", () => {
    const signer = { certificate: pki.issuing, key };
    const extensions = { authorityKeyIdentifier: authorityKeyIdentifier(keyIdOf(pki.issuingKey)) };
    const chain = [forgeCertificate({ signer, key, extensions }), pki.issuing];
    expect(verdict(chain)).toBe("VERIFICATION_FAILED X-18");
  });

  it("refuses any change of a single bit in what is signed", () => {
    const start = Buffer.from(leaf.der).indexOf(Buffer.from(leaf.tbs));
    for (let at = start; at < start + leaf.tbs.length; at++) {
      const der = Buffer.from(leaf.der);
      der[at] = (der[at] ?? 0) ^ (1 << (at % 8));
      expect(refusalOf(() => verdictOf(der))).not.toBe("accepted");
    }
  });

  it("refuses a right signature where the authority's key identifier is another", () => {
    const wrong = { authorityKeyIdentifier: authorityKeyIdentifier(keyIdOf(key)) };
    expect(verdict([forged({ extensions: wrong }), pki.issuing])).toBe("VERIFICATION_FAILED X-18");
    expect(verdict([forged({ extensions: { authorityKeyIdentifier: undefined } }), pki.issuing])).toBe(
      "accepted",
    );
  });

  it("refuses a right signature under another issuer name", () => {
    expect(verdict([forged({ issuerName: name("someone") }), pki.issuing])).toBe("VERIFICATION_FAILED X-18");
  });

  it("refuses unknown critical extensions and accepts others", () => {
    const extra = (critical: boolean): Certificate =>
      forged({ extensions: { extra: rawExtension("1.2.3.4", critical, integer(1)) } });
    expect(verdict([extra(true), pki.issuing])).toBe("VERIFICATION_FAILED X-18");
    expect(verdict([extra(false), pki.issuing])).toBe("accepted");
  });

  it("refuses SHA-1, and algorithms that do not fit the key", async () => {
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    const root = forgeCertificate({
      signer: { key: rsa },
      key: rsa,
      subject: "rsa",
      algorithm: sequence(oid("1.2.840.113549.1.1.11"), nullValue()),
      extensions: authorityExtensions(),
    });
    const signed = (algorithm: string | undefined, hash: string): Certificate =>
      forgeCertificate({
        signer: { certificate: root, key: rsa },
        key,
        hash,
        algorithm: algorithm === undefined ? RSA_SHA1 : sequence(oid(algorithm), nullValue()),
      });
    const roots = [root];
    expect(verdict([signed("1.2.840.113549.1.1.11", "sha256")], { roots })).toBe("accepted");
    expect(verdict([signed(undefined, "sha1")], { roots })).toBe("VERIFICATION_FAILED X-18");
    const ecdsa = forgeCertificate({ signer: { certificate: root, key: rsa }, key });
    expect(verdict([ecdsa], { roots })).toBe("VERIFICATION_FAILED X-18");
  });

  it.each([
    ["RSA of 1024 bits", generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey],
    ["secp256k1", generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey],
  ])("refuses a leaf with a key of %s", (_what, weak) => {
    expect(verdict([forged({ key: weak }), pki.issuing])).toBe("VERIFICATION_FAILED X-18");
  });

  it("refuses to build on a weak key, in an intermediate and in a root", () => {
    const weak = generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey;
    const algorithm = sequence(oid("1.2.840.113549.1.1.11"), nullValue());
    const between = authority("weak", pki.root, pki.rootKey, { key: weak });
    const signed = { signer: { certificate: between, key: weak }, key, algorithm };
    expect(verdict([forgeCertificate(signed), between])).toBe("VERIFICATION_FAILED X-18");
    const extensions = authorityExtensions();
    const root = forgeCertificate({
      signer: { key: weak },
      key: weak,
      subject: "weak",
      algorithm,
      extensions,
    });
    const chain = [forgeCertificate({ signer: { certificate: root, key: weak }, key, algorithm })];
    expect(verdict(chain, { roots: [root] })).toBe("VERIFICATION_FAILED X-18");
  });

  it("refuses keys that the engine cannot use wherever they stand", () => {
    const spki = Buffer.from(leaf.spki);
    spki[30] = (spki[30] ?? 0) ^ 0xff;
    const between = authority("broken", pki.root, pki.rootKey, { spki });
    const root = authority("broken", pki.root, pki.rootKey, { spki });
    expect(verdict([forged({ spki }), pki.issuing])).toBe("VERIFICATION_FAILED X-18");
    expect(verdict([below(between), between])).toBe("VERIFICATION_FAILED X-18");
    expect(verdict([below(root)], { roots: [root] })).toBe("VERIFICATION_FAILED X-18");
  });

  it("compares with the ID and the key that are expected", async () => {
    const chain = [leaf, pki.issuing];
    const spiffeId = parseSpiffeId("spiffe://example.org/ns/shop/sa/other");
    expect(verdict(chain, { expected: { spiffeId } })).toBe("VERIFICATION_FAILED X-01");
    expect(verdict(chain, { expected: { publicKey: publicKeyOf(pki.rootKey) } })).toBe(
      "VERIFICATION_FAILED ID-15",
    );
    const rsa = publicKeyOf(await generateKey("RSA-2048"));
    expect(verdict(chain, { expected: { publicKey: rsa } })).toBe("VERIFICATION_FAILED ID-15");
    const good = { spiffeId: parseSpiffeId(SPIFFE_ID), publicKey: publicKeyOf(key) };
    expect(verdict(chain, { expected: good })).toBe("accepted");
  });

  function verdictOf(der: Buffer): void {
    const chain = [parseCertificate(der), pki.issuing];
    verifyX509Svid({ chain, roots: [pki.root], now: NOW, trustDomain: TRUST_DOMAIN });
  }
});

describe("verifyX509Svid, of the root it ends at,", () => {
  it.each<[string, string, Partial<Forgery>]>([
    [
      "is no signing certificate",
      "X-10",
      { extensions: { ...authorityExtensions(), basicConstraints: undefined } },
    ],
    [
      "may not sign certificates",
      "X-14",
      { extensions: { ...authorityExtensions(), keyUsage: keyUsage("cRLSign") } },
    ],
    ["is of another trust domain", "X-08", { extensions: authorityExtensions("spiffe://other.org") }],
  ])("refuses one that %s", (_what, rule, changes) => {
    const root = forgeCertificate({ signer: { key }, key, subject: "root", ...changes });
    expect(verdict([below(root)], { roots: [root] })).toBe(`VERIFICATION_FAILED ${rule}`);
  });
});

describe("verifyX509Svid, of name constraints,", () => {
  const to = (host: string): Der => nameConstraints({ permitted: [[6, host]] });

  it("holds everything below to them, wherever they stand", () => {
    for (const host of ["example.org", "example.com"]) {
      const extensions = { ...authorityExtensions(), extra: to(host) };
      const root = forgeCertificate({ signer: { key }, key, subject: "root", extensions });
      const first = authority("first", root, key);
      const upper = authority("upper", pki.root, pki.rootKey, { extensions });
      const lower = authority("lower", upper, key);
      const expected = host === "example.org" ? "accepted" : "VERIFICATION_FAILED X-12";
      expect(verdict([below(first), first], { roots: [root] })).toBe(expected);
      expect(verdict([below(lower), lower, upper])).toBe(expected);
    }
  });

  it("holds authorities to them too, but none to its own", () => {
    const own = { ...authorityExtensions(), extra: nameConstraints({ excluded: [[2, "ca.corp"]] }) };
    const names = { uri: "spiffe://example.org", dnsNames: ["ca.corp"] };
    const named = { ...authorityExtensions(), subjectAltName: subjectAltName(names, false) };
    const upper = authority("upper", pki.root, pki.rootKey, { extensions: own });
    const lower = authority("lower", upper, key, { extensions: named });
    expect(verdict([below(lower), lower, upper])).toBe("VERIFICATION_FAILED X-12");
    const both = authority("both", pki.root, pki.rootKey, { extensions: { ...named, extra: own.extra } });
    expect(verdict([below(both), both])).toBe("accepted");
  });
});

describe("verifyAuthority", () => {
  it("refuses name constraints, which meshid makes none of", () => {
    const extensions = {
      ...authorityExtensions(),
      extra: nameConstraints({ permitted: [[6, "example.org"]] }),
    };
    const certificate = forgeCertificate({ signer: { key }, key, subject: "root", extensions });
    const request = { certificate, trustDomain: TRUST_DOMAIN, publicKey: publicKeyOf(key), now: NOW };
    expect(refusalOf(() => verifyAuthority(request))).toBe("VERIFICATION_FAILED X-12");
  });

  it("refuses an issuing certificate that ends after its root", () => {
    const certificate = authority("issuing", pki.root, pki.rootKey, {
      extensions: { ...authorityExtensions(), basicConstraints: basicConstraints(true, 0) },
      notAfter: time(seconds(NOW + 11 * DAY)),
    });
    const request = { issuer: pki.root, trustDomain: TRUST_DOMAIN, publicKey: publicKeyOf(key), now: NOW };
    expect(refusalOf(() => verifyAuthority({ certificate, ...request }))).toBe("VERIFICATION_FAILED X-18");
  });

  it("refuses another key than its slot's", () => {
    const request = { certificate: pki.root, trustDomain: TRUST_DOMAIN, now: NOW };
    const other = { ...request, publicKey: publicKeyOf(pki.issuingKey) };
    expect(refusalOf(() => verifyAuthority(other))).toBe("VERIFICATION_FAILED ID-15");
    expect(refusalOf(() => verifyAuthority({ ...request, publicKey: publicKeyOf(pki.rootKey) }))).toBe(
      "accepted",
    );
  });
});

describe("verifyIssuedLeaf", () => {
  async function signed(changes: Partial<LeafRequest> = {}): Promise<SignedCertificate> {
    return signLeaf(leafRequest(key, changes), pki.issuer);
  }

  it("gives the certificate that was asked for", async () => {
    const request = leafRequest(key, { ipAddresses: ["127.0.0.1", "::1"] });
    const checked = verifyIssuedLeaf(await signLeaf(request, pki.issuer), request, pki.issuer);
    expect(checked.uris).toEqual([SPIFFE_ID]);
  });

  it("refuses a leaf whose names the issuer, or what stands above it, may not sign for", async () => {
    const constrained = (subject: string, domain: string): Certificate =>
      authority(subject, pki.root, pki.rootKey, {
        extensions: { ...authorityExtensions(), extra: nameConstraints({ permitted: [[2, domain]] }) },
      });
    const lax = constrained("issuing", "svc");
    const strict = constrained("upper", "corp");
    for (const [certificate, above, expected] of [
      [lax, [], "accepted"],
      [strict, [], "SIGNING_FAILED X-12"],
      [lax, [strict], "SIGNING_FAILED X-12"],
    ] as const) {
      const issuer = makeIssuer(certificate.pem(), key, above);
      const leafOfIt = await signLeaf(leafRequest(key), issuer);
      expect(refusalOf(() => verifyIssuedLeaf(leafOfIt, leafRequest(key), issuer))).toBe(expected);
    }
  });

  it.each<[string, string, Partial<LeafRequest>]>([
    ["another ID", "X-01", { spiffeId: parseSpiffeId("spiffe://example.org/other") }],
    ["another name", "X-03", { dnsNames: ["other.shop.svc"] }],
    ["one name more", "X-03", { dnsNames: ["payments.shop.svc", "other.shop.svc"] }],
    ["no name", "X-03", { dnsNames: [] }],
    ["an address", "X-03", { ipAddresses: ["10.0.0.1"] }],
    ["a longer life", "X-03", { notAfter: seconds(NOW + DAY + 1) }],
    ["an earlier start", "X-03", { notBefore: seconds(NOW - 61) }],
  ])("refuses one with %s than asked for", async (_what, rule, changes) => {
    const certificate = await signed(changes);
    expect(refusalOf(() => verifyIssuedLeaf(certificate, leafRequest(key), pki.issuer))).toBe(
      `SIGNING_FAILED ${rule}`,
    );
  });

  it("refuses another public key than the one that was encoded", async () => {
    const mine = await signed();
    const theirs = await signLeaf(leafRequest(pki.rootKey), pki.issuer);
    const swapped = { ...theirs, spki: mine.spki };
    expect(refusalOf(() => verifyIssuedLeaf(swapped, leafRequest(key), pki.issuer))).toBe(
      "SIGNING_FAILED ID-15",
    );
  });

  it("refuses a leaf that another issuer signed, or the same one with a broken signature", async () => {
    const foreign = await signLeaf(leafRequest(key), other.issuer);
    expect(refusalOf(() => verifyIssuedLeaf(foreign, leafRequest(key), pki.issuer))).toBe(
      "SIGNING_FAILED X-18",
    );
    const broken = await signed();
    const der = Buffer.from(broken.der);
    der[der.length - 1] = (der[der.length - 1] ?? 0) ^ 1;
    const changed = { ...broken, der };
    expect(refusalOf(() => verifyIssuedLeaf(changed, leafRequest(key), pki.issuer))).toBe(
      "SIGNING_FAILED X-18",
    );
  });

  it.each<[string, Partial<Forgery>]>([
    ["a short serial number", { serial: integer(7) }],
    ["no key identifier", { extensions: { subjectKeyIdentifier: undefined } }],
    ["a life beyond its issuer's", { notAfter: time(seconds(NOW + 6 * DAY)) }],
  ])("refuses a leaf with %s", async (_what, changes) => {
    const honest = await signed({ dnsNames: [] });
    const der = forgeDer({
      signer: { certificate: pki.issuing, key: pki.issuingKey },
      key,
      serial: integerBytes(Buffer.alloc(16, 0x4f)),
      ...changes,
    });
    const certificate = parseCertificate(der);
    const request = leafRequest(key, { dnsNames: [], notAfter: certificate.notAfter });
    expect(refusalOf(() => verifyIssuedLeaf({ ...honest, der }, request, pki.issuer))).toBe(
      "SIGNING_FAILED X-18",
    );
  });

  it.each<[string, Partial<Forgery>]>([
    ["a subject", { subject: "payments" }],
    ["a mail address", { extensions: { subjectAltName: mailed() } }],
  ])("refuses a leaf with %s that nobody asked for", async (_what, changes) => {
    const honest = await signed({ dnsNames: [] });
    const der = forgeDer({ signer: { certificate: pki.issuing, key: pki.issuingKey }, key, ...changes });
    const request = leafRequest(key, { dnsNames: [] });
    expect(refusalOf(() => verifyIssuedLeaf({ ...honest, der }, request, pki.issuer))).toBe(
      "SIGNING_FAILED X-03",
    );
  });

  function mailed(): Der {
    const names = sequence(contextBytes(6, SPIFFE_ID), contextBytes(1, "a@b.c"));
    return rawExtension(EXTENSION_OID.subjectAltName, true, names);
  }

  it("keeps the reason as its cause", async () => {
    const certificate = await signed({ dnsNames: [] });
    expect(() => verifyIssuedLeaf(certificate, leafRequest(key), pki.issuer)).toThrow(
      expect.objectContaining({ cause: expect.any(OperatorError) }),
    );
  });
});
