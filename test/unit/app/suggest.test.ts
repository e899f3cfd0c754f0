import { describe, expect, it } from "@jest/globals";
import { similarTo } from "../../../src/app/suggest.ts";

const COMMANDS = ["local", "status", "inspect", "verify", "renew", "rotate", "version"];

describe("similarTo", () => {
  it.each([
    ["verfy", ["verify"]],
    ["stauts", ["status"]],
    ["insp", ["inspect"]],
    ["rewen", []],
    ["x", []],
    ["kubernetes", []],
  ])("takes %s for %j", (word, expected) => {
    expect(similarTo(word, COMMANDS)).toEqual(expected);
  });

  it("gives the nearest first, three at most", () => {
    expect(similarTo("payment", ["repayment", "payments", "payment1", "payment2", "paymant"])).toHaveLength(
      3,
    );
    expect(similarTo("paymnts", ["payment", "payments"])[0]).toBe("payments");
  });
});
