import { describe, expect, it } from "@jest/globals";
import { toObserved } from "../../../../src/app/cluster-cli/identities.ts";
import type { ObservedIdentity } from "../../../../src/app/observed-objects.ts";
import { countRenewals, renewalsProgress } from "../../../../src/app/progress/renewal.ts";
import type { ServiceIdentityStatus } from "../../../../src/registration/service-identity.ts";
import { at, condition, identityFact } from "../../../support/doctor-facts.ts";

const identity = (name: string, status: ServiceIdentityStatus = {}): ObservedIdentity =>
  toObserved(identityFact({ name, status }).identity);
const renewed = (name: string): ObservedIdentity => identity(name, { lastManualRenewal: "now" });
const faulty = (name: string): ObservedIdentity =>
  identity(name, { conditions: [condition("X509Issued", "False", "SecretConflict", "delete it")] });

describe("countRenewals", () => {
  it("counts those that show this very request", () => {
    const asked = ["a", "b", "c"].map((name) => identity(name));
    const present = [
      renewed("a"),
      identity("b", { lastManualRenewal: "before" }),
      renewed("c"),
      renewed("other"),
    ];
    const { done, total, waiting } = countRenewals(asked, present, "now");
    expect([done, total, waiting.map((one) => one.identity.name)]).toEqual([2, 3, ["b"]]);
  });

  it("forgets who was deleted, or made anew under the same name", () => {
    const asked = ["a", "b", "c"].map((name) => identity(name));
    const anew = { ...identity("b"), creationTimestamp: at(0) };
    expect(countRenewals(asked, [renewed("a"), anew], "now")).toEqual({ done: 1, total: 1, waiting: [] });
  });

  it("puts first what a fault holds up, and not what only a mesh policy is missing to", () => {
    const asked = ["a", "b", "c"].map((name) => identity(name));
    const policy = identity("a", { conditions: [condition("MTLSApplied", "False", "IstioNotInstalled")] });
    const { waiting } = countRenewals(asked, [policy, identity("b"), faulty("c")], "now");
    expect(waiting.map((one) => [one.identity.name, one.fault])).toEqual([
      ["c", "X509Issued is False: SecretConflict: delete it"],
      ["a", undefined],
      ["b", undefined],
    ]);
  });
});

describe("renewalsProgress", () => {
  it("says how many are done and why the first is not", () => {
    const asked = ["a", "b", "c"].map((name) => identity(name));
    const count = countRenewals(asked, [renewed("a"), faulty("b"), faulty("c")], "now");
    const { isDone, text, panel } = renewalsProgress(count, "Renewal");
    expect([isDone, text]).toEqual([
      false,
      "1 of 3 renewed; not shop/b: X509Issued is False: SecretConflict: delete it and 1 more",
    ]);
    expect(panel?.table?.rows).toHaveLength(2);
  });

  it("is done where nobody is left to wait for", () => {
    expect(renewalsProgress(countRenewals([identity("a")], [], "now"), "Renewal")).toMatchObject({
      isDone: true,
      text: "0 of 0 renewed",
    });
  });
});
