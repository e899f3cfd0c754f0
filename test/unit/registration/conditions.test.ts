import { readFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import { seconds } from "../../../src/core/brand.ts";
import {
  condition,
  isOrdinary,
  MAX_MESSAGE,
  mergeConditions,
  REASONS,
} from "../../../src/registration/conditions.ts";

const EARLY = { now: seconds(1_800_000_000), generation: 1 };
const LATE = { now: seconds(1_800_000_100), generation: 2 };
const issued = condition("X509Issued", "True", "Issued", "valid");

describe("mergeConditions", () => {
  it("keeps the time of the transition while the status stays, and moves it when the status changes", () => {
    const before = mergeConditions(undefined, [issued, condition("JWTIssued", "True", "Issued", "")], EARLY);
    const after = mergeConditions(
      before,
      [
        condition("X509Issued", "True", "Issued", "other words"),
        condition("JWTIssued", "False", "SigningFailed", ""),
      ],
      LATE,
    );
    expect(after.map((one) => [one.type, one.lastTransitionTime, one.observedGeneration])).toEqual([
      ["X509Issued", "2027-01-15T08:00:00Z", 2],
      ["JWTIssued", "2027-01-15T08:01:40Z", 2],
    ]);
  });

  it("drops a part that is not asked for any more", () => {
    const before = mergeConditions(undefined, [issued, condition("JWTIssued", "True", "Issued", "")], EARLY);
    expect(mergeConditions(before, [issued], LATE).map((one) => one.type)).toEqual(["X509Issued"]);
  });

  it("orders conditions as they are shown, whatever the order they come in", () => {
    const mtls = condition("MTLSApplied", "True", "Applied", "");
    const ready = condition("Ready", "True", "Issued", "");
    const types = mergeConditions(undefined, [mtls, issued, ready], EARLY).map((one) => one.type);
    expect(types).toEqual(["Ready", "X509Issued", "MTLSApplied"]);
  });

  it("cuts a message to what the schema takes", () => {
    const cut = (text: string): string => condition("Ready", "True", "Issued", text).message;
    expect(cut("x".repeat(40_000))).toHaveLength(MAX_MESSAGE);
    const within = cut(`${"x".repeat(MAX_MESSAGE - 1)}\u{1F511}`);
    expect([within.length, within.isWellFormed()]).toEqual([MAX_MESSAGE, true]);
  });
});

describe("isOrdinary", () => {
  it.each([
    ["True", "Issued", true],
    ["True", "WaitingForConsumers", true],
    ["True", "Degraded", false],
    ["True", "ConsumersExcluded", false],
    ["False", "Idle", true],
    ["False", "Publishing", true],
    ["False", "SecretConflict", false],
  ] as const)("%s %s: %s", (status, reason, expected) => {
    expect(isOrdinary({ type: "Ready", status, reason })).toBe(expected);
  });
});

describe("docs/conditions.md", () => {
  it("lists exactly the reasons of each condition, in order, each with a cause and a remedy", () => {
    const text = readFileSync(new URL("../../../docs/conditions.md", import.meta.url), "utf8");
    const listed = text
      .split(/^## /m)
      .slice(1)
      .map((section) => {
        const rows = [...section.matchAll(/^\| `(\w+)` \| (.+) \| (.+) \|$/gm)];
        expect(
          rows.filter(([, , cause = "", remedy = ""]) => cause.length < 10 || remedy.length < 5),
        ).toEqual([]);
        return [section.split("\n", 1)[0], rows.map(([, reason]) => reason)];
      });
    expect(Object.fromEntries(listed)).toEqual(REASONS);
  });
});
