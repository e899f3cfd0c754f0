import { describe, expect, it } from "@jest/globals";
import { RewriteGuard } from "../../../src/controller/rewrite-guard.ts";
import { mergeConditions } from "../../../src/registration/conditions.ts";
import type { ServiceIdentityStatus } from "../../../src/registration/service-identity.ts";
import { FakeClock } from "../../support/fake-clock.ts";

describe("RewriteGuard", () => {
  it("forgets, when there are many, those that have not been repaired for ten minutes", () => {
    const clock = new FakeClock();
    const guard = new RewriteGuard(clock);
    for (let index = 0; index < 20_000; index++) {
      guard.take(`uid-${index}/x509`);
      clock.jump(1);
    }
    expect(guard.size).toBeLessThan(1300);
    for (let times = 0; times < 4; times++) expect(guard.take("uid-19999/x509")).toBeUndefined();
    expect(guard.take("uid-19999/x509")).toBe(clock.now() + 120);
  });

  describe("whether a part was issued before", () => {
    const guard = new RewriteGuard(new FakeClock());
    const withCondition = (status: "True" | "False"): ServiceIdentityStatus => {
      const one = { type: "JWTIssued", status, reason: "Issued", message: "" } as const;
      return { conditions: mergeConditions(undefined, [one], { now: new FakeClock().now(), generation: 1 }) };
    };

    it.each([
      ["nothing is known of it", undefined, false],
      ["its condition says that it is not", withCondition("False"), false],
      ["status shows it", { jwt: { secretName: "payments-jwt", tokens: [] } }, true],
      ["its Secret was gone when status was written, as its condition tells", withCondition("True"), true],
    ] as const)("%s", (_, status, expected) => {
      expect(guard.wasIssued("uid", "jwt", status)).toBe(expected);
    });

    it("remembers what it has repaired", () => {
      guard.take("uid/x509");
      expect(guard.wasIssued("uid", "x509", undefined)).toBe(true);
      expect(guard.wasIssued("uid", "jwt", undefined)).toBe(false);
    });
  });
});
