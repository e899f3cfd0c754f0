import { describe, expect, it } from "@jest/globals";
import { identityStatus } from "../../../src/controller/identity-status.ts";
import type { ServiceIdentity } from "../../../src/registration/service-identity.ts";
import { NOW } from "../../support/builders.ts";
import { FakeWorld } from "../../support/fake-ports.ts";

describe("identityStatus", () => {
  it("shows under a faulty spec what was issued under an earlier one: SPIFFE ID, certificate and tokens", () => {
    const issued = {
      spiffeID: "spiffe://example.org/ns/shop/sa/a",
      x509: {
        serialNumber: "4f",
        notBefore: "2027-01-15T07:00:00Z",
        notAfter: "2027-01-16T07:00:00Z",
        renewalTime: "2027-01-15T19:00:00Z",
        ttl: "24h0m0s",
        ttlReason: "Requested",
        authorityKeyID: "aa",
        secretName: "a-tls",
        revision: 7,
      },
      jwt: { tokens: [], secretName: "a-jwt" },
    } as const;
    const world = new FakeWorld();
    world.want("a", { x509: { ttl: "9999h" } });
    const wanted = world.wanted.get("shop/a");
    if (wanted === undefined) throw new TypeError("no identity");
    const identity: ServiceIdentity = {
      ...wanted,
      status: { observedGeneration: 1, conditions: [], ...issued },
    };
    const fault = { reason: "InvalidSpec", message: "spec.x509.ttl: too long" } as const;
    const outcome = { entry: undefined, x509: fault, jwt: undefined, mesh: undefined, renewed: undefined };
    expect(identityStatus({ identity, outcome, observed: world, now: NOW })).toMatchObject(issued);
  });
});
