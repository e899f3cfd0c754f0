import { describe, expect, it } from "@jest/globals";
import { type HolderClaim, resolveHolders } from "../../../src/registration/conflicts.ts";

function claim(name: string, creationTimestamp: string, serviceAccountName = "payments"): HolderClaim {
  return {
    key: `shop/${name}`,
    uid: `uid-${name}`,
    namespace: "shop",
    serviceAccountName,
    creationTimestamp,
  };
}

const OLD = "2026-01-01T00:00:00Z";
const YOUNG = "2026-06-01T00:00:00Z";

describe("resolveHolders", () => {
  it.each([
    ["gives a ServiceAccount to the oldest claim", [claim("b", YOUNG), claim("a", OLD)], {}, "uid-a"],
    ["gives it to the first by name at one age", [claim("b", OLD), claim("a", OLD)], {}, "uid-a"],
    [
      "leaves it with the recorded holder, however young",
      [claim("a", OLD), claim("b", YOUNG)],
      { "shop/payments": "uid-b" },
      "uid-b",
    ],
    [
      "passes over a recorded holder that claims it no more",
      [claim("b", YOUNG), claim("a", OLD)],
      { "shop/payments": "uid-gone" },
      "uid-a",
    ],
    [
      "passes over a holder that now claims another account",
      [claim("b", OLD, "orders"), claim("a", YOUNG)],
      { "shop/payments": "uid-b" },
      "uid-a",
    ],
  ])("%s", (_name, claims, recorded, holder) => {
    for (const order of [claims, [...claims].reverse()]) {
      expect(resolveHolders(order, new Map(Object.entries(recorded))).get("shop/payments")).toBe(holder);
    }
  });

  it("keeps the same name in two namespaces apart and says nothing of accounts that nobody claims", () => {
    const other = { ...claim("c", OLD), namespace: "bank" };
    const holders = resolveHolders([claim("a", OLD), other], new Map([["shop/orders", "uid-x"]]));
    expect(Object.fromEntries(holders)).toEqual({ "shop/payments": "uid-a", "bank/payments": "uid-c" });
  });
});
