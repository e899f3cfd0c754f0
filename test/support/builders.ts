import type { Seconds } from "../../src/core/brand.ts";
import { seconds } from "../../src/core/brand.ts";
import { encodeKeyHashes } from "../../src/reconcile/annotations.ts";
import type { ObservedSecret, TokenFacts, X509Facts } from "../../src/reconcile/state.ts";
import type { RegistrationEntry } from "../../src/registration/registration-entry.ts";
import { parseSpiffeId } from "../../src/spiffe/spiffe-id.ts";
import type { KeyId } from "../../src/x509/keys.ts";

export const NOW: Seconds = seconds(1_800_000_000);
const UID = "7a4b1c9e-0000-4000-8000-000000000001";
export const ISSUING_KEY = "aa".repeat(20) as KeyId;
export const JWT_KEY = "bb".repeat(20) as KeyId;

/** A valid entry of shop/payments; a test names only what matters to it. */
export function entryOf(changes: Partial<RegistrationEntry> = {}): RegistrationEntry {
  return {
    key: "shop/payments",
    uid: UID,
    namespace: "shop",
    name: "payments",
    generation: 1,
    serviceAccountName: "payments",
    spiffeId: parseSpiffeId("spiffe://cluster.local/ns/shop/sa/payments"),
    x509: {
      ttl: seconds(86_400),
      renewAfterPercent: 50,
      keyAlgorithm: "ECDSA-P256",
      dnsNames: ["payments.shop.svc"],
      secretName: "payments-tls",
      formats: ["PEM"],
      passwordSecretRef: undefined,
    },
    jwt: undefined,
    mtls: undefined,
    renew: undefined,
    ...changes,
  };
}

/** Facts of a certificate that was issued an hour ago for `entryOf()`. */
export function x509FactsOf(changes: Partial<X509Facts> = {}): X509Facts {
  return {
    uris: ["spiffe://cluster.local/ns/shop/sa/payments"],
    dnsNames: ["payments.shop.svc"],
    serialNumber: "4f",
    notBefore: seconds(NOW - 3600 - 60),
    notAfter: seconds(NOW - 3600 + 86_400),
    authorityKeyID: ISSUING_KEY,
    keyAlgorithm: "ECDSA-P256",
    pairMatches: true,
    ...changes,
  };
}

export function x509SecretOf(changes: Partial<ObservedSecret> = {}): ObservedSecret {
  const hashes = { "tls.crt": "0000000000000001", "tls.key": "0000000000000002" };
  return {
    ref: { kind: "Secret", namespace: "shop", name: "payments-tls" },
    ownerUid: UID,
    annotations: {
      "meshid.dev/content": encodeKeyHashes(hashes),
      "meshid.dev/revision": "7",
      "meshid.dev/ttl": "24h0m0s",
      "meshid.dev/issued-since": "2027-01-01T00:00:00Z",
    },
    hashes,
    bundleHash: "bundle",
    x509: x509FactsOf(),
    tokens: {},
    ...changes,
  };
}

export function tokenFactsOf(changes: Partial<TokenFacts> = {}): TokenFacts {
  return {
    subject: "spiffe://cluster.local/ns/shop/sa/payments",
    issuer: "https://meshid.example",
    audiences: ["orders.shop"],
    keyID: JWT_KEY,
    issuedAt: seconds(NOW - 600),
    expiresAt: seconds(NOW + 3000),
    ...changes,
  };
}
