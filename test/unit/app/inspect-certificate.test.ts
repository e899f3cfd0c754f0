import { beforeAll, describe, expect, it } from "@jest/globals";
import { certificateFaults, roleOf } from "../../../src/app/inspect/certificate-faults.ts";
import { seconds } from "../../../src/core/brand.ts";
import { contextBytes, ia5, nullValue, oid, sequence, time } from "../../../src/x509/asn1.ts";
import type { Certificate } from "../../../src/x509/certificate.ts";
import { basicConstraints, extKeyUsage, keyUsage, subjectAltName } from "../../../src/x509/extensions.ts";
import { generateKey, type PrivateKey } from "../../../src/x509/keys.ts";
import { checkLeafProfile } from "../../../src/x509/profile.ts";
import {
  authorityExtensions,
  DAY,
  type ForgedExtensions,
  type Forgery,
  forgeCertificate,
  honestLeaf,
  makePki,
  NOW,
  type Pki,
  RSA_SHA1,
  rawExtension,
  SPIFFE_ID,
} from "../../support/certificates.ts";
import { refusalOf } from "../../support/errors.ts";

let pki: Pki;
let key: PrivateKey;
let rsa: PrivateKey;

beforeAll(async () => {
  [pki, key, rsa] = await Promise.all([makePki(), generateKey("ECDSA-P256"), generateKey("RSA-2048")]);
});

/** `X-02 …` for what is wrong, `X-06 note …` for what is only worth knowing. */
function rulesOf(certificate: Certificate, now = NOW): readonly string[] {
  const faults = certificateFaults(certificate, roleOf(certificate), now);
  return faults.map(({ rule, severity }) => (severity === "note" ? `${rule} note` : rule));
}

function forged(changes: Partial<Forgery>): Certificate {
  return forgeCertificate({ signer: { certificate: pki.issuing, key: pki.issuingKey }, key, ...changes });
}

describe("the faults of a certificate", () => {
  it("are none for what meshid signs", async () => {
    expect([pki.root, pki.issuing, await honestLeaf(pki, key)].map((each) => rulesOf(each))).toEqual([
      [],
      [],
      [],
    ]);
  });

  const san = (uri: string, critical = true): ForgedExtensions => ({
    subjectAltName: subjectAltName({ uri }, critical),
  });
  /** DNS names only. */
  const noUri: ForgedExtensions = {
    subjectAltName: rawExtension("2.5.29.17", true, sequence(contextBytes(2, ia5("a.example")))),
  };

  const twoUris: ForgedExtensions = {
    subjectAltName: rawExtension(
      "2.5.29.17",
      true,
      sequence(contextBytes(6, ia5(SPIFFE_ID)), contextBytes(6, ia5(`${SPIFFE_ID}2`))),
    ),
  };

  it.each<[string, () => Partial<Forgery>, string[]]>([
    ["no URI", () => ({ extensions: noUri }), ["X-01"]],
    ["two URIs", () => ({ extensions: twoUris }), ["X-02"]],
    ["a URI that is no SPIFFE ID", () => ({ extensions: san("https://example.org/a") }), ["X-19"]],
    ["an ID in upper case", () => ({ extensions: san("spiffe://Example.org/a") }), ["X-19"]],
    ["an ID without a path", () => ({ extensions: san("spiffe://example.org") }), ["X-04"]],
    ["no key usage", () => ({ extensions: { keyUsage: undefined } }), ["X-13"]],
    [
      "the right to sign certificates",
      () => ({ extensions: { keyUsage: keyUsage("digitalSignature", "keyCertSign") } }),
      ["X-15"],
    ],
    ["no digitalSignature", () => ({ extensions: { keyUsage: keyUsage("keyEncipherment") } }), ["X-15"]],
    ["no extended key usage", () => ({ extensions: { extKeyUsage: undefined } }), ["X-17"]],
    [
      "one purpose of two",
      () => ({
        extensions: { extKeyUsage: rawExtension("2.5.29.37", false, sequence(oid("1.3.6.1.5.5.7.3.1"))) },
      }),
      ["X-17"],
    ],
    [
      "an empty subject and a SAN that is not critical",
      () => ({ extensions: san(SPIFFE_ID, false) }),
      ["X-05"],
    ],
    [
      "an unknown critical extension",
      () => ({ extensions: { extra: rawExtension("1.2.3.4", true, nullValue()) } }),
      ["X-18"],
    ],
    [
      "a signature by SHA-1",
      () => ({ algorithm: RSA_SHA1, hash: "sha1", signer: { certificate: pki.issuing, key: rsa } }),
      ["X-18"],
    ],
    ["a past end", () => ({ notAfter: time(seconds(NOW - 1)) }), ["X-18"]],
    ["a future begin", () => ({ notBefore: time(seconds(NOW + 3600)) }), ["X-18"]],
    [
      "no life left",
      () => ({ notBefore: time(seconds(NOW - DAY)), notAfter: time(seconds(NOW + 60)) }),
      ["renewal note"],
    ],
  ])("with %s are told", (_, changes, rules) => {
    expect(rulesOf(forged(changes()))).toEqual(rules);
  });

  it("are all told, not only the first", () => {
    const certificate = forged({
      extensions: { ...san("spiffe://example.org"), keyUsage: undefined, extKeyUsage: undefined },
      notAfter: time(seconds(NOW - 1)),
    });
    expect(rulesOf(certificate)).toEqual(["X-18", "X-04", "X-13", "X-17"]);
  });

  it("of an authority are told by its own rules", () => {
    const extensions = authorityExtensions("spiffe://example.org/a");
    const signer = { certificate: pki.root, key: pki.rootKey };
    expect(rulesOf(forged({ signer, subject: "a", extensions }))).toEqual(["X-07"]);
    expect(
      rulesOf(
        forged({ signer, subject: "a", extensions: { ...authorityExtensions(), subjectAltName: undefined } }),
      ),
    ).toEqual(["X-06 note"]);
    expect(
      rulesOf(
        forged({
          signer,
          subject: "a",
          extensions: { ...authorityExtensions(), keyUsage: keyUsage("cRLSign") },
        }),
      ),
    ).toEqual(["X-14"]);
    expect(
      rulesOf(
        forged({
          signer,
          subject: "a",
          extensions: { ...authorityExtensions(), keyUsage: keyUsage("keyCertSign", "digitalSignature") },
        }),
      ),
    ).toEqual(["X-16 note"]);
  });

  it("never call good what the verifier refuses", () => {
    const changes: readonly ForgedExtensions[] = [
      { basicConstraints: basicConstraints(false) },
      { keyUsage: undefined },
      { extKeyUsage: undefined },
      { subjectAltName: undefined },
      { subjectAltName: subjectAltName({ uri: "spiffe://a/../b" }, true) },
      { extra: rawExtension("2.5.29.30", true, sequence()) },
      { keyUsage: keyUsage("cRLSign"), extKeyUsage: extKeyUsage() },
    ];
    for (const extensions of changes) {
      const certificate = forged({ extensions });
      const isRefused = refusalOf(() => checkLeafProfile(certificate)) !== "accepted";
      expect(rulesOf(certificate).length > 0).toBe(isRefused);
    }
  });
});
