import { describe, expect, it } from "@jest/globals";
import { seconds } from "../../../src/core/brand.ts";
import { checkToken, checkX509, type IssueReason } from "../../../src/reconcile/checks.ts";
import type { RegistrationEntry } from "../../../src/registration/registration-entry.ts";
import type { KeyId } from "../../../src/x509/keys.ts";
import {
  entryOf,
  ISSUING_KEY,
  JWT_KEY,
  NOW,
  tokenFactsOf,
  x509FactsOf,
  x509SecretOf,
} from "../../support/builders.ts";

const otherKey = "cc".repeat(20) as KeyId;
const distrusted = "dd".repeat(20) as KeyId;

describe("checkX509", () => {
  const check = (
    secret: Parameters<typeof checkX509>[0]["secret"],
    entry: RegistrationEntry = entryOf(),
    isManualRenewalDue = false,
  ): IssueReason | undefined =>
    checkX509({
      entry,
      secret,
      issuers: new Set([ISSUING_KEY]),
      distrusted: new Set([distrusted]),
      now: NOW,
      isManualRenewalDue,
    });
  const withFacts = (changes: Parameters<typeof x509FactsOf>[0]): IssueReason | undefined =>
    check(x509SecretOf({ x509: x509FactsOf(changes) }));
  const withX509 = (changes: Partial<RegistrationEntry["x509"]>): IssueReason | undefined =>
    check(x509SecretOf(), entryOf({ x509: { ...entryOf().x509, ...changes } }));

  it("asks for nothing while everything is as it should be", () => {
    expect(check(x509SecretOf())).toBeUndefined();
  });

  it.each<[IssueReason, () => IssueReason | undefined]>([
    ["Missing", () => check(undefined)],
    ["Corrupt", () => check(x509SecretOf({ x509: undefined }))],
    ["MismatchedPair", () => withFacts({ pairMatches: false })],
    [
      "Rewritten",
      () => check(x509SecretOf({ hashes: { "tls.crt": "0000000000000001", "tls.key": "changed" } })),
    ],
    ["Rewritten", () => check(x509SecretOf({ annotations: {} }))],
    ["WrongIdentity", () => withFacts({ uris: ["spiffe://cluster.local/ns/shop/sa/orders"] })],
    ["WrongIdentity", () => withFacts({ uris: [] })],
    ["WrongNames", () => withX509({ dnsNames: ["payments.shop.svc", "pay.shop.svc"] })],
    ["WrongKeyAlgorithm", () => withX509({ keyAlgorithm: "RSA-2048" })],
    ["WrongFormats", () => withX509({ formats: ["PEM", "Istio"] })],
    ["WrongTtl", () => withX509({ ttl: seconds(3600) })],
    ["WrongAuthority", () => withFacts({ authorityKeyID: otherKey })],
    ["WrongAuthority", () => withFacts({ topIssuerKeyID: distrusted })],
    ["NotYetValid", () => withFacts({ notBefore: seconds(NOW + 1) })],
    ["RenewalDue", () => withFacts({ notBefore: seconds(NOW - 50_060), notAfter: seconds(NOW + 36_400) })],
    ["RenewalDue", () => withFacts({ notAfter: seconds(NOW - 1) })],
    ["ManualRenewal", () => check(x509SecretOf(), entryOf(), true)],
  ])("asks for an issuance: %s", (reason, run) => {
    expect(run()).toBe(reason);
  });
});

describe("checkToken", () => {
  const token = { audience: "orders.shop", key: "orders.shop.jwt", ttl: seconds(3600) };
  const check = (
    facts: Parameters<typeof checkToken>[0]["facts"],
    isManualRenewalDue = false,
  ): IssueReason | undefined =>
    checkToken({
      entry: entryOf(),
      token,
      facts,
      issuer: "https://meshid.example",
      keyIDs: new Set([JWT_KEY]),
      now: NOW,
      isManualRenewalDue,
    });

  it("asks for nothing while the token is as it should be", () => {
    expect(check(tokenFactsOf())).toBeUndefined();
  });

  it.each<[IssueReason, () => IssueReason | undefined]>([
    ["Missing", () => check(undefined)],
    ["WrongIdentity", () => check(tokenFactsOf({ subject: "spiffe://cluster.local/ns/shop/sa/orders" }))],
    ["WrongIdentity", () => check(tokenFactsOf({ issuer: "https://other.example" }))],
    ["WrongNames", () => check(tokenFactsOf({ audiences: ["orders.shop", "stock.shop"] }))],
    ["WrongTtl", () => check(tokenFactsOf({ expiresAt: seconds(NOW + 30_000) }))],
    ["WrongAuthority", () => check(tokenFactsOf({ keyID: otherKey }))],
    [
      "NotYetValid",
      () => check(tokenFactsOf({ issuedAt: seconds(NOW + 1), expiresAt: seconds(NOW + 3000) })),
    ],
    [
      "RenewalDue",
      () => check(tokenFactsOf({ issuedAt: seconds(NOW - 1900), expiresAt: seconds(NOW + 1700) })),
    ],
    ["ManualRenewal", () => check(tokenFactsOf(), true)],
  ])("asks for an issuance: %s", (reason, run) => {
    expect(run()).toBe(reason);
  });
});
