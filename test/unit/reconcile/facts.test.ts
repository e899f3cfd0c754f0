import { describe, expect, it } from "@jest/globals";
import { observeSecret } from "../../../src/reconcile/facts.ts";
import type { TokenFacts } from "../../../src/reconcile/state.ts";
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
