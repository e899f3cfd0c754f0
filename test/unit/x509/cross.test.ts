import { beforeAll, describe, expect, it } from "@jest/globals";
import { type Seconds, seconds } from "../../../src/core/brand.ts";
import { systemRandom } from "../../../src/core/random.ts";
import { parseTrustDomain } from "../../../src/spiffe/trust-domain.ts";
import { type Certificate, parseCertificate } from "../../../src/x509/certificate.ts";
import { basicConstraints } from "../../../src/x509/extensions.ts";
import { generateKey, type PrivateKey } from "../../../src/x509/keys.ts";
import { type CrossRequest, makeIssuer, signCross } from "../../../src/x509/template.ts";
import { type CrossVerification, verifyCross, verifyX509Svid } from "../../../src/x509/verify.ts";
import {
  authorityExtensions,
  DAY,
  type Forgery,
  forgeCertificate,
  honestLeaf,
  makePki,
  NOW,
  type Pki,
  TRUST_DOMAIN,
} from "../../support/certificates.ts";
import { refusalOf } from "../../support/errors.ts";

let former: Pki;
let next: Pki;
let key: PrivateKey;
let leaf: Certificate;
let cross: Certificate;

async function crossOf(changes: Partial<CrossRequest> = {}, by: Pki = former): Promise<Certificate> {
  const request = {
    trustDomain: TRUST_DOMAIN,
    root: next.root,
    notBefore: seconds(NOW - 60),
    notAfter: seconds(NOW + 9 * DAY),
    random: systemRandom,
    ...changes,
  };
  return parseCertificate(await signCross(request, by.rootIssuer));
}

beforeAll(async () => {
  former = await makePki();
  next = await makePki();
  key = await generateKey("ECDSA-P256");
  leaf = await honestLeaf(next, key);
  cross = await crossOf();
});

describe("signCross", () => {
  it.each([
    [
      "that would end after its issuer",
      (): Promise<Certificate> => crossOf({ notAfter: seconds(NOW + 10 * DAY + 1) }),
    ],
    [
      "that would end after its root",
      async (): Promise<Certificate> => {
        const short = parseCertificate(next.rootPem);
        return crossOf({ root: { ...short, notAfter: seconds(NOW + DAY) } });
      },
    ],
    ["for another trust domain", () => crossOf({ trustDomain: parseTrustDomain("other.org") })],
  ])("signs nothing %s", async (_, act) => {
    await expect(act()).rejects.toMatchObject({ code: "SIGNING_FAILED" });
  });
});

describe("verifyCross", () => {
  const check = (changes: Partial<CrossVerification>): string =>
    refusalOf(() =>
      verifyCross({
        certificate: cross,
        root: next.root,
        issuer: former.root,
        trustDomain: TRUST_DOMAIN,
        now: NOW,
        ...changes,
      }),
    );
  const forged = (changes: Partial<Forgery>): Certificate =>
    forgeCertificate({
      signer: { certificate: former.root, key: former.rootKey },
      key: next.rootKey,
      extensions: { ...authorityExtensions(), basicConstraints: basicConstraints(true, 1) },
      ...changes,
    });

  it("takes what signCross gives, and what it says without its signer where nobody knows that any more", () => {
    expect(check({})).toBe("accepted");
    const alone = { certificate: cross, root: next.root, trustDomain: TRUST_DOMAIN, now: NOW };
    expect(refusalOf(() => verifyCross(alone))).toBe("accepted");
  });

  it.each<[string, string, () => Partial<CrossVerification>]>([
    ["of another root", "ID-15", () => ({ root: former.root })],
    ["by another root", "X-18", () => ({ issuer: next.root })],
    ["under another name", "ID-15", () => ({ certificate: forged({ subject: "next" }) })],
    [
      "of its name and another key",
      "ID-15",
      () => ({ certificate: { ...forged({ key }), subjectDer: next.root.subjectDer } }),
    ],
    ["after its end", "X-18", () => ({ now: seconds(NOW + 9 * DAY + 61) })],
    ["for a root that ends sooner", "X-18", () => ({ root: { ...next.root, notAfter: seconds(NOW + DAY) } })],
    [
      "by a root that ends sooner",
      "X-18",
      () => ({ issuer: { ...former.root, notAfter: seconds(NOW + DAY) } }),
    ],
    [
      "by a root that may not have two authorities below it",
      "X-18",
      () => ({ issuer: { ...former.root, pathLength: 1 } }),
    ],
    [
      "without a bound on what is below it",
      "X-11",
      () => ({ certificate: { ...cross, pathLength: undefined } }),
    ],
    ["of another trust domain", "X-08", () => ({ trustDomain: parseTrustDomain("other.org") })],
  ])("refuses one %s", (_, rule, changes) => {
    expect(check(changes())).toBe(`VERIFICATION_FAILED ${rule}`);
  });
});

describe("verifyX509Svid on a chain with a cross certificate", () => {
  const verdict = (
    chain: readonly Certificate[],
    roots: readonly Certificate[],
    now: Seconds = NOW,
  ): string => refusalOf(() => verifyX509Svid({ chain, roots, now, trustDomain: TRUST_DOMAIN }));
  const whole = (): readonly Certificate[] => [leaf, next.issuing, cross];

  it.each<[string, () => readonly Certificate[]]>([
    ["the former root alone", () => [former.root]],
    ["the new root alone", () => [next.root]],
    ["both roots", () => [former.root, next.root]],
    ["both roots, in the other order", () => [next.root, former.root]],
  ])("accepts it with %s", (_, roots) => {
    expect(verdict(whole(), roots())).toBe("accepted");
  });

  it("needs the cross certificate where only the former root is known, and in its place", () => {
    expect(verdict([leaf, next.issuing], [former.root])).toBe("VERIFICATION_FAILED X-18");
    expect(verdict([leaf, cross, next.issuing], [former.root])).toBe("VERIFICATION_FAILED X-18");
  });

  it("does not need it where the new root is known: it may have ended", async () => {
    const ended = await crossOf({ notAfter: seconds(NOW + 60) });
    const later = seconds(NOW + 3600);
    expect(verdict([leaf, next.issuing, ended], [next.root], later)).toBe("accepted");
    expect(verdict([leaf, next.issuing, ended], [former.root], later)).toBe("VERIFICATION_FAILED X-18");
  });

  it("trusts no cross certificate of a stranger", async () => {
    const stranger = await makePki();
    const theirs = await crossOf({}, stranger);
    expect(verdict([leaf, next.issuing, theirs], [former.root])).toBe("VERIFICATION_FAILED X-18");
    expect(verdict([leaf, next.issuing, theirs], [stranger.root])).toBe("accepted");
  });

  it("is not led astray by a certificate with the name of a known root and another key", () => {
    const authority = { key, signer: { certificate: next.root, key }, extensions: authorityExtensions() };
    const issuing = forgeCertificate({ ...authority, subject: "theirs" });
    const impostor = { ...forgeCertificate(authority), subjectDer: next.root.subjectDer };
    const evil = forgeCertificate({ key, signer: { certificate: issuing, key } });
    for (const roots of [[next.root], [former.root], [former.root, next.root]])
      expect(verdict([evil, issuing, impostor], roots)).toBe("VERIFICATION_FAILED X-18");
    expect(verdict([leaf, next.issuing, impostor], [next.root])).toBe("VERIFICATION_FAILED X-18");
  });

  it("does not let the cross certificate stand above a further authority", () => {
    const deep = forgeCertificate({
      signer: { certificate: next.issuing, key: next.issuingKey },
      key,
      subject: "deeper",
      extensions: authorityExtensions(),
    });
    const under = forgeCertificate({ signer: { certificate: deep, key }, key });
    expect(verdict([under, deep, next.issuing, cross], [former.root])).toBe("VERIFICATION_FAILED X-18");
  });

  it("cannot be turned into an issuer of leaves by who has not the new root's key", () => {
    expect(() => makeIssuer(cross.pem(), former.rootKey)).toThrow(/do not belong together/);
  });
});
