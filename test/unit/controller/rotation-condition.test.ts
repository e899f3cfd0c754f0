import { describe, expect, it } from "@jest/globals";
import type { Waiting } from "../../../src/authority/rotation-plan.ts";
import type { Slot } from "../../../src/authority/slot.ts";
import type { Reissuance, Reissuances } from "../../../src/controller/reissuance.ts";
import {
  emergency,
  progressAt,
  type RotationProgress,
  rotationCondition,
  waitingText,
} from "../../../src/controller/rotation-condition.ts";
import { seconds } from "../../../src/core/brand.ts";
import { toRfc3339 } from "../../../src/core/clock.ts";
import { ISSUING, JWT, journalOf, keyID, START, withSlot } from "../../support/authority-fakes.ts";

const NOW = seconds(START + 1000);
const at = (offset: number): string => toRfc3339(seconds(START + offset));

const NONE: Reissuance = { total: 0, fromActive: 0, refused: 0, lastRenewal: undefined, left: [] };

function progressOf(changes: Partial<RotationProgress> = {}, slots?: readonly Slot[]): RotationProgress {
  const view = {
    slots: slots ?? journalOf().slots,
    issuing: { keyID: ISSUING },
    jwt: { keyID: JWT },
    distrusted: [],
  } as unknown as RotationProgress["view"];
  return {
    view,
    waiting: [],
    excluded: [],
    refusalOf: () => undefined,
    reissued: { certificates: NONE, tokens: NONE },
    propagation: seconds(1800),
    now: NOW,
    ...changes,
  };
}

const reissued = (changes: Partial<Reissuance>, kind: keyof Reissuances = "certificates"): Reissuances => {
  return { certificates: NONE, tokens: NONE, [kind]: { ...NONE, ...changes } };
};
const distrust = (kind: "Root" | "JWT", name: string, offset: number): RotationProgress["view"] => {
  const one = { kind, keyID: keyID(name), at: seconds(START + offset) };
  return { ...progressOf().view, distrusted: [one] };
};
const prepared = (kind: Slot["kind"], changes: Partial<Slot> = {}): readonly Slot[] =>
  withSlot(journalOf(), "next", { kind, since: seconds(START + 100), ...changes }).slots;
const waitFor = (what: Waiting["for"], changes: Partial<Waiting> = {}): Waiting => {
  return { kind: "Root", keyID: keyID("next"), for: what, message: "the lead's words", ...changes };
};
const LAGGING = waitFor("consumers", { lacking: ["Secret shop/a-tls"], until: seconds(START + 9000) });

describe("the condition of a rotation", () => {
  it("is Idle where nothing is under way", () => {
    expect(rotationCondition(progressOf())).toMatchObject({ status: "False", reason: "Idle" });
  });

  it("names who is waited for, why it lacks the key, since when and until when at the latest", () => {
    const refusal = { why: "exceeded quota", since: seconds(START + 200), last: NOW };
    const progress = progressOf(
      {
        waiting: [LAGGING],
        refusalOf: (consumer) => (consumer === "Secret shop/a-tls" ? refusal : undefined),
      },
      prepared("Root"),
    );
    expect(rotationCondition(progress)).toEqual({
      type: "RotationInProgress",
      status: "True",
      reason: "WaitingForConsumers",
      message: `Root key ${keyID("next")}, published since ${at(100)}: 1 consumer lacks it: Secret shop/a-tls (exceeded quota, since ${at(200)}); until ${at(9000)} at the latest`,
    });
  });

  it("names five of many, and how many there are", () => {
    const lacking = Array.from({ length: 1200 }, (_, index) => `Secret shop/${index}-tls`);
    const text = waitingText(waitFor("consumers", { lacking }), progressOf());
    expect(text).toMatch(/^1200 consumers lack it: Secret shop\/0-tls, .*4-tls and 1195 more$/);
  });

  it.each([
    ["for long enough", 1800, ""],
    [
      "for less than istiod keeps a JWKS",
      300,
      " (5m0s) is shorter: tokens may be refused until they fetch it again",
    ],
  ])("says what a JWT key's time is for, where it waits %s", (_, propagation, short) => {
    const waiting = [waitFor("propagation", { kind: "JWT", until: seconds(START + 2000) })];
    const slots = prepared("JWT", { observedAt: seconds(START + 150) });
    const { reason, message } = rotationCondition(
      progressOf({ waiting, propagation: seconds(propagation) }, slots),
    );
    expect(reason).toBe("WaitingForPropagation");
    expect(message).toContain(`published since ${at(100)}, seen everywhere at ${at(150)}: `);
    expect(message).toContain("verifiers keep a JWKS for up to 10m (Envoy) and 20m (istiod)");
    expect(message).toContain(short);
    expect(message.includes("spec.rotation.propagation")).toBe(short !== "");
  });

  it("says what comes from the new key in steps of ten, and when the last follows", () => {
    const of = (fromActive: number, total: number): string =>
      rotationCondition(
        progressOf({ reissued: reissued({ total, fromActive, lastRenewal: seconds(START + 5000) }) }),
      ).message;
    expect(of(6199, 10_000)).toBe(
      `60 % of 10,000 certificates come from the active issuing key ${ISSUING} (since ${at(0)}); the others follow at their renewal, the last at ${at(5000)}`,
    );
    expect(of(6000, 10_000)).toBe(of(6999, 10_000));
    expect(of(6500, 10_021)).toBe(of(6600, 10_800));
    expect(of(2, 3)).toMatch(/^60 % of 3 certificates/);
  });

  it("names those whose renewal is overdue once nothing else is left", () => {
    const left = ["shop/a", "shop/b"];
    const late = { total: 9, fromActive: 7, lastRenewal: seconds(START + 999), left };
    const { reason, message } = rotationCondition(progressOf({ reissued: reissued(late) }));
    expect(reason).toBe("Reissuing");
    expect(message).toMatch(/overdue, see their conditions: shop\/a, shop\/b$/);
  });

  it("says which keys are left, and until when", () => {
    const { slots } = withSlot(journalOf(), "old", { kind: "JWT", state: "Retired" });
    const waiting = [waitFor("expiry", { kind: "JWT", keyID: keyID("old"), until: seconds(START + 7000) })];
    expect(rotationCondition(progressOf({ waiting }, slots))).toMatchObject({
      reason: "Retiring",
      message: `published until nothing that they signed is alive: JWT ${keyID("old")} (until ${at(7000)})`,
    });
  });

  it("tells first what breaks, then what is left out, what is waited for, what is held, and what takes its time", () => {
    const spreading = waitFor("propagation");
    const held = waitFor("policy", { message: "held: spec.rotation.paused is true" });
    const reasonOf = (changes: Partial<RotationProgress>): string =>
      rotationCondition(progressOf({ reissued: reissued({ total: 9, fromActive: 7 }), ...changes })).reason;
    expect(reasonOf({})).toBe("Reissuing");
    expect(reasonOf({ waiting: [spreading] })).toBe("WaitingForPropagation");
    expect(reasonOf({ waiting: [spreading, held] })).toBe("Paused");
    expect(reasonOf({ waiting: [spreading, held, LAGGING] })).toBe("WaitingForConsumers");
    const excluded = ["ConfigMap shop/meshid-bundle (exceeded quota)"];
    expect(reasonOf({ waiting: [spreading, held, LAGGING], excluded })).toBe("ConsumersExcluded");
    const view = distrust("Root", "stolen", 900);
    const broken = { view, reissued: reissued({ total: 9, fromActive: 7, refused: 2 }) };
    expect(reasonOf({ waiting: [LAGGING], excluded, ...broken })).toBe("Reissuing");
    // One identity that cannot be issued anew does not hide the rest.
    const { message } = rotationCondition(progressOf({ waiting: [LAGGING], excluded, ...broken }));
    expect(message).toMatch(/^root .*goes on without ConfigMap shop\/meshid-bundle.*lacks? it/);
  });

  it("says what to do about those that are left out, and whom it waits for beside them", () => {
    const excluded = ["ConfigMap shop/meshid-bundle (exceeded quota)"];
    const { message } = rotationCondition(progressOf({ waiting: [LAGGING], excluded }));
    expect(message).toMatch(
      /^the rotation goes on without ConfigMap shop\/meshid-bundle \(exceeded quota\): repair or delete/,
    );
    expect(message).toContain("1 consumer lacks it: Secret shop/a-tls");
  });
});

describe("an emergency", () => {
  it("says what breaks until a workload has its new certificate, in about ten steps", () => {
    const view = distrust("Root", "stolen", 900);
    const of = (done: number): string | undefined => {
      const counts = { total: 10_000, fromActive: done, refused: 10_000 - done };
      return emergency(progressOf({ view, reissued: reissued(counts) }));
    };
    expect(of(4321)).toBe(
      `root ${keyID("stolen")} was distrusted at ${at(900)}: at least 4,000 of 10,000 identities have their new certificate; until a workload has its own, peers refuse it`,
    );
    expect(of(4321)).toBe(of(4999));
    expect(of(10_000)).toBeUndefined();
  });

  it("names the last few", () => {
    const counts = { total: 50, fromActive: 48, refused: 2, left: ["shop/a", "shop/b"] };
    const text = emergency(progressOf({ view: distrust("Root", "stolen", 900), reissued: reissued(counts) }));
    expect(text).toContain("(still without: shop/a, shop/b)");
  });

  it("names the key that was named, not what lay beside it and went with it", () => {
    const one = (name: string, offset: number) => distrust("JWT", name, offset).distrusted;
    const all = [...one("earlier", 100), ...one("stolen", 900), ...one("beside", 900)];
    const view = { ...progressOf().view, distrusted: all };
    const text = emergency(progressOf({ view, reissued: reissued({ total: 9, refused: 9 }, "tokens") }));
    expect(text).toMatch(new RegExp(`^JWT key ${keyID("stolen")} was distrusted`));
  });

  it("is none in a later rotation, whose certificates are all accepted", () => {
    const view = distrust("Root", "stolen", -9000);
    const progress = progressOf({ view, reissued: reissued({ total: 9, fromActive: 2 }) });
    expect(emergency(progress)).toBeUndefined();
    expect(rotationCondition(progress).message).not.toContain("distrusted");
  });

  it("of a JWT key lasts until every verifier has fetched the JWKS again", () => {
    const done = { total: 8, fromActive: 8 };
    const of = (now: number): RotationProgress =>
      progressOf({
        view: distrust("JWT", "stolen", 900),
        reissued: reissued(done, "tokens"),
        now: seconds(now),
      });
    expect(emergency(of(NOW))).toContain(`8 of 8 tokens are signed anew, and verifiers refuse the others`);
    expect(emergency(of(NOW))).toContain(`by ${at(2100)} at the latest`);
    expect(progressAt(of(NOW))).toBe(START + 2100);
    expect(emergency(of(START + 2100))).toBeUndefined();
    expect(progressAt(of(START + 2100))).toBeUndefined();
  });
});

describe("how soon to look again", () => {
  it.each([
    ["two seconds while something has just been distrusted", { refused: 1 }, 990, NOW + 2],
    ["longer the longer it takes", { refused: 1 }, 100, NOW + 45],
    ["a minute at most where peers go on refusing something", { refused: 1 }, -90_000, NOW + 60],
    ["twenty times until the last renewal", { lastRenewal: seconds(NOW + 1000) }, 0, NOW + 50],
    ["every five minutes at least", { lastRenewal: seconds(NOW + 900_000) }, 0, NOW + 300],
    ["now and then where a renewal is overdue", { lastRenewal: seconds(NOW - 10) }, 0, NOW + 60],
  ])("is %s", (_, changes, distrustedAt, expected) => {
    const counts = { total: 9, fromActive: 7, ...changes };
    const view = distrust("Root", "stolen", distrustedAt);
    expect(progressAt(progressOf({ reissued: reissued(counts), view }))).toBe(expected);
  });
});
