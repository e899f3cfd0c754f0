import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { seconds } from "../../../src/core/brand.ts";
import { type Random, systemRandom } from "../../../src/core/random.ts";
import { parseSpiffeId, trustDomainSpiffeId } from "../../../src/spiffe/spiffe-id.ts";
import { parseTrustDomain } from "../../../src/spiffe/trust-domain.ts";
import { parseCertificate } from "../../../src/x509/certificate.ts";
import {
  AUTHORITY_KEY_ALGORITHMS,
  generateKey,
  KEY_ALGORITHMS,
  keyIdOf,
  type PrivateKey,
  publicKeyOf,
} from "../../../src/x509/keys.ts";
import { makeIssuer, signIssuing, signLeaf, signRoot } from "../../../src/x509/template.ts";
import { verifyAuthority, verifyX509Svid } from "../../../src/x509/verify.ts";
import {
  authorityExtensions,
  DAY,
  forgeCertificate,
  leafRequest,
  makePki,
  NOW,
  type Pki,
  requireOpenssl,
  run,
  TRUST_DOMAIN,
} from "../../support/certificates.ts";
import { refusalOf } from "../../support/errors.ts";

const folder = mkdtempSync(join(tmpdir(), "meshid-template-"));
let pki: Pki;
let key: PrivateKey;

beforeAll(async () => {
  requireOpenssl();
  pki = await makePki();
  key = await generateKey("ECDSA-P256");
});

afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function opensslVerifies(root: string, issuing: string, leaf: string): string {
  return run("openssl", [
    "verify",
    "-x509_strict",
    "-attime",
    String(NOW),
    "-CAfile",
    file("root.pem", root),
    "-untrusted",
    file("issuing.pem", issuing),
    "-purpose",
    "sslserver",
    file("leaf.pem", leaf),
  ]);
}

function textOf(pem: string): string {
  return run("openssl", ["x509", "-noout", "-text", "-ext", EXTENSIONS], pem);
}

const EXTENSIONS =
  "basicConstraints,keyUsage,extendedKeyUsage,subjectKeyIdentifier,authorityKeyIdentifier,subjectAltName";

function thrower(): never {
  throw new Error("no key");
}

async function refusedAsync(act: () => Promise<unknown>): Promise<string> {
  try {
    await act();
    return "accepted";
  } catch (error) {
    return refusalOf(() => {
      throw error;
    });
  }
}

describe("signLeaf", () => {
  it.each(AUTHORITY_KEY_ALGORITHMS)(
    "makes chains under %s that OpenSSL and our verifier accept, for leaves of all six algorithms",
    async (algorithm) => {
      const own = await makePki(TRUST_DOMAIN, algorithm);
      for (const leafAlgorithm of KEY_ALGORITHMS) {
        const leafKey = await generateKey(leafAlgorithm);
        const signed = await signLeaf(leafRequest(leafKey), own.issuer);
        expect(opensslVerifies(own.rootPem, own.issuingPem, signed.pem)).toContain(": OK");
        const chain = [parseCertificate(signed.der), own.issuing];
        const expected = { publicKey: publicKeyOf(leafKey) };
        verifyX509Svid({ chain, roots: [own.root], now: NOW, trustDomain: TRUST_DOMAIN, expected });
      }
    },
  );

  it.each([
    ["ECDSA-P256", "ecdsa-with-SHA256"],
    ["ECDSA-P384", "ecdsa-with-SHA384"],
    ["RSA-3072", "sha256WithRSAEncryption"],
  ] as const)("names the algorithm of an issuer of %s as %s", async (algorithm, shown) => {
    const own = await makePki(TRUST_DOMAIN, algorithm);
    const signed = await signLeaf(leafRequest(key), own.issuer);
    expect(textOf(signed.pem).match(new RegExp(`Signature Algorithm: ${shown}`, "g"))).toHaveLength(2);
  });

  it("shows OpenSSL the whole profile, critical flags included", async () => {
    const signed = await signLeaf(
      leafRequest(key, { dnsNames: ["a.shop.svc"], ipAddresses: ["127.0.0.1", "::1"] }),
      pki.issuer,
    );
    const lines = textOf(signed.pem).replaceAll(/^ +| +$/gm, "");
    expect(lines).toContain("\nSubject:\n");
    expect(lines).toContain("X509v3 Basic Constraints: critical\nCA:FALSE");
    expect(lines).toContain("X509v3 Key Usage: critical\nDigital Signature\n");
    expect(lines).toContain(
      "X509v3 Extended Key Usage:\nTLS Web Server Authentication, TLS Web Client Authentication\n",
    );
    expect(lines).toContain(
      "X509v3 Subject Alternative Name: critical\nURI:spiffe://example.org/ns/shop/sa/payments, DNS:a.shop.svc, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1\n",
    );
    const colons = (id: string): string => id.toUpperCase().replace(/..(?=.)/g, "$&:");
    expect(lines).toContain(`X509v3 Subject Key Identifier:\n${colons(keyIdOf(key))}`);
    expect(lines).toContain(`X509v3 Authority Key Identifier:\n${colons(keyIdOf(pki.issuingKey))}`);
  });

  it("lets only RSA leaves encipher keys", async () => {
    const rsa = await signLeaf(leafRequest(await generateKey("RSA-2048")), pki.issuer);
    const ed = await signLeaf(leafRequest(await generateKey("Ed25519")), pki.issuer);
    expect([...(parseCertificate(rsa.der).keyUsage ?? [])]).toEqual(["digitalSignature", "keyEncipherment"]);
    expect([...(parseCertificate(ed.der).keyUsage ?? [])]).toEqual(["digitalSignature"]);
  });

  it("gives any random bytes a positive serial number of 16 octets, and a different one each time", async () => {
    const constant = (byte: number): Random => ({
      ...systemRandom,
      bytes: (length) => new Uint8Array(length).fill(byte),
    });
    const serials = new Set<string>();
    for (const random of [constant(0), constant(0xff), constant(0x80), systemRandom, systemRandom]) {
      const signed = await signLeaf(leafRequest(key, { random }), pki.issuer);
      serials.add(parseCertificate(signed.der).serialNumber);
    }
    expect(serials.size).toBe(5);
    expect([...serials].every((serial) => /^[4-7][0-9a-f]{31}$/.test(serial))).toBe(true);
  });

  it("leaves the bytes of its random source as they were", async () => {
    const bytes = new Uint8Array(16);
    await signLeaf(leafRequest(key, { random: { ...systemRandom, bytes: () => bytes } }), pki.issuer);
    expect([...bytes]).toEqual(Array.from({ length: 16 }, () => 0));
  });

  it.each([
    ["X-04 the ID of a trust domain", { spiffeId: trustDomainSpiffeId(TRUST_DOMAIN) }],
    ["an ID of another trust domain", { spiffeId: parseSpiffeId("spiffe://other.org/a") }],
    ["a life beyond its issuer's", { notAfter: seconds(NOW + 5 * DAY + 1) }],
  ])("refuses to sign %s", async (_what, changes) => {
    expect(await refusedAsync(() => signLeaf(leafRequest(key, changes), pki.issuer))).toMatch(
      /^SIGNING_FAILED/,
    );
  });

  it("says SIGNING_FAILED when the key does not sign", async () => {
    const fails = [() => Promise.reject(new Error("no token")), thrower] as const;
    for (const sign of fails) {
      const act = (): Promise<unknown> => signLeaf(leafRequest(key), { ...pki.issuer, sign });
      expect(await refusedAsync(act)).toMatch(/^SIGNING_FAILED/);
    }
  });

  it("signs a life that ends with its issuer's", async () => {
    const signed = await signLeaf(leafRequest(key, { notAfter: pki.issuing.notAfter }), pki.issuer);
    expect(parseCertificate(signed.der).notAfter).toBe(pki.issuing.notAfter);
  });

  it.each([
    ["a DNS name beyond ASCII", { dnsNames: ["café.svc"] }],
    ["an empty DNS name", { dnsNames: [""] }],
    ["an IP address that is none", { ipAddresses: ["localhost"] }],
    ["a life that ends before it begins", { notAfter: seconds(NOW - 60) }],
  ])("is a programming error with %s", async (_what, changes) => {
    await expect(signLeaf(leafRequest(key, changes), pki.issuer)).rejects.toThrow(TypeError);
  });
});

describe("signRoot", () => {
  it("changes from UTCTime to GeneralizedTime at the start of 2050", async () => {
    const edge = 2_524_608_000;
    const base = { trustDomain: TRUST_DOMAIN, key, random: systemRandom };
    const pem = await signRoot({ ...base, notBefore: seconds(edge - 1), notAfter: seconds(edge) });
    const dump = run("openssl", ["asn1parse"], pem);
    expect(dump).toMatch(/UTCTIME +:491231235959Z/);
    expect(dump).toMatch(/GENERALIZEDTIME +:20500101000000Z/);
  });

  it("names each root differently, by its key, for any length of trust domain", async () => {
    const long = parseTrustDomain(
      `${"a".repeat(62)}.${"b".repeat(62)}.${"c".repeat(62)}.${"d".repeat(62)}.e`,
    );
    const roots = [await makePki(), await makePki(), await makePki(long), await makePki(long)];
    const subjects = roots.map(({ root }) => root.subject);
    expect(new Set(subjects).size).toBe(4);
    for (const { root, rootPem, rootKey } of roots) {
      expect(root.subject).toContain(`serialNumber=${keyIdOf(rootKey)}`);
      expect(/CN=([^,]*)/.exec(root.subject)?.[1]?.length).toBeLessThanOrEqual(64);
      expect(run("openssl", ["x509", "-noout", "-subject"], rootPem)).toContain(keyIdOf(rootKey));
    }
    expect(roots[3]?.root.uris).toEqual([`spiffe://${long}`]);
  });

  it("refuses a key that cannot be an authority's", async () => {
    const request = {
      trustDomain: TRUST_DOMAIN,
      notBefore: NOW,
      notAfter: seconds(NOW + DAY),
      random: systemRandom,
    };
    const ed = await generateKey("Ed25519");
    expect(await refusedAsync(() => signRoot({ ...request, key: ed }))).toBe("INVALID_INPUT key");
    expect(await refusedAsync(() => signRoot({ ...request, key: publicKeyOf(key) }))).toBe(
      "INVALID_INPUT key",
    );
  });
});

describe("signIssuing", () => {
  const request = (): Parameters<typeof signIssuing>[0] => ({
    trustDomain: TRUST_DOMAIN,
    publicKey: publicKeyOf(key),
    notBefore: seconds(NOW - 60),
    notAfter: seconds(NOW + DAY),
    random: systemRandom,
  });

  it("refuses a life beyond its root's, and another trust domain", async () => {
    const long = { ...request(), notAfter: seconds(pki.root.notAfter + 1) };
    const foreign = { ...request(), trustDomain: parseTrustDomain("other.org") };
    expect(await refusedAsync(() => signIssuing(long, pki.rootIssuer))).toMatch(/^SIGNING_FAILED/);
    expect(await refusedAsync(() => signIssuing(foreign, pki.rootIssuer))).toMatch(/^SIGNING_FAILED/);
  });

  it("makes what verifyAuthority accepts", () => {
    verifyAuthority({
      certificate: pki.issuing,
      issuer: pki.root,
      trustDomain: TRUST_DOMAIN,
      publicKey: publicKeyOf(pki.issuingKey),
      now: NOW,
    });
  });
});

describe("makeIssuer", () => {
  it("refuses a key that is not the certificate's, of the same or another type", async () => {
    const rsa = await generateKey("RSA-3072");
    expect(refusalOf(() => makeIssuer(pki.issuingPem, pki.rootKey))).toBe("INVALID_INPUT issuer");
    expect(refusalOf(() => makeIssuer(pki.issuingPem, rsa))).toBe("INVALID_INPUT issuer");
  });

  it("refuses a certificate that cannot sign", async () => {
    const leaf = await signLeaf(leafRequest(key), pki.issuer);
    expect(refusalOf(() => makeIssuer(leaf.pem, key))).toBe("INVALID_INPUT issuer");
    const bare = { signer: { key }, key, subject: "x" };
    const lacking = { ...authorityExtensions(), subjectKeyIdentifier: undefined };
    const unnamed = forgeCertificate({ ...bare, extensions: lacking });
    expect(refusalOf(() => makeIssuer(unnamed.pem(), key))).toBe("INVALID_INPUT issuer");
  });

  it("signs for any trust domain under a certificate without a SPIFFE ID, as its owner brought it", async () => {
    const extensions = authorityExtensions();
    const brought = forgeCertificate({
      signer: { key },
      key,
      subject: "corporate",
      extensions: { ...extensions, subjectAltName: undefined },
    });
    const signed = await signLeaf(leafRequest(key), makeIssuer(brought.pem(), key));
    expect(parseCertificate(signed.der).issuer).toBe("CN=corporate");
  });
});
