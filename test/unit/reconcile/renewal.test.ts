import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { seconds } from "../../../src/core/brand.ts";
import { renewAt, renewTokenAt } from "../../../src/reconcile/renewal.ts";

const day = { issuedAt: seconds(1_000_000), notAfter: seconds(1_086_400) };

describe("renewAt", () => {
  it("stays within ten percent of the asked share of the life, for every uid", () => {
    fc.assert(
      fc.property(fc.uuid(), fc.integer({ min: 10, max: 86 }), (uid, percent) => {
        const share = (renewAt(day, percent, uid) - day.issuedAt) / 86_400;
        expect(share).toBeGreaterThanOrEqual((percent / 100) * 0.9 - 0.0001);
        expect(share).toBeLessThanOrEqual((percent / 100) * 1.1);
      }),
    );
  });

  it("is the same for the same uid and differs between uids", () => {
    const instants = new Set(Array.from({ length: 100 }, (_, index) => renewAt(day, 50, `uid-${index}`)));
    expect(renewAt(day, 50, "uid-1")).toBe(renewAt(day, 50, "uid-1"));
    expect(instants.size).toBeGreaterThan(90);
  });

  it("is never later than 95 percent of the life", () => {
    fc.assert(
      fc.property(fc.uuid(), (uid) => {
        expect(renewAt(day, 90, uid)).toBeLessThanOrEqual(day.issuedAt + 86_400 * 0.95);
      }),
    );
  });

  it("leaves a second between issue and renewal, however short the life", () => {
    const life = { issuedAt: seconds(100), notAfter: seconds(101) };
    expect(renewAt(life, 50, "uid")).toBe(101);
  });
});

describe("renewTokenAt", () => {
  it("is never later than half of the life and at most a tenth earlier", () => {
    fc.assert(
      fc.property(fc.uuid(), (uid) => {
        const share = (renewTokenAt(day, uid) - day.issuedAt) / 86_400;
        expect(share).toBeLessThanOrEqual(0.5);
        expect(share).toBeGreaterThanOrEqual(0.45 - 0.0001);
      }),
    );
  });
});
