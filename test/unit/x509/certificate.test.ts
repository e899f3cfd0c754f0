import { X509Certificate } from "node:crypto";
import { beforeAll, describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { isOperatorError } from "../../../src/core/errors.ts";
import {
  boolean,
  context,
  contextBytes,
  type Der,
  element,
  integer,
  octetString,
  sequence,
} from "../../../src/x509/asn1.ts";
import { type Certificate, parseCertificate, parseCertificates } from "../../../src/x509/certificate.ts";
import { TAG } from "../../../src/x509/der.ts";
import { basicConstraints, EXTENSION_OID } from "../../../src/x509/extensions.ts";
import { generateKey, keyIdOf, type PrivateKey } from "../../../src/x509/keys.ts";
import { signLeaf } from "../../../src/x509/template.ts";
import {
  type ForgedExtensions,
  forgeDer,
  leafRequest,
  makePki,
  type Pki,
  rawExtension,
} from "../../support/certificates.ts";
import { refusalOf } from "../../support/errors.ts";

let pki: Pki;
let key: PrivateKey;
let leaf: Certificate;

beforeAll(async () => {
  pki = await makePki();
  key = await generateKey("ECDSA-P256");
  const names = { dnsNames: ["a.shop.svc", "b.shop.svc"], ipAddresses: ["127.0.0.1", "::1"] };
  leaf = parseCertificate((await signLeaf(leafRequest(key, names), pki.issuer)).der);
});

function forge(
  changes: ForgedExtensions,
  more: { readonly serial?: Der; readonly version?: Der } = {},
): Buffer {
  return forgeDer({
    signer: { certificate: pki.issuing, key: pki.issuingKey },
    key,
    extensions: changes,
    ...more,
  });
}

describe("parseCertificate", () => {
  it("reads what the engine reads", () => {
    const engine = new X509Certificate(leaf.der);
    expect(leaf.serialNumber).toBe(engine.serialNumber.toLowerCase());
    expect(leaf.notBefore * 1000).toBe(engine.validFromDate.getTime());
    expect(leaf.notAfter * 1000).toBe(engine.validToDate.getTime());
    expect(leaf.publicKey.equals(engine.publicKey)).toBe(true);
    expect(leaf.isCA).toBe(engine.ca);
    expect(leaf.issuer).toBe(engine.issuer.replace("\n", ", "));
    expect([...(leaf.extKeyUsage ?? [])]).toEqual(engine.keyUsage);
    const names = [
      ...leaf.uris.map((uri) => `URI:${uri}`),
      ...leaf.dnsNames.map((dns) => `DNS:${dns}`),
      ...leaf.ipAddresses.map((ip) => `IP Address:${ip === "::1" ? "0:0:0:0:0:0:0:1" : ip}`),
    ];
    expect(names.join(", ")).toBe(engine.subjectAltName);
    expect(leaf.pem()).toBe(engine.toString());
  });

  it("reads critical flags, identifiers and key usage, which the engine does not show", () => {
    expect(leaf).toMatchObject({
      sanCritical: true,
      keyUsageCritical: true,
      keyUsage: new Set(["digitalSignature"]),
      basicConstraintsCritical: true,
      subjectKeyID: keyIdOf(key),
      authorityKeyID: keyIdOf(pki.issuingKey),
      unknownCritical: [],
      otherNames: 0,
    });
    expect(pki.issuing).toMatchObject({ isCA: true, pathLength: 0 });
  });

  it("reads one PEM block and refuses two", () => {
    expect(parseCertificate(pki.rootPem).subject).toBe(pki.root.subject);
    expect(refusalOf(() => parseCertificate(pki.rootPem + pki.issuingPem))).toBe("INVALID_INPUT certificate");
    expect(parseCertificates(pki.rootPem + pki.issuingPem)).toHaveLength(2);
  });

  it.each<[string, () => Buffer]>([
    ["bytes behind the end", () => Buffer.concat([leaf.der, Buffer.of(0)])],
    ["a cut end", () => Buffer.from(leaf.der.subarray(0, -1))],
    ["over 64 KiB", () => Buffer.alloc(65_537, 0x30)],
    ["an extension twice", () => forge({ extra: basicConstraints(false) })],
    ["a default that is encoded", () => forge({ basicConstraints: falseConstraints() })],
    [
      "a path length without cA",
      () => forge({ basicConstraints: raw(EXTENSION_OID.basicConstraints, sequence(integer(0))) }),
    ],
    ["a name with a NUL", () => forge({ subjectAltName: san(contextBytes(2, "good.svc\0.evil")) })],
    ["a name beyond ASCII", () => forge({ subjectAltName: san(contextBytes(2, "caf\xe9.svc")) })],
    ["an empty URI", () => forge({ subjectAltName: san(contextBytes(6, "")) })],
    ["an IP address of five octets", () => forge({ subjectAltName: san(contextBytes(7, "12345")) })],
    ["no name at all", () => forge({ subjectAltName: raw(EXTENSION_OID.subjectAltName, sequence()) })],
    [
      "an empty key usage",
      () => forge({ keyUsage: raw(EXTENSION_OID.keyUsage, element(TAG.bitString, "\0")) }),
    ],
    ["no purpose in extKeyUsage", () => forge({ extKeyUsage: raw(EXTENSION_OID.extKeyUsage, sequence()) })],
    [
      "bytes behind an extension's value",
      () => forge({ basicConstraints: raw(EXTENSION_OID.basicConstraints, twice()) }),
    ],
    ["extensions in version 1", () => forge({}, { version: "" as Der })],
    ["an unknown version", () => forge({}, { version: context(0, integer(3)) })],
    ["a serial number of 21 octets", () => forge({}, { serial: element(TAG.integer, "\x01".repeat(21)) })],
  ])("refuses a certificate with %s", (_what, der) => {
    expect(refusalOf(() => parseCertificate(der()))).toBe("INVALID_INPUT certificate");
  });

  it("refuses one whose two signature algorithms differ", () => {
    const der = Buffer.from(leaf.der);
    const at = der.lastIndexOf(Buffer.from("2a8648ce3d040302", "hex"));
    der[at + 7] = 0x03;
    expect(refusalOf(() => parseCertificate(der))).toBe("INVALID_INPUT certificate");
  });

  it("shows a terminal nothing but printable text", () => {
    const der = forgeDer({ signer: { key }, key, subject: "\u001b[31mred\u202e\n" });
    expect(parseCertificate(der).subject).toBe("CN=?[31mred??");
  });

  it("tells a negative serial number from a positive one", () => {
    expect(parseCertificate(forge({}, { serial: element(TAG.integer, "\x80") })).serialNumber).toBe("-80");
    expect(parseCertificate(forge({}, { serial: element(TAG.integer, "\x00\x80") })).serialNumber).toBe("80");
  });

  it("counts names of other kinds and passes over extensions it does not know", () => {
    const parsed = parseCertificate(
      forge({
        subjectAltName: san(contextBytes(1, "a@b.c")),
        extra: rawExtension("1.2.3.4", true, integer(1)),
      }),
    );
    expect(parsed).toMatchObject({ otherNames: 1, uris: [], unknownCritical: ["1.2.3.4"] });
  });

  it("throws INVALID_INPUT when the key is asked for that the engine cannot use", () => {
    const der = Buffer.from(leaf.der);
    const point = der.indexOf(Buffer.from(leaf.spki)) + 27;
    der[point + 1] = (der[point + 1] ?? 0) ^ 0xff;
    const parsed = parseCertificate(der);
    expect(refusalOf(() => parsed.publicKey)).toBe("INVALID_INPUT certificate");
  });

  it("throws INVALID_INPUT and nothing else on a certificate with any bytes changed", () => {
    const edits = fc.array(fc.tuple(fc.nat(leaf.der.length - 1), fc.nat(255)), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(edits, (changes) => {
        const der = Buffer.from(leaf.der);
        for (const [at, value] of changes) der[at] = value;
        const parsed = parsedOrRefused(der);
        if (parsed !== undefined) agreesWithEngine(parsed, der);
      }),
      { numRuns: 3000 },
    );
  });

  it("throws INVALID_INPUT and nothing else on any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        parsedOrRefused(bytes);
      }),
      { numRuns: 2000 },
    );
  });
});

function parsedOrRefused(der: Uint8Array): Certificate | undefined {
  try {
    return parseCertificate(der);
  } catch (error) {
    if (isOperatorError(error, "INVALID_INPUT")) return undefined;
    throw error;
  }
}

/** Where both accept, they must see the same: a difference between two readers is how certificates are smuggled. */
function agreesWithEngine(parsed: Certificate, der: Uint8Array): void {
  let engine: X509Certificate;
  try {
    engine = new X509Certificate(der);
  } catch {
    return;
  }
  const positive = parsed.serialNumber.startsWith("-") ? undefined : parsed.serialNumber;
  if (positive !== undefined)
    expect(positive).toBe(engine.serialNumber.toLowerCase().replace(/^0+(?=.)/, ""));
  expect(parsed.isCA).toBe(engine.ca);
  expect(parsed.notBefore * 1000).toBe(engine.validFromDate.getTime());
  expect(parsed.notAfter * 1000).toBe(engine.validToDate.getTime());
  // The engine shows nothing at all where one of the names is of a kind that it cannot print.
  const seen = engine.subjectAltName;
  if (seen === undefined) return;
  const plain = [...parsed.uris, ...parsed.dnsNames].filter((text) => /^[\w.:/-]+$/.test(text));
  for (const text of plain) expect(seen).toContain(text);
}

function raw(id: string, content: Der): Der {
  return rawExtension(id, true, content);
}

function san(...names: readonly Der[]): Der {
  return raw(EXTENSION_OID.subjectAltName, sequence(...names));
}

function falseConstraints(): Der {
  return raw(EXTENSION_OID.basicConstraints, sequence(boolean(false)));
}

function twice(): Der {
  return (sequence() + octetString(Buffer.alloc(1))) as Der;
}
