import { describe, expect, it } from "@jest/globals";
import { rotationProgress } from "../../../../src/app/progress/rotation.ts";
import type { TrustDomainStatus } from "../../../../src/registration/service-identity.ts";
import { at, condition, HOUR, slot, trustDomain } from "../../../support/doctor-facts.ts";

const statusOf = (change: Partial<TrustDomainStatus> = {}): TrustDomainStatus =>
  trustDomain(change).status ?? {};

describe("rotationProgress of an issuing key", () => {
  const asked = {
    word: "issuing",
    kind: "Issuing",
    id: "now",
    oldKey: "issuing-1",
    untaken: "the controller has not taken it up yet",
  } as const;
  const honoured = { lastManualRotation: { issuing: "now" } };
  const next = slot("Issuing", { keyID: "issuing-2", state: "Prepared", waitingFor: "2 consumers lack it" });
  const active = slot("Issuing", { keyID: "issuing-2" });
  const retired = slot("Issuing", { state: "Retired" });

  it.each<[what: string, after: TrustDomainStatus, isDone: boolean, text: string]>([
    ["nobody has taken up", statusOf(), false, "asked for; the controller has not taken it up yet"],
    [
      "cannot begin yet",
      statusOf({ authorities: [slot("Issuing", { waitingFor: "8 retired keys", waitingUntil: at(HOUR) })] }),
      false,
      `asked for; the controller has not taken it up yet: 8 retired keys (until ${at(HOUR)} at the latest)`,
    ],
    [
      "was taken up",
      statusOf(honoured),
      false,
      "taken up; the new key is being made, or waits for the root's",
    ],
    [
      "has a key that is published",
      statusOf({ ...honoured, authorities: [slot("Issuing"), next] }),
      false,
      "new key issuing-2, not used yet: 2 consumers lack it",
    ],
    [
      "is held by the policy",
      statusOf({
        ...honoured,
        conditions: [condition("RotationInProgress", "True", "Paused", "held: by you")],
      }),
      false,
      "taken up; the new key is being made, or waits for the root's; held: by you",
    ],
    ["is done", statusOf({ ...honoured, authorities: [active, retired] }), true, "key issuing-2 signs now"],
    [
      "another rotation overtook",
      statusOf({ authorities: [active, retired] }),
      false,
      "asked for; the controller has not taken it up yet",
    ],
    [
      "cannot go on",
      statusOf({ ...honoured, conditions: [condition("AuthorityReady", "False", "ClockSkew", "set it")] }),
      false,
      "AuthorityReady is False: ClockSkew: set it",
    ],
  ])("says where a request stands that %s", (_, after, isDone, text) => {
    expect(rotationProgress(after, asked)).toMatchObject({ isDone, text });
  });

  it("tells a fault by the condition that has its reason, and that somebody has to mend it", () => {
    const conditions = [
      condition("Ready", "False", "Pending", "gone"),
      condition("AuthorityReady", "False", "JournalMissing", "gone"),
    ];
    expect(rotationProgress(statusOf({ conditions }), asked)).toEqual({
      isDone: false,
      text: "AuthorityReady is False: JournalMissing: gone",
      isFaulty: true,
    });
    expect(rotationProgress(statusOf(honoured), asked)).not.toHaveProperty("isFaulty");
  });
});

describe("rotationProgress of a root", () => {
  const asked = { word: "root", kind: "Root", id: "now", oldKey: "root-1", untaken: "not yet" } as const;
  const honoured = { lastManualRotation: { root: "now" } };
  const old = [slot("Root", { state: "Retired" }), slot("Issuing")];
  const root = slot("Root", { keyID: "root-2", since: at(0) });
  const progress = (...authorities: TrustDomainStatus["authorities"] & object) =>
    rotationProgress(statusOf({ ...honoured, authorities }), asked);

  it("is not done while nothing under the new root signs", () => {
    expect(progress(...old, root)).toEqual({
      isDone: false,
      text: "root root-2 is active; the issuing certificate under it is being made",
    });
    const made = slot("Issuing", {
      keyID: "issuing-2",
      state: "Prepared",
      notBefore: at(-30),
      waitingFor: "time",
    });
    expect(progress(...old, root, made)).toEqual({
      isDone: false,
      text: "root root-2 is active; new issuing key issuing-2 under it, not used yet: time",
    });
  });

  it("is done when a certificate under it signs", () => {
    const under = (issuerKeyID: string) => slot("Issuing", { keyID: "issuing-2", issuerKeyID });
    const text = "root root-2 and issuing key issuing-2 under it sign now";
    const rest = [slot("Root", { state: "Retired" }), slot("Issuing", { state: "Retired" })];
    expect(progress(...rest, root, under("root-2"))).toEqual({ isDone: true, text });
    expect(progress(...rest, root, under("root-1")).isDone).toBe(false);
  });
});
