/** X509-SVID.md: one test for each requirement on an issuer, validator or publisher, named by its ID. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { seconds } from "../../src/core/brand.ts";
import { encodeBundle } from "../../src/spiffe/bundle.ts";
import { parseSpiffeId, trustDomainSpiffeId } from "../../src/spiffe/spiffe-id.ts";
import { parseTrustDomain } from "../../src/spiffe/trust-domain.ts";
import { boolean, contextBytes, type Der, namedBits, oid, sequence, time } from "../../src/x509/asn1.ts";
import { type Certificate, parseCertificate } from "../../src/x509/certificate.ts";
import {
  basicConstraints,
  EKU_OID,
  EXTENSION_OID,
  keyUsage,
  subjectAltName,
} from "../../src/x509/extensions.ts";
import { generateKey, type PrivateKey, publicJwk, publicKeyOf } from "../../src/x509/keys.ts";
import { signLeaf } from "../../src/x509/template.ts";
import { verifyAuthority, verifyX509Svid } from "../../src/x509/verify.ts";
import {
  authorityExtensions,
  DAY,
  type ForgedExtensions,
  forgeCertificate,
  honestLeaf,
  leafRequest,
  makePki,
  NOW,
  type Pki,
  rawExtension,
  requireOpenssl,
  run,
  SPIFFE_ID,
  TRUST_DOMAIN,
} from "../support/certificates.ts";
import { refusalOf } from "../support/errors.ts";
import { nameConstraints } from "../support/external-ca.ts";

const CA_TRUE = sequence(boolean(true));
const DIGITAL_SIGNATURE = namedBits([0]);

const folder = mkdtempSync(join(tmpdir(), "meshid-x509-svid-"));
let pki: Pki;
/** Of the same trust domain. */
let second: Pki;
let foreign: Pki;
let key: PrivateKey;
let leaf: Certificate;

beforeAll(async () => {
  requireOpenssl();
  pki = await makePki();
  second = await makePki();
  foreign = await makePki(parseTrustDomain("other.org"));
  key = await generateKey("ECDSA-P256");
  leaf = await honestLeaf(pki, key);
});

afterAll(() => rmSync(folder, { recursive: true }));

/** The verdict on a chain under the bundle of example.org. */
function verdict(...chain: readonly Certificate[]): string {
  return refusalOf(() => verifyX509Svid({ chain, roots: [pki.root], now: NOW, trustDomain: TRUST_DOMAIN }));
}

/** An honest leaf of our issuing certificate but for the named extensions. */
function forged(extensions: ForgedExtensions, subject = ""): Certificate {
  return forgeCertificate({
    signer: { certificate: pki.issuing, key: pki.issuingKey },
    key,
    subject,
    extensions,
  });
}

function leafVerdict(extensions: ForgedExtensions, subject?: string): string {
  return verdict(forged(extensions, subject), pki.issuing);
}

/** An issuing certificate of our root but for the named extensions, with a good leaf below it. */
function authorityVerdict(extensions: ForgedExtensions): string {
  const authority = forgeCertificate({
    signer: { certificate: pki.root, key: pki.rootKey },
    key,
    subject: "issuing",
    extensions: { ...authorityExtensions(), ...extensions },
  });
  return verdict(forgeCertificate({ signer: { certificate: authority, key }, key }), authority);
}

function uris(...names: readonly string[]): Der {
  return rawExtension(
    EXTENSION_OID.subjectAltName,
    true,
    sequence(...names.map((name) => contextBytes(6, name))),
  );
}

function purposes(...ids: readonly string[]): Der {
  return rawExtension(EXTENSION_OID.extKeyUsage, false, sequence(...ids.map((id) => oid(id))));
}

function opensslAccepts(chain: readonly Certificate[], root: Certificate = pki.root): boolean {
  const file = (name: string, certificates: readonly Certificate[]): string => {
    const path = join(folder, name);
    writeFileSync(path, certificates.map((certificate) => certificate.pem()).join(""));
    return path;
  };
  const [first, ...others] = chain;
  if (first === undefined) return false;
  const trust = ["-attime", String(NOW), "-CAfile", file("root.pem", [root])];
  const untrusted = others.length === 0 ? [] : ["-untrusted", file("untrusted.pem", others)];
  try {
    run("openssl", ["verify", ...trust, ...untrusted, file("leaf.pem", [first])]);
    return true;
  } catch {
    return false;
  }
}

describe("X509-SVID, issuer", () => {
  it("ID-13 the signing authority of a trust domain has SVIDs of its own (SPIFFE-ID §3.1)", () => {
    for (const certificate of [pki.root, pki.issuing]) {
      expect(certificate.uris).toEqual([`spiffe://${TRUST_DOMAIN}`]);
      expect(certificate.isCA).toBe(true);
    }
  });

  it("X-01 a leaf has exactly one URI, its SPIFFE ID (§2)", () => {
    expect(leaf.uris).toEqual([SPIFFE_ID]);
  });

  it("X-03 a leaf may have DNS names beside it (§2)", () => {
    expect(leaf.dnsNames).toEqual(["payments.shop.svc"]);
  });

  it("X-04 no leaf is signed for an ID without a path (§3.1)", async () => {
    const request = leafRequest(key, { spiffeId: trustDomainSpiffeId(TRUST_DOMAIN) });
    await expect(signLeaf(request, pki.issuer)).rejects.toMatchObject({ code: "SIGNING_FAILED" });
  });

  it("X-05 the subject of a leaf is empty and its SAN is critical (§3.1)", () => {
    expect([leaf.subject, leaf.sanCritical]).toEqual(["", true]);
  });

  it("X-06, X-07, X-08 root and issuing certificate carry the ID of the trust domain, without a path (§3.2)", () => {
    expect([pki.root.uris, pki.issuing.uris]).toEqual([["spiffe://example.org"], ["spiffe://example.org"]]);
  });

  it("X-10 signing certificates have cA, a leaf has not, and basicConstraints is critical (§4.1)", () => {
    const shown = [pki.root, pki.issuing, leaf].map((each) => [each.isCA, each.basicConstraintsCritical]);
    expect(shown).toEqual([
      [true, true],
      [true, true],
      [false, true],
    ]);
  });

  it("X-11 the issuing certificate signs leaves only: pathLenConstraint 0 (§4.1)", () => {
    expect([pki.root.pathLength, pki.issuing.pathLength]).toEqual([undefined, 0]);
  });

  it("X-12 no certificate carries name constraints, which many libraries reject (§4.2)", () => {
    expect([pki.root, pki.issuing, leaf].some((each) => each.nameConstraints !== undefined)).toBe(false);
  });

  it("X-13 key usage is there and critical on each (§4.3)", () => {
    expect([pki.root, pki.issuing, leaf].map((each) => each.keyUsageCritical)).toEqual([true, true, true]);
  });

  it("X-14, X-16 signing certificates may sign certificates and lists, and nothing else (§4.3, App. A)", () => {
    const expected = new Set(["keyCertSign", "cRLSign"]);
    expect([pki.root.keyUsage, pki.issuing.keyUsage]).toEqual([expected, expected]);
  });

  it("X-15, X-16 leaves may sign data, of RSA encipher keys, and nothing else (§4.3, App. A)", async () => {
    const rsa = await honestLeaf(pki, await generateKey("RSA-2048"));
    expect([leaf.keyUsage, rsa.keyUsage]).toEqual([
      new Set(["digitalSignature"]),
      new Set(["digitalSignature", "keyEncipherment"]),
    ]);
  });

  it("X-17 a leaf is for servers and clients (§4.4)", () => {
    expect(leaf.extKeyUsage).toEqual([EKU_OID.serverAuth, EKU_OID.clientAuth]);
  });

  it("is of OpenSSL's opinion about an honest chain, strictly", () => {
    expect([verdict(leaf, pki.issuing), opensslAccepts([leaf, pki.issuing])]).toEqual(["accepted", true]);
  });

  it.each<[string, string, () => ForgedExtensions]>([
    ["X-06", "has no SPIFFE ID", () => ({ subjectAltName: undefined })],
    ["X-07", "has one with a path", () => ({ subjectAltName: uris("spiffe://example.org/ca") })],
    ["X-08", "is of another trust domain", () => ({ subjectAltName: uris("spiffe://other.org") })],
    ["X-10", "has no cA", () => ({ basicConstraints: basicConstraints(false) })],
    ["X-11", "may sign further authorities", () => ({ basicConstraints: basicConstraints(true) })],
    ["X-13", "has no key usage", () => ({ keyUsage: undefined })],
    ["X-14", "may not sign certificates", () => ({ keyUsage: keyUsage("cRLSign") })],
    ["X-16", "may sign data", () => ({ keyUsage: keyUsage("keyCertSign", "digitalSignature") })],
    ["X-18", "has no key identifier", () => ({ subjectKeyIdentifier: undefined })],
  ])("%s keeps an issuing certificate from use that %s", (rule, _what, extensions) => {
    const certificate = forgeCertificate({
      signer: { certificate: pki.root, key: pki.rootKey },
      key,
      subject: "issuing",
      extensions: { ...authorityExtensions(), basicConstraints: basicConstraints(true, 0), ...extensions() },
    });
    const request = { trustDomain: TRUST_DOMAIN, publicKey: publicKeyOf(key), now: NOW };
    expect(refusalOf(() => verifyAuthority({ certificate, issuer: pki.root, ...request }))).toBe(
      `VERIFICATION_FAILED ${rule}`,
    );
  });
});

describe("X509-SVID, validator", () => {
  it("X-01 refuses a leaf without a URI (§5.2)", () => {
    expect(leafVerdict({ subjectAltName: undefined }, "payments")).toBe("VERIFICATION_FAILED X-01");
  });

  it("X-02 refuses two URIs, also when the second is no SPIFFE ID or the same again (§5.2)", () => {
    for (const second of ["spiffe://example.org/admin", "https://example.org", SPIFFE_ID]) {
      expect(leafVerdict({ subjectAltName: uris(SPIFFE_ID, second) })).toBe("VERIFICATION_FAILED X-02");
      expect(leafVerdict({ subjectAltName: uris(second, SPIFFE_ID) })).toBe("VERIFICATION_FAILED X-02");
    }
  });

  it("X-03 accepts other names beside the URI (§2)", () => {
    const names = { uri: SPIFFE_ID, dnsNames: ["a.svc"], ipAddresses: ["10.0.0.1"] };
    expect(leafVerdict({ subjectAltName: subjectAltName(names, true) })).toBe("accepted");
  });

  it("X-04 refuses a leaf whose ID has no path (§5.2)", () => {
    expect(leafVerdict({ subjectAltName: uris("spiffe://example.org") })).toBe("VERIFICATION_FAILED X-04");
  });

  it("X-05 refuses an empty subject with a SAN that is not critical, and accepts it beside a subject (§3.1)", () => {
    const relaxed = subjectAltName({ uri: SPIFFE_ID }, false);
    expect(leafVerdict({ subjectAltName: relaxed })).toBe("VERIFICATION_FAILED X-05");
    expect(leafVerdict({ subjectAltName: relaxed }, "payments")).toBe("accepted");
  });

  it("X-06 accepts signing certificates without an ID (§3.2)", () => {
    expect(authorityVerdict({ subjectAltName: undefined })).toBe("accepted");
  });

  it("X-07 refuses a signing certificate whose ID has a path (§3.2)", () => {
    const certificate = uris("spiffe://example.org/ns/shop/sa/payments");
    expect(authorityVerdict({ subjectAltName: certificate })).toBe("VERIFICATION_FAILED X-07");
  });

  it("X-08 refuses a signing certificate of another trust domain (§3.2)", () => {
    expect(authorityVerdict({ subjectAltName: uris("spiffe://other.org") })).toBe("VERIFICATION_FAILED X-08");
  });

  it("X-09 refuses signing certificates as credentials, with and without a path (§3.2)", () => {
    expect(verdict(pki.issuing)).toBe("VERIFICATION_FAILED X-04");
    expect(verdict(pki.root)).toBe("VERIFICATION_FAILED X-04");
    expect(leafVerdict({ basicConstraints: basicConstraints(true) })).toBe("VERIFICATION_FAILED X-09");
  });

  it("X-10 refuses to build on certificates without cA, or with it in an extension that may be ignored (§4.1)", () => {
    const relaxed = rawExtension(EXTENSION_OID.basicConstraints, false, CA_TRUE);
    expect(authorityVerdict({ basicConstraints: undefined })).toBe("VERIFICATION_FAILED X-10");
    expect(authorityVerdict({ basicConstraints: basicConstraints(false) })).toBe("VERIFICATION_FAILED X-10");
    expect(authorityVerdict({ basicConstraints: relaxed })).toBe("VERIFICATION_FAILED X-10");
  });

  it("X-11 keeps to path lengths: nothing signs below our issuing certificate (§4.1)", () => {
    const rogue = forgeCertificate({
      signer: { certificate: pki.issuing, key: pki.issuingKey },
      key,
      subject: "rogue",
      extensions: authorityExtensions(),
    });
    const below = forgeCertificate({ signer: { certificate: rogue, key }, key });
    expect(verdict(below, rogue, pki.issuing)).toBe("VERIFICATION_FAILED X-18");
  });

  it("X-12 holds SVIDs to name constraints, critical or not, and refuses ones it cannot evaluate (§4.2)", () => {
    for (const critical of [true, false]) {
      const to = (domain: string): Der => nameConstraints({ permitted: [[6, domain]] }, critical);
      expect(authorityVerdict({ extra: to("example.org") })).toBe("accepted");
      expect(authorityVerdict({ extra: to("example.com") })).toBe("VERIFICATION_FAILED X-12");
      const empty = rawExtension(EXTENSION_OID.nameConstraints, critical, sequence());
      expect(authorityVerdict({ extra: empty })).toBe("VERIFICATION_FAILED X-12");
      expect(leafVerdict({ extra: to("example.org") })).toBe("VERIFICATION_FAILED X-12");
    }
  });

  it("X-13 refuses certificates without key usage, or with one that may be ignored (§4.3)", () => {
    const relaxed = rawExtension(EXTENSION_OID.keyUsage, false, DIGITAL_SIGNATURE);
    expect(leafVerdict({ keyUsage: undefined })).toBe("VERIFICATION_FAILED X-13");
    expect(leafVerdict({ keyUsage: relaxed })).toBe("VERIFICATION_FAILED X-13");
    expect(authorityVerdict({ keyUsage: undefined })).toBe("VERIFICATION_FAILED X-13");
  });

  it("X-14 refuses to build on a certificate that may not sign certificates (§4.3)", () => {
    expect(authorityVerdict({ keyUsage: keyUsage("cRLSign") })).toBe("VERIFICATION_FAILED X-14");
    expect(authorityVerdict({ keyUsage: keyUsage("keyCertSign") })).toBe("accepted");
  });

  it("X-15 refuses leaves that may sign certificates or lists, or may not sign data (§4.3)", () => {
    for (const usages of [
      ["digitalSignature", "keyCertSign"],
      ["digitalSignature", "cRLSign"],
      ["keyEncipherment"],
    ] as const) {
      expect(leafVerdict({ keyUsage: keyUsage(...usages) })).toBe("VERIFICATION_FAILED X-15");
    }
    const all = keyUsage("digitalSignature", "keyEncipherment", "keyAgreement");
    expect(leafVerdict({ keyUsage: all })).toBe("accepted");
  });

  it("X-17 refuses leaves that are not for servers and clients both (§4.4)", () => {
    for (const bad of [
      undefined,
      purposes(EKU_OID.serverAuth),
      purposes(EKU_OID.clientAuth),
      purposes(EKU_OID.any),
    ]) {
      expect(leafVerdict({ extKeyUsage: bad })).toBe("VERIFICATION_FAILED X-17");
    }
    const more = purposes(EKU_OID.clientAuth, EKU_OID.serverAuth, "1.3.6.1.5.5.7.3.3");
    expect(leafVerdict({ extKeyUsage: more })).toBe("accepted");
    expect(authorityVerdict({ extKeyUsage: purposes(EKU_OID.serverAuth) })).toBe("VERIFICATION_FAILED X-17");
  });

  it("X-18 refuses a chain to the bundle of another trust domain than the leaf's (§5.1)", async () => {
    const request = leafRequest(key, { spiffeId: parseSpiffeId("spiffe://other.org/ns/shop/sa/payments") });
    const stranger = parseCertificate((await signLeaf(request, foreign.issuer)).der);
    const chain = [stranger, foreign.issuing];
    const roots = [foreign.root];
    const under = (trustDomain = TRUST_DOMAIN): string =>
      refusalOf(() => verifyX509Svid({ chain, roots, now: NOW, trustDomain }));
    expect(under()).toBe("VERIFICATION_FAILED X-18");
    expect(under(parseTrustDomain("other.org"))).toBe("accepted");
  });

  it.each([
    ["http://example.org/ns/shop"],
    ["SPIFFE://example.org/ns/shop"],
    ["spiffe://example.org/ns/../admin"],
    ["spiffe://example.org/ns//admin"],
    ["spiffe://example.org/ns/"],
    ["spiffe://example.org:443/ns"],
    ["spiffe://user@example.org/ns"],
    ["spiffe://example.org/a?b"],
    ["spiffe://example.org/a%2fb"],
    ["urn:spiffe"],
  ])("X-19 refuses the URI %s (§5.2)", (uri) => {
    expect(leafVerdict({ subjectAltName: uris(uri) })).toBe("VERIFICATION_FAILED X-19");
  });

  it("X-19 refuses cA, keyCertSign, cRLSign, other schemes, no path and a second URI (§5.2)", () => {
    const bad: readonly ForgedExtensions[] = [
      { basicConstraints: basicConstraints(true) },
      { keyUsage: keyUsage("digitalSignature", "keyCertSign") },
      { keyUsage: keyUsage("digitalSignature", "cRLSign") },
      { subjectAltName: uris("https://example.org/a") },
      { subjectAltName: uris("spiffe://example.org") },
      { subjectAltName: uris(SPIFFE_ID, SPIFFE_ID) },
    ];
    expect(bad.map((each) => leafVerdict(each)).filter((each) => each === "accepted")).toEqual([]);
  });
});

/** What OpenSSL's check of the chain alone lets through, and what it does not. */
describe("eight bad SVIDs", () => {
  const bad: readonly (readonly [string, () => readonly Certificate[]])[] = [
    [
      "a leaf that is a CA",
      () => [forged({ ...authorityExtensions(), subjectAltName: uris(SPIFFE_ID) }), pki.issuing],
    ],
    [
      "two URIs",
      () => [forged({ subjectAltName: uris(SPIFFE_ID, "spiffe://example.org/admin") }), pki.issuing],
    ],
    ["a path with ..", () => [forged({ subjectAltName: uris("spiffe://example.org/a/../b") }), pki.issuing]],
    ["a foreign trust domain", () => [forged({ subjectAltName: uris("spiffe://other.org/a") }), pki.issuing]],
    ["no extended key usage", () => [forged({ extKeyUsage: undefined }), pki.issuing]],
    ["a rogue sub-CA", () => rogueChain()],
    ["an expired leaf", () => [expired(), pki.issuing]],
    ["a stranger's root", () => [strangers(), foreign.issuing]],
  ];

  it.each(bad)("refuses %s", (_what, chain) => {
    expect(verdict(...chain())).toMatch(/^VERIFICATION_FAILED X-/);
  });

  it("are not all refused by OpenSSL's check of the chain, which is why the profile is checked", () => {
    const passed = bad.filter(([, chain]) => opensslAccepts(chain())).map(([what]) => what);
    expect(passed).toEqual(
      expect.arrayContaining([
        "two URIs",
        "a path with ..",
        "a foreign trust domain",
        "no extended key usage",
      ]),
    );
  });

  /** A sub-CA of another trust domain below an authority that did not limit its path. */
  function rogueChain(): readonly Certificate[] {
    const open = forgeCertificate({
      signer: { certificate: pki.root, key: pki.rootKey },
      key,
      subject: "open",
      extensions: authorityExtensions(),
    });
    const rogue = forgeCertificate({
      signer: { certificate: open, key },
      key,
      subject: "rogue",
      extensions: authorityExtensions("spiffe://rogue.org"),
    });
    return [forgeCertificate({ signer: { certificate: rogue, key }, key }), rogue, open];
  }

  function expired(): Certificate {
    const signer = { certificate: pki.issuing, key: pki.issuingKey };
    return forgeCertificate({
      signer,
      key,
      notBefore: time(seconds(NOW - DAY)),
      notAfter: time(seconds(NOW - 3600)),
    });
  }

  function strangers(): Certificate {
    return forgeCertificate({ signer: { certificate: foreign.issuing, key: foreign.issuingKey }, key });
  }
});

describe("X509-SVID, publisher", () => {
  interface Entry {
    readonly use: string;
    readonly kid?: string;
    readonly x5c: readonly string[];
  }

  function entries(): readonly Entry[] {
    const roots = [pki.root, second.root];
    const text = encodeBundle({
      trustDomain: TRUST_DOMAIN,
      x509Authorities: roots.map((root) => ({ der: root.der, jwk: publicJwk(root.publicKey) })),
      jwtAuthorities: [],
      sequence: 1,
      refreshHint: seconds(60),
    });
    const { keys } = JSON.parse(text) as { readonly keys: readonly Entry[] };
    return keys;
  }

  it("X-20 publishes one entry for each root, with use x509-svid and without kid (§6.1)", () => {
    expect(entries().map((entry) => [entry.use, "kid" in entry])).toEqual([
      ["x509-svid", false],
      ["x509-svid", false],
    ]);
  });

  it("X-21 gives each exactly one certificate in x5c, base64 of its DER (§6.1)", () => {
    const ders = entries().map((entry) =>
      entry.x5c.map((text) => Buffer.from(text, "base64").toString("hex")),
    );
    const roots = [pki.root, second.root].map((root) => Buffer.from(root.der).toString("hex"));
    expect(new Set(ders.flat())).toEqual(new Set(roots));
    expect(ders.map((each) => each.length)).toEqual([1, 1]);
  });

  it("X-22 that certificate is signed by itself (§6.1)", () => {
    for (const entry of entries()) {
      const certificate = parseCertificate(Buffer.from(entry.x5c[0] ?? "", "base64"));
      const { publicKey } = certificate;
      verifyAuthority({ certificate, trustDomain: TRUST_DOMAIN, publicKey, now: NOW });
      expect(opensslAccepts([certificate], certificate)).toBe(true);
    }
  });
});
