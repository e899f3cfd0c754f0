import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { context, contextBytes, type Der, integer, sequence } from "../../../src/x509/asn1.ts";
import { EXTENSION_OID, subjectAltName } from "../../../src/x509/extensions.ts";
import { generateKey, type PrivateKey } from "../../../src/x509/keys.ts";
import { type ConstrainedNames, constraintFault } from "../../../src/x509/name-constraints.ts";
import { forgeCertificate, has, NOW, rawExtension, requireOpenssl } from "../../support/certificates.ts";
import {
  CASES,
  type Constraints,
  DISAGREED,
  dns,
  type Name,
  permitted,
  sanOf,
} from "../../support/constraint-cases.ts";
import { authority, nameConstraints, pems } from "../../support/external-ca.ts";

const folder = mkdtempSync(join(tmpdir(), "meshid-constraints-"));
let key: PrivateKey;

beforeAll(async () => {
  requireOpenssl();
  key = await generateKey("ECDSA-P256");
});

afterAll(() => rmSync(folder, { recursive: true }));

function faultOf(extension: Der, names: Partial<ConstrainedNames>): string | undefined {
  const certificate = authority({ signer: { key }, key, subject: "root", extensions: { extra: extension } });
  const none = { uris: [], dnsNames: [], ipAddresses: [], otherNames: 0, subject: "" };
  return constraintFault(certificate, { ...none, ...names });
}

function verdict(constraints: Constraints, name: Name): string {
  const { uri: id, dnsNames, ipAddresses } = sanOf(name);
  const fault = faultOf(nameConstraints(constraints), { uris: [id], dnsNames, ipAddresses });
  return fault === undefined ? "permitted" : "refused";
}

function opensslVerdict(constraints: Constraints, name: Name): string {
  const extensions = { extra: nameConstraints(constraints) };
  const root = authority({ signer: { key }, key, subject: "root", extensions });
  const names = sanOf(name);
  const leaf = forgeCertificate({
    signer: { certificate: root, key },
    key,
    extensions: { subjectAltName: subjectAltName(names, true) },
  });
  const [ca, end] = ["root.pem", "leaf.pem"].map((file) => join(folder, file));
  writeFileSync(String(ca), pems(root));
  writeFileSync(String(end), pems(leaf));
  return has("openssl", "verify", "-attime", String(NOW), "-CAfile", String(ca), String(end))
    ? "permitted"
    : "refused";
}

describe("constraintFault", () => {
  it.each(CASES)("finds under %j that %j is %s, as OpenSSL does", (constraints, name, expected) => {
    expect(verdict(constraints, name)).toBe(expected);
    expect(opensslVerdict(constraints, name)).toBe(expected);
  });

  it.each(DISAGREED)("refuses %s, which not every library permits", (_, constraints, name, { refusedBy }) => {
    expect(verdict(constraints, name)).toBe("refused");
    expect(opensslVerdict(constraints, name)).toBe(refusedBy === "OpenSSL" ? "refused" : "permitted");
  });

  it("names what is not permitted", () => {
    expect(faultOf(nameConstraints(permitted(dns("example.com"))), { dnsNames: ["a.b.svc"] })).toBe(
      'has name constraints that do not permit "a.b.svc"',
    );
  });

  it("evaluates constraints that are not critical too", () => {
    const constraints = nameConstraints(permitted(dns("example.com")), false);
    expect(faultOf(constraints, { dnsNames: ["a.b.svc"] })).toBeDefined();
  });

  it.each<[string, Partial<ConstrainedNames>]>([
    ["a name of another kind", { otherNames: 1 }],
    ["a mail address in the subject", { subject: "CN=a, 1.2.840.113549.1.9.1=a@b.c" }],
  ])("refuses %s under constraints on mail addresses alone", (_, names) => {
    expect(faultOf(nameConstraints(permitted([1, "example.org"])), names)).toMatch(/mail/);
    expect(faultOf(nameConstraints(permitted(dns("svc"))), names)).toBeUndefined();
  });

  const directory = sequence(context(0, sequence(context(4, sequence()))));
  const withMinimum = sequence(
    context(0, sequence(contextBytes(2, "svc"), contextBytes(0, Uint8Array.of(1)))),
  );
  it.each<[string, Der]>([
    ["none at all", sequence()],
    ["an empty list", sequence(context(0))],
    ["the lists in the wrong order", sequence(context(1, sequence(contextBytes(2, "a"))), context(0))],
    ["no sequence", integer(1)],
    ["directory names, which Go does not evaluate", directory],
    ["a minimum, which RFC 5280 forbids", withMinimum],
    ["what is no domain", sequence(context(0, sequence(contextBytes(2, "a..b"))))],
    ["a domain with a line end", sequence(context(0, sequence(contextBytes(6, "example.org\n"))))],
    ["half an address", sequence(context(0, sequence(contextBytes(7, Uint8Array.of(10, 255)))))],
    [
      "a mask with a hole",
      sequence(context(0, sequence(contextBytes(7, Uint8Array.of(9, 0, 0, 0, 255, 0, 255, 0))))),
    ],
    [
      "too many",
      sequence(context(0, ...Array.from({ length: 257 }, () => sequence(contextBytes(2, "svc"))))),
    ],
  ])("refuses everything under constraints that are %s", (_, content) => {
    const extension = rawExtension(EXTENSION_OID.nameConstraints, true, content);
    expect(faultOf(extension, {})).toMatch(/^has name constraints that cannot be evaluated \(/);
  });
});
