import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { seconds } from "../../../src/core/brand.ts";
import { encodeKeyHashes } from "../../../src/reconcile/annotations.ts";
import { publicHash } from "../../../src/reconcile/facts.ts";
import { jwtPublicContent, x509PublicContent } from "../../../src/reconcile/manifests/secret.ts";
import { type Plan, type PlanInput, planIdentity } from "../../../src/reconcile/plan.ts";
import type { ObservedSecret } from "../../../src/reconcile/state.ts";
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

const CA = "the roots";
const DOCUMENTS = { bundleJson: "the bundle", jwksJson: "the keys" } as const;
const TOKEN = { audience: "orders.shop", key: "orders.shop.jwt", ttl: seconds(3600) };
const WITH_TOKENS = entryOf({ jwt: { secretName: "payments-jwt", tokens: [TOKEN] } });

function x509Of(changes: Partial<ObservedSecret> = {}): ObservedSecret {
  const bundleHash = publicHash(x509PublicContent(entryOf(), CA, undefined));
  return { ...x509SecretOf({ bundleHash }), ...changes };
}

function jwtOf(changes: Partial<ObservedSecret> = {}): ObservedSecret {
  const hashes = { "orders.shop.jwt": "0000000000000003" };
  return x509SecretOf({
    ref: { kind: "Secret", namespace: "shop", name: "payments-jwt" },
    annotations: { "meshid.dev/content": encodeKeyHashes(hashes) },
    hashes,
    x509: undefined,
    tokens: { "orders.shop.jwt": tokenFactsOf() },
    bundleHash: publicHash(jwtPublicContent(DOCUMENTS.bundleJson, DOCUMENTS.jwksJson)),
    ...changes,
  });
}

function plan(changes: Partial<PlanInput> = {}): Plan {
  return planIdentity({
    entry: entryOf(),
    x509Secret: x509Of(),
    jwtSecret: undefined,
    owned: [],
    authority: authorityOf(),
    lastManualRenewal: undefined,
    now: NOW,
    ...changes,
  });
}

describe("planIdentity: the certificate", () => {
  it("does nothing when everything is as it should be", () => {
    expect(plan({ entry: WITH_TOKENS, jwtSecret: jwtOf() })).toEqual({
      x509: { issue: undefined, revision: 8, issuedSince: expect.any(Number), refresh: false },
      jwt: { issue: [], recreate: false, removeKeys: [], refresh: false },
      prune: [],
      renewNotBefore: undefined,
    });
  });

  it("takes a Secret of another owner for none: whoever writes it finds out that it may not", () => {
    expect(plan({ x509Secret: x509Of({ ownerUid: "someone" }) }).x509).toMatchObject({
      issue: "Missing",
      revision: 1,
    });
  });

  it("writes the roots anew without a new certificate, and a new certificate with the new roots in it", () => {
    const authority = { ...authorityOf(), caPem: "other roots" };
    expect(plan({ authority }).x509).toMatchObject({ issue: undefined, refresh: true });
    const expired = x509Of({ x509: x509FactsOf({ notAfter: NOW }) });
    expect(plan({ authority, x509Secret: expired }).x509).toMatchObject({
      issue: "RenewalDue",
      refresh: false,
    });
  });

  it.each([
    ["a certificate without a gap", "2027-01-01T00:00:00Z", Date.parse("2027-01-01T00:00:00Z") / 1000],
    ["nothing readable", "yesterday", NOW],
    ["a time to come", "2199-01-01T00:00:00Z", NOW],
  ])("tells since when the workload has a certificate: %s", (_what, noted, expected) => {
    const annotations = { ...x509SecretOf().annotations, "meshid.dev/issued-since": noted };
    expect(plan({ x509Secret: x509Of({ annotations }) }).x509.issuedSince).toBe(expected);
  });

  it("begins anew to count when the certificate had expired", () => {
    const expired = x509Of({ x509: x509FactsOf({ notAfter: NOW }) });
    expect(plan({ x509Secret: expired }).x509.issuedSince).toBe(NOW);
  });

  it.each(["", "x", "-3", "1.5", "1e99"])("begins anew with revision 1 where %p is noted", (noted) => {
    const annotations = { ...x509SecretOf().annotations, "meshid.dev/revision": noted };
    expect(plan({ x509Secret: x509Of({ annotations }) }).x509.revision).toBe(1);
  });

  it("honours a manual renewal once, and not within the second of the last issue", () => {
    const entry = entryOf({ renew: "b" });
    expect(plan({ entry }).x509.issue).toBe("ManualRenewal");
    expect(plan({ entry, lastManualRenewal: "b" }).x509.issue).toBeUndefined();
    const justIssued = x509Of({
      x509: x509FactsOf({ notBefore: seconds(NOW - 60), notAfter: seconds(NOW + 86_400) }),
    });
    expect(plan({ entry, x509Secret: justIssued })).toMatchObject({
      x509: { issue: undefined },
      renewNotBefore: NOW + 1,
    });
  });
});

describe("planIdentity: the tokens", () => {
  const tokens = (changes: Partial<ObservedSecret>): Plan["jwt"] =>
    plan({ entry: WITH_TOKENS, jwtSecret: jwtOf(changes) }).jwt;

  it("makes the whole Secret where there is none, or another hand has been at it", () => {
    expect(plan({ entry: WITH_TOKENS }).jwt).toMatchObject({
      recreate: true,
      issue: [{ token: TOKEN, reason: "Missing" }],
    });
    expect(tokens({ hashes: { "orders.shop.jwt": "other" } })).toMatchObject({
      recreate: true,
      issue: [{ reason: "Rewritten" }],
    });
  });

  it("issues the tokens that are due and leaves the others", () => {
    const second = { audience: "carts.shop", key: "carts.shop.jwt", ttl: seconds(3600) };
    const entry = entryOf({ jwt: { secretName: "payments-jwt", tokens: [TOKEN, second] } });
    expect(plan({ entry, jwtSecret: jwtOf() }).jwt).toMatchObject({
      recreate: false,
      issue: [{ token: second, reason: "Missing" }],
    });
  });

  it("removes the token of an audience that is no longer asked for", () => {
    const hashes = { "orders.shop.jwt": "0000000000000003", "old.jwt": "0000000000000004" };
    const annotations = { "meshid.dev/content": encodeKeyHashes(hashes) };
    expect(tokens({ hashes, annotations }).removeKeys).toEqual(["old.jwt"]);
  });

  it("writes the public documents anew without a new token", () => {
    expect(tokens({ bundleHash: "old" })).toMatchObject({ issue: [], refresh: true });
  });
});

describe("planIdentity: pruning", () => {
  const owned = [
    { kind: "Secret", namespace: "shop", name: "payments-tls" },
    { kind: "Secret", namespace: "shop", name: "payments-jwt" },
    { kind: "PeerAuthentication", namespace: "shop", name: "payments" },
  ] as const;

  it("leaves alone what only says, in another namespace, that it is the identity's", () => {
    const owned = [{ kind: "Secret", namespace: "evil", name: "bait" }] as const;
    expect(plan({ owned }).prune).toEqual([]);
  });

  it("removes what it owns and is no longer asked for, and nothing else", () => {
    expect(plan({ owned }).prune.map(({ name, kind }) => `${kind} ${name}`)).toEqual([
      "Secret payments-jwt",
      "PeerAuthentication payments",
    ]);
    const mtls = { mode: "Strict", matchLabels: { app: "payments" }, exceptions: [] } as const;
    expect(plan({ entry: { ...WITH_TOKENS, mtls }, owned, jwtSecret: jwtOf() }).prune).toEqual([]);
  });
});

describe("planIdentity, whatever is found", () => {
  const facts = fc.record({
    uris: fc.constantFrom<readonly string[]>(
      [],
      ["spiffe://cluster.local/ns/shop/sa/payments"],
      ["spiffe://x/y"],
    ),
    notBefore: fc.constantFrom(-90_000, -3660, -60, 0, 1, 600).map((offset) => seconds(NOW + offset)),
    notAfter: fc.constantFrom(-1, 0, 1, 40_000, 86_400).map((offset) => seconds(NOW + offset)),
    authorityKeyID: fc.constantFrom(ISSUING_KEY, "dd".repeat(20) as KeyId),
    pairMatches: fc.boolean(),
  });
  const secret = fc.option(
    fc.record({
      x509: fc.option(
        facts.map((changes) => x509FactsOf(changes)),
        { nil: undefined },
      ),
      hashes: fc.constantFrom({}, x509SecretOf().hashes),
      ownerUid: fc.constantFrom(undefined, "someone", x509SecretOf().ownerUid),
    }),
    { nil: undefined },
  );

  it("never leaves a workload with an expired, foreign or mismatched certificate, and never replaces a good one", () => {
    fc.assert(
      fc.property(secret, (changes) => {
        const found = changes === undefined ? undefined : x509Of(changes);
        const { issue } = plan({ x509Secret: found }).x509;
        const held = found?.ownerUid === entryOf().uid ? found : undefined;
        const isUsable =
          held?.x509 !== undefined &&
          held.x509.pairMatches &&
          held.x509.notAfter > NOW &&
          held.x509.notBefore <= NOW &&
          held.x509.authorityKeyID === ISSUING_KEY &&
          held.x509.uris.join() === entryOf().spiffeId &&
          Object.keys(held.hashes).length > 0;
        if (!isUsable) expect(issue).toBeDefined();
        if (issue === undefined) expect(isUsable).toBe(true);
        if (isUsable) expect([undefined, "RenewalDue"]).toContain(issue);
      }),
      { numRuns: 5000 },
    );
  });
});

function authorityOf(): PlanInput["authority"] {
  return {
    issuers: new Set([ISSUING_KEY]),
    distrusted: new Set<string>(),
    jwtKeyIDs: new Set([JWT_KEY]),
    issuer: "https://meshid.example",
    caPem: CA,
    ...DOCUMENTS,
  };
}
