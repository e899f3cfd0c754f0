import { beforeAll, describe, expect, it } from "@jest/globals";
import { branded } from "../../../src/core/brand.ts";
import { authoritiesIn, observeSecret } from "../../../src/reconcile/facts.ts";
import type { TokenFacts, X509Facts } from "../../../src/reconcile/state.ts";
import { type Certificate, parseCertificate } from "../../../src/x509/certificate.ts";
import { subjectKeyIdentifier } from "../../../src/x509/extensions.ts";
import {
  encodePrivateKey,
  generateKey,
  type KeyId,
  keyIdOf,
  type PrivateKey,
} from "../../../src/x509/keys.ts";
import { makeIssuer, signLeaf } from "../../../src/x509/template.ts";
import { authorityExtensions, forgeCertificate, leafRequest } from "../../support/certificates.ts";
import { HONEST_CLAIMS, HONEST_HEADER } from "../../support/tokens.ts";

const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString("base64url");

function factsOf(header: object, claims: object): TokenFacts | undefined {
  const token = `${encode({ ...HONEST_HEADER, ...header })}.${encode({ ...HONEST_CLAIMS, ...claims })}.c2ln`;
  const ref = { kind: "Secret", namespace: "shop", name: "payments-jwt" } as const;
  const content = { "orders.jwt": Buffer.from(token) };
  return observeSecret(ref, { ownerUid: undefined, annotations: {} }, content).tokens["orders.jwt"];
}

describe("observeSecret", () => {
  it("reads a token without its signature", () => {
    expect(factsOf({}, {})).toMatchObject({ keyID: "key-1", expiresAt: HONEST_CLAIMS.exp });
  });

  it.each([
    ["a key ID that no status has room for", { kid: "a".repeat(65) }, {}],
    ["an end that no calendar has", {}, { exp: 253_402_300_800 }],
    ["an issue that no calendar has", {}, { iat: Number.MAX_SAFE_INTEGER }],
  ])("takes a token for no token: %s", (_, header, claims) => {
    expect(factsOf(header, claims)).toBeUndefined();
  });
});

describe("an authority whose subject key identifier is not its key ID", () => {
  const foreignID = branded<KeyId>("5ba1".repeat(10));
  let key: PrivateKey;
  let authority: Certificate;
  let leaf: Certificate;

  beforeAll(async () => {
    key = await generateKey("ECDSA-P256");
    authority = forgeCertificate({
      signer: { key },
      key,
      subject: "brought",
      extensions: { ...authorityExtensions(), subjectKeyIdentifier: subjectKeyIdentifier(foreignID) },
    });
    const issuer = makeIssuer(authority.pem(), key);
    leaf = parseCertificate((await signLeaf(leafRequest(key), issuer)).der);
  });

  function factsWith(...chain: readonly Certificate[]): X509Facts | undefined {
    const ref = { kind: "Secret", namespace: "shop", name: "payments-tls" } as const;
    const content = {
      "tls.crt": Buffer.from(chain.map((each) => each.pem()).join("")),
      "tls.key": Buffer.from(encodePrivateKey(key).reveal()),
    };
    return observeSecret(ref, { ownerUid: undefined, annotations: {} }, content).x509;
  }

  it("is known by its key ID in what it signed", () => {
    expect(leaf.authorityKeyID).toBe(foreignID);
    expect(factsWith(leaf, authority)?.authorityKeyID).toBe(keyIdOf(key));
  });

  it.each<[string, () => readonly Certificate[]]>([
    ["is missing", () => [leaf]],
    ["is another's", () => [leaf, forgeCertificate({ signer: { key }, key })]],
  ])("is known by what the leaf says where its certificate %s", (_, chain) => {
    expect(factsWith(...chain())?.authorityKeyID).toBe(foreignID);
  });

  it("is known by its key ID among the roots of a bundle", () => {
    const { roots } = authoritiesIn({ "ca.crt": Buffer.from(authority.pem()) });
    expect([...(roots ?? [])]).toEqual([keyIdOf(key)]);
  });
});
