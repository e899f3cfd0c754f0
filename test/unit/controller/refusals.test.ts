import { beforeEach, describe, expect, it } from "@jest/globals";
import type { Observation } from "../../../src/authority/rotation-plan.ts";
import { Refusals, withoutRefusing } from "../../../src/controller/refusals.ts";
import { seconds } from "../../../src/core/brand.ts";
import type { KeyId } from "../../../src/x509/keys.ts";
import { keyID } from "../../support/authority-fakes.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const BUNDLE = "ConfigMap shop/meshid-bundle";
const SECRET = "Secret shop/payments-tls";
const PROPAGATION = seconds(200);

describe("Refusals", () => {
  let clock: FakeClock;
  let refusals: Refusals;

  beforeEach(() => {
    clock = new FakeClock();
    refusals = new Refusals(clock);
  });

  /** Refused every minute, from now on. */
  const refuseFor = (length: number): void => {
    for (let passed = 0; passed <= length; passed += 60) {
      refusals.note(BUNDLE, "exceeded quota");
      if (passed < length) clock.jump(60);
    }
  };
  const isOverdue = (): boolean => refusals.overdue(PROPAGATION).includes(BUNDLE);

  it("counts from the first refusal to the last, and says why", () => {
    const since = clock.now();
    refuseFor(540);
    clock.jump(400);
    expect([refusals.of(BUNDLE)?.since, isOverdue()]).toEqual([since, false]);
    refusals.note(BUNDLE, "denied by policy");
    expect(refusals.of(BUNDLE)).toMatchObject({ why: "denied by policy", since, last: clock.now() });
    expect(isOverdue()).toBe(true);
  });

  it("begins anew when the consumer has taken something, and keeps it", () => {
    refuseFor(600);
    refusals.clear(BUNDLE);
    expect([refusals.of(BUNDLE), isOverdue()]).toEqual([undefined, false]);
    clock.jump(120);
    refusals.note(BUNDLE, "exceeded quota");
    expect(isOverdue()).toBe(false);
  });

  it("goes on where the consumer gives way for a moment, whatever it refuses for then", () => {
    refuseFor(540);
    refusals.clear(BUNDLE);
    clock.jump(59);
    expect(refusals.of(BUNDLE)).toBeUndefined();
    refusals.note(BUNDLE, "exceeded quota");
    expect(isOverdue()).toBe(false);
    clock.jump(1);
    refusals.note(BUNDLE, "exceeded quota");
    expect(isOverdue()).toBe(true);
  });

  it("begins anew after each moment where the propagation is so short that a moment is long", () => {
    refuseFor(540);
    refusals.clear(BUNDLE);
    refusals.note(BUNDLE, "exceeded quota");
    expect(refusals.overdue(seconds(60))).toEqual([]);
    refuseFor(180);
    expect(refusals.overdue(seconds(60))).toEqual([BUNDLE]);
  });

  it.each([
    ["nobody tried for longer than anyone who tries waits", 601],
    ["the clock went back", -3600],
  ])("begins anew where %s", (_, jump) => {
    refuseFor(540);
    clock.jump(jump);
    refusals.note(BUNDLE, "exceeded quota");
    expect(refusals.of(BUNDLE)?.since).toBe(clock.now());
  });

  describe("of what is changed back again and again", () => {
    const hold = (): void => refusals.noteRevert(BUNDLE, seconds(clock.now() + 120));

    it("count the time for which nothing is written for that reason, and no more", () => {
      const since = clock.now();
      hold();
      clock.jump(100);
      expect(refusals.of(BUNDLE)).toMatchObject({ since, last: since + 100 });
      clock.jump(100);
      expect(refusals.of(BUNDLE)).toMatchObject({ since, last: since + 120 });
    });

    it("take nothing for taken that is current between two reverts only", () => {
      for (let times = 0; times < 5; times++) {
        hold();
        clock.jump(120);
        refusals.clear(BUNDLE);
        clock.jump(30);
      }
      expect(isOverdue()).toBe(true);
      refusals.clear(BUNDLE);
      clock.jump(89);
      expect(isOverdue()).toBe(true);
      clock.jump(1);
      expect([refusals.of(BUNDLE), isOverdue()]).toEqual([undefined, false]);
    });

    it("are forgotten at once where it is not wanted any more", () => {
      hold();
      refusals.forget(BUNDLE);
      expect(refusals.size).toBe(0);
    });
  });

  it("keeps 10,000 at most, those that are met with", () => {
    for (let index = 0; index < 10_000; index++) refusals.note(`Secret shop/${index}-tls`, "refused");
    refusals.note(BUNDLE, "refused");
    expect([refusals.size, refusals.of(BUNDLE)]).toEqual([10_000, undefined]);
    refusals.note("Secret shop/7-tls", "refused again");
    expect(refusals.of("Secret shop/7-tls")?.why).toBe("refused again");
    clock.jump(601);
    refusals.note(BUNDLE, "refused");
    expect([refusals.size, refusals.of(BUNDLE)?.why]).toEqual([1, "refused"]);
  });

  describe("an observation", () => {
    const [root, jwt] = [keyID("root"), keyID("jwt")];
    const seen = (...lacking: readonly (readonly [KeyId, readonly string[]])[]): Observation => {
      return { lacking: new Map(lacking), consumers: 2 };
    };
    const looked = (observation: Observation, namespaces = 3): Observation =>
      withoutRefusing(observation, {
        refusalOf: (consumer) => refusals.of(consumer),
        propagation: PROPAGATION,
        namespaces,
      });

    it("names those that have refused for three times the propagation, with reason and time, and waits for them no longer", () => {
      const since = new Date(clock.now() * 1000).toISOString().replace(".000Z", "Z");
      refuseFor(540);
      const observation = seen([root, [BUNDLE, SECRET]], [jwt, [BUNDLE]]);
      expect(looked(observation)).toBe(observation);
      refuseFor(60);
      expect(looked(observation)).toEqual({
        lacking: new Map([
          [root, [SECRET]],
          [jwt, []],
        ]),
        consumers: 2,
        excluded: [`${BUNDLE} (exceeded quota, since ${since})`],
      });
    });

    it("waits on where everyone refuses, or all over the mesh: that is no tenant's doing", () => {
      const others = ["ConfigMap blog/meshid-bundle", "Secret mail/smtp-tls"];
      for (let passed = 0; passed <= 600; passed += 60) {
        for (const other of others) refusals.note(other, "forbidden");
        refusals.note(BUNDLE, "forbidden");
        if (passed < 600) clock.jump(60);
      }
      const all = seen([root, [BUNDLE, ...others]]);
      expect(looked({ ...all, consumers: 3 }, 8)).toEqual({ ...all, consumers: 3 });
      expect(looked({ ...all, consumers: 9 }, 5)).toEqual({ ...all, consumers: 9 });
      expect(looked({ ...all, consumers: 9 }, 6).excluded).toHaveLength(3);
      const one = seen([root, [BUNDLE]]);
      expect(looked(one, 1).excluded).toHaveLength(1);
    });

    it("counts a consumer again as soon as it carries the key", () => {
      refuseFor(600);
      expect(looked(seen([root, [SECRET]])).excluded).toBeUndefined();
    });
  });
});
