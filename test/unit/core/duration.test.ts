import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { seconds } from "../../../src/core/brand.ts";
import { formatDuration, parseDuration } from "../../../src/core/duration.ts";
import { refusalOf } from "../../support/errors.ts";

describe("parseDuration", () => {
  it.each([
    ["24h", 86_400],
    ["90m", 5400],
    ["1h30m", 5400],
    ["1h0m1s", 3601],
    ["45s", 45],
    ["0s", 0],
    ["007m", 420],
    ["999999h", 3_599_996_400],
  ])("reads %s as %i s", (text, expected) => {
    expect(parseDuration(text, "ttl")).toBe(expected);
  });

  it.each([
    "",
    "h",
    "24",
    "1d",
    "1.5h",
    "-1h",
    "+1h",
    "1h 30m",
    "30m1h",
    "1m1m",
    "1H",
    "١h",
    "1h\n",
    "1e3s",
    "9999999h",
  ])("refuses %j and names the field", (text) => {
    expect(refusalOf(() => parseDuration(text, "spec.x509.ttl"))).toBe("INVALID_INPUT spec.x509.ttl");
  });

  it("reads back every length that is written", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 3_000_000_000 }), (length) => {
        expect(parseDuration(formatDuration(seconds(length)), "x")).toBe(length);
      }),
    );
  });
});

describe("formatDuration", () => {
  it.each([
    [86_400, "24h0m0s"],
    [5400, "1h30m0s"],
    [61, "1m1s"],
    [59, "59s"],
    [0, "0s"],
  ])("writes %i s as Go does: %s", (length, expected) => {
    expect(formatDuration(seconds(length))).toBe(expected);
  });
});
