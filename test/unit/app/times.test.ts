import { describe, expect, it } from "@jest/globals";
import { describeInstant, relativeTime, shortLength } from "../../../src/app/times.ts";
import { seconds } from "../../../src/core/brand.ts";

const NOW = seconds(1_795_557_600);
const at = (offset: number): ReturnType<typeof seconds> => seconds(NOW + offset);

describe("relativeTime", () => {
  it.each([
    [0, "now"],
    [1, "in 1s"],
    [59, "in 59s"],
    [125, "in 2m5s"],
    [3600, "in 1h"],
    [43_080, "in 11h58m"],
    [172_799, "in 47h59m"],
    [172_800, "in 2d"],
    [540_000, "in 6d6h"],
    [34_560_000, "in 400d"],
    [-1, "1 second ago"],
    [-119, "119 seconds ago"],
    [-120, "2 minutes ago"],
    [-7200, "2 hours ago"],
    [-259_200, "3 days ago"],
  ])("says of %d seconds: %s", (offset, text) => {
    expect(relativeTime(at(offset), NOW)).toBe(text);
  });
});

describe("describeInstant", () => {
  it("gives the time from now and the instant itself", () => {
    expect(describeInstant(at(43_080), NOW)).toBe("in 11h58m (2026-11-25T09:58:00Z)");
  });
});

describe("shortLength", () => {
  it("leaves out a second unit that is zero", () => {
    expect([shortLength(120), shortLength(7200), shortLength(3 * 86_400)]).toEqual(["2m", "2h", "3d"]);
  });
});
