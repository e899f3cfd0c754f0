/** An issuing certificate from another CA, made by the tools that make such: what meshid signs with it, their peers accept. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import {
  type ExternalAuthority,
  type ExternalFiles,
  readExternalAuthority,
} from "../../src/authority/external-authority.ts";
import { seconds } from "../../src/core/brand.ts";
import { systemClock } from "../../src/core/clock.ts";
import { Secret } from "../../src/core/secret.ts";
import { parseCertificate } from "../../src/x509/certificate.ts";
import { type SubjectAltNames, subjectAltName } from "../../src/x509/extensions.ts";
import { generateKey, keyIdOfSpki, type PrivateKey } from "../../src/x509/keys.ts";
import { constraintFault } from "../../src/x509/name-constraints.ts";
import { makeIssuer, signLeaf } from "../../src/x509/template.ts";
import { verifyIssuedLeaf, verifyX509Svid } from "../../src/x509/verify.ts";
import {
  forgeCertificate,
  has,
  leafRequest,
  NOW,
  requireOpenssl,
  run,
  SPIFFE_ID,
  TRUST_DOMAIN,
} from "../support/certificates.ts";
import { CASES, type Constraints, DISAGREED, type Name, sanOf } from "../support/constraint-cases.ts";
import { authority, nameConstraints, pems } from "../support/external-ca.ts";
import { type GoChain, GoX509 } from "../support/go-x509.ts";

const folder = mkdtempSync(join(tmpdir(), "meshid-external-"));
const withGo = has("go", "version") ? describe : describe.skip;
let key: PrivateKey;

beforeAll(async () => {
  requireOpenssl();
  key = await generateKey("ECDSA-P256");
});

afterAll(() => rmSync(folder, { recursive: true }));

/** As meshid does it: read, sign, check what was signed, and then as a peer that is meshid's own. */
async function issueUnder(files: ExternalFiles): Promise<ExternalAuthority & GoChain> {
  const now = systemClock.now();
  const found = readExternalAuthority(files, {
    trustDomain: TRUST_DOMAIN,
    now,
    place: "Secret meshid-system/byo-ca",
    leastLife: seconds(3600),
    dnsNames: ["payments.shop.svc"],
  });
  const { issuing, root } = found;
  const above = [...issuing.intermediates, root.certificate].map((pem) => parseCertificate(pem));
  const issuer = makeIssuer(issuing.certificate, found.key, above);
  const request = leafRequest(key, { notBefore: seconds(now - 60), notAfter: seconds(now + 3600) });
  const leaf = verifyIssuedLeaf(await signLeaf(request, issuer), request, issuer);
  const roots = [parseCertificate(root.certificate)];
  const chain = [leaf, issuer.certificate, ...above.slice(0, -1)];
  expect(verifyX509Svid({ chain, roots, now, trustDomain: TRUST_DOMAIN })).toBe(SPIFFE_ID);
  const intermediates = issuing.certificate + issuing.intermediates.join("");
  return { ...found, leaf: leaf.pem(), intermediates, roots: root.certificate };
}

function opensslVerdict({ leaf, intermediates, roots }: GoChain): string {
  const [end, between, ca] = [leaf, intermediates, roots].map((text, index) => {
    const path = join(folder, `${index}.pem`);
    writeFileSync(path, text);
    return path;
  });
  for (const purpose of ["sslserver", "sslclient"]) {
    const args = [
      "-x509_strict",
      "-purpose",
      purpose,
      "-CAfile",
      `${ca}`,
      "-untrusted",
      `${between}`,
      `${end}`,
    ];
    run("openssl", ["verify", ...args]);
  }
  return "accepted";
}

/** A root, an authority below it and one below that, as a person makes them from the command line. */
function opensslFiles(newKey: string, extensions: string): ExternalFiles {
  const at = (name: string): string => join(folder, name);
  const openssl = (line: string): string => run("openssl", line.split(" "));
  const base = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";
  const ids = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid:always,issuer:always\n";
  writeFileSync(at("ext"), base + ids + extensions);
  for (const name of ["root", "middle", "issuing"]) writeFileSync(at(`${name}.key`), openssl(newKey));
  openssl(
    `req -x509 -days 30 -subj /O=Corp/CN=Root -addext keyUsage=critical,keyCertSign -key ${at("root.key")} -out ${at("root.pem")}`,
  );
  for (const [name, by] of [
    ["middle", "root"],
    ["issuing", "middle"],
  ] as const) {
    openssl(`req -new -subj /O=Corp/CN=${name} -key ${at(`${name}.key`)} -out ${at("csr")}`);
    const issuer = `-CA ${at(`${by}.pem`)} -CAkey ${at(`${by}.key`)} -CAcreateserial`;
    openssl(`x509 -req -days 20 -in ${at("csr")} ${issuer} -extfile ${at("ext")} -out ${at(`${name}.pem`)}`);
  }
  const read = (name: string): string => readFileSync(at(name), "utf8");
  return {
    certificate: read("issuing.pem") + read("middle.pem"),
    key: new Secret(read("issuing.key")),
    roots: read("root.pem"),
  };
}

const FORMS = [
  ["an ECDSA key in SEC1", "ecparam -name prime256v1 -genkey"],
  ["an ECDSA key in PKCS#8", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384"],
  ["an RSA key in PKCS#1", "genrsa -traditional 3072"],
] as const;

describe("a CA that OpenSSL made", () => {
  it.each(FORMS)("signs with %s what OpenSSL's strict check accepts", async (_, newKey) => {
    const issued = await issueUnder(opensslFiles(newKey, ""));
    expect(opensslVerdict(issued)).toBe("accepted");
  });

  it("signs under name constraints and purposes that permit the mesh", async () => {
    const constraints = "nameConstraints=critical,permitted;URI:example.org,permitted;DNS:svc\n";
    const purposes = "extendedKeyUsage=serverAuth,clientAuth\n";
    const issued = await issueUnder(opensslFiles(FORMS[0][1], constraints + purposes));
    expect(opensslVerdict(issued)).toBe("accepted");
  });

  it("is known by another key ID than its subject key identifier, which is of SHA-1", async () => {
    const { issuing } = await issueUnder(opensslFiles(FORMS[0][1], ""));
    const certificate = parseCertificate(issuing.certificate);
    expect(issuing.keyID).toBe(keyIdOfSpki(certificate.spki));
    expect(certificate.subjectKeyID).not.toBe(issuing.keyID);
  });
});

withGo("a CA that Go made", () => {
  let go: GoX509;

  beforeAll(() => {
    go = GoX509.build();
  });

  afterAll(() => go.remove());

  it.each(["ECDSA", "RSA"] as const)("signs with an %s key what Go and OpenSSL accept", async (algorithm) => {
    const files = go.make(algorithm, systemClock.now());
    const issued = await issueUnder(files);
    expect(issued.issuing.intermediates).toHaveLength(1);
    expect(go.verify([issued], systemClock.now())).toEqual([""]);
    expect(opensslVerdict(issued)).toBe("accepted");
  });

  it("and one that OpenSSL made sign what Go accepts", async () => {
    const constraints = "nameConstraints=critical,permitted;URI:example.org,permitted;DNS:svc\n";
    const chains: GoChain[] = [];
    for (const [, newKey] of FORMS) chains.push(await issueUnder(opensslFiles(newKey, constraints)));
    expect(go.verify(chains, systemClock.now())).toEqual(["", "", ""]);
  });

  it.each(CASES)("finds under %j that %j is %s, as meshid does", (constraints, name, expected) => {
    const [reason] = go.verify([constrained(constraints, name)], NOW);
    expect(reason === "" ? "permitted" : "refused").toBe(expected);
  });

  it("permits whatever meshid permits, under any constraints", () => {
    const label = fc.constantFrom("a", "svc", "example", "org");
    const domain = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join("."));
    const base = fc.tuple(fc.constantFrom("", "."), domain).map((parts) => parts.join(""));
    const subtree = fc.tuple(fc.constantFrom(2, 6), base);
    const subtrees = fc.array(subtree, { maxLength: 3 });
    const drawn = fc.sample(
      fc.record({ permitted: subtrees, excluded: subtrees, host: domain, dns: domain }),
      1000,
    );
    const permitted = drawn.flatMap(({ host, dns, ...constraints }) => {
      if (constraints.permitted.length + constraints.excluded.length === 0) return [];
      const names = { uri: `spiffe://${host}/a`, dnsNames: [dns] };
      const chain = chainWith(constraints, names);
      const root = parseCertificate(chain.roots);
      const none = { ipAddresses: [], otherNames: 0, subject: "" };
      const fault = constraintFault(root, { uris: [names.uri], dnsNames: names.dnsNames, ...none });
      return fault === undefined ? [{ chain, constraints, names }] : [];
    });
    expect(permitted.length).toBeGreaterThan(20);
    const reasons = go.verify(
      permitted.map(({ chain }) => chain),
      NOW,
    );
    const refused = permitted.filter((_, index) => reasons[index] !== "");
    expect(refused.map(({ constraints, names }) => ({ constraints, names }))).toEqual([]);
  });

  it.each(DISAGREED)("differs from OpenSSL about %s", (_, constraints, name, { refusedBy }) => {
    const [reason] = go.verify([constrained(constraints, name)], NOW);
    expect(reason === "" ? "permitted" : "refused").toBe(refusedBy === "Go" ? "refused" : "permitted");
  });
});

function constrained(constraints: Constraints, name: Name): GoChain {
  return chainWith(constraints, sanOf(name));
}

function chainWith(constraints: Constraints, names: SubjectAltNames): GoChain {
  const extensions = { extra: nameConstraints(constraints) };
  const root = authority({ signer: { key }, key, subject: "root", extensions });
  const leaf = forgeCertificate({
    signer: { certificate: root, key },
    key,
    extensions: { subjectAltName: subjectAltName(names, true) },
  });
  return { leaf: leaf.pem(), intermediates: "", roots: pems(root) };
}
