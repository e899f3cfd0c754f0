import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { backoff } from "../../../src/core/backoff.ts";
import { milliseconds } from "../../../src/core/brand.ts";
import { fakeRandom } from "../../support/fake-random.ts";

const POLICY = { base: milliseconds(1000), cap: milliseconds(300_000) };

describe("backoff", () => {
  it("grows with each failure up to its cap, and lies between half of that and all", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 10_000 }),
        fc.integer({ min: 1, max: 1000 }),
        (failures, seed) => {
          const delay = backoff(failures, POLICY, fakeRandom(seed));
          const ceiling = Math.min(300_000, 1000 * 2 ** Math.min(Math.max(failures - 1, 0), 30));
          expect(delay).toBeGreaterThan(ceiling / 2 - 1);
          expect(delay).toBeLessThanOrEqual(ceiling);
        },
      ),
    );
  });

  it("differs from one caller to the next", () => {
    const delays = Array.from({ length: 20 }, (_, seed) => backoff(5, POLICY, fakeRandom(seed + 1)));
    expect(new Set(delays).size).toBeGreaterThan(15);
  });
});
