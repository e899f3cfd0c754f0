import { describe, expect, it } from "@jest/globals";
import { identityStatus } from "../../../src/controller/identity-status.ts";
import type { X509Status } from "../../../src/registration/service-identity.ts";
import { entryOf, NOW, x509SecretOf } from "../../support/builders.ts";
import { FakeWorld } from "../../support/fake-ports.ts";

function statusWith(annotations: Readonly<Record<string, string>>): X509Status | undefined {
  const world = new FakeWorld();
  world.want("payments");
  const identity = world.identity("shop/payments");
  if (identity === undefined) throw new TypeError("it was wanted");
  const secret = x509SecretOf();
  const observed = Object.assign(world, {
    secret: () => ({ ...secret, annotations: { ...secret.annotations, ...annotations } }),
  });
  const outcome = { entry: entryOf(), x509: undefined, jwt: undefined, mesh: undefined, renewed: undefined };
  return identityStatus({ identity, outcome, observed, now: NOW }).x509;
}

describe("identityStatus", () => {
  it("tells what the notes on the Secret say", () => {
    expect(statusWith({})).toMatchObject({ revision: 7, ttl: "24h0m0s", ttlReason: "Requested" });
    expect(statusWith({ "meshid.dev/ttl": "48h" })?.ttlReason).toBe("CappedByAuthority");
  });

  it.each(["", "x", "-3", "1.5", "1e308", "0x10000000000000"])(
    "is one that the API server takes, whatever another has noted on the Secret: revision %s",
    (revision) => {
      const found = statusWith({ "meshid.dev/revision": revision })?.revision ?? 0;
      expect(Number.isSafeInteger(found) && found >= 1).toBe(true);
    },
  );

  it.each(["", "for ever", "99999999999h"])("does without a noted ttl that is none: %s", (ttl) => {
    expect(statusWith({ "meshid.dev/ttl": ttl })).toMatchObject({ ttl: "24h0m0s", ttlReason: "Requested" });
  });
});
