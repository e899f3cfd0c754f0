import { describe, expect, it } from "@jest/globals";
import { planRotation } from "../../../src/authority/rotation.ts";
import type { Hold, Observation, RotationInput, RotationPlan } from "../../../src/authority/rotation-plan.ts";
import type { Journal } from "../../../src/authority/slot.ts";
import { seconds } from "../../../src/core/brand.ts";
import type { KeyId } from "../../../src/x509/keys.ts";
import { changeSlot, JWT, journalOf, keyID, POLICY, START, withSlot } from "../../support/authority-fakes.ts";

const PAUSED: Hold = { reason: "Paused", message: "spec.rotation.paused is true" };
const CLOSED: Hold = {
  reason: "Closed",
  opensAt: seconds(START + 2500),
  message: "no maintenance window is open",
};
const HELD: Observation = {
  consumers: 1,
  lacking: new Map([keyID("jwt2")].map((id): [KeyId, readonly string[]] => [id, []])),
};

/** JWT keys live for 3600 s: 1/2 is 1800, 5/8 is 2250, 3/4 is 2700. The propagation is 600. */
function plan(
  after: number,
  hold: Hold | undefined,
  { journal = journalOf(), ...input }: Partial<RotationInput> = {},
): RotationPlan {
  return planRotation({
    journal,
    now: seconds(START + after),
    policy: { ...POLICY, holdAt: () => hold },
    observation: undefined,
    requests: {},
    ...input,
  });
}

function steps({ steps: taken }: RotationPlan): readonly string[] {
  return taken.map(({ step, kind }) => `${step} ${kind}`);
}

/** With a JWT key that was observed everywhere at 1900. */
function prepared(): Journal {
  const since = seconds(START + 1800);
  const notAfter = seconds(START + 1800 + POLICY.keyTTL);
  const life = { since, notBefore: seconds(START + 1740), notAfter, observedAt: seconds(START + 1900) };
  return withSlot(journalOf(), "jwt2", { kind: "JWT", ...life });
}

describe("planRotation while the policy holds rotations", () => {
  it.each([
    ["paused", PAUSED],
    ["outside of the windows", CLOSED],
  ])("prepares no successor %s, and says until when at the latest", (_, hold) => {
    const { waiting, ...rest } = plan(1800, hold);
    expect(steps({ waiting, ...rest })).toEqual([]);
    expect(waiting).toEqual([
      {
        kind: "JWT",
        keyID: JWT,
        for: "policy",
        until: START + 2250,
        message: expect.stringContaining(`held: ${hold.message}`),
      },
    ]);
  });

  it("prepares one at 5/8 of the active key's life all the same", () => {
    expect(steps(plan(2249, PAUSED))).toEqual([]);
    expect(steps(plan(2250, PAUSED))).toEqual(["Prepare JWT"]);
  });

  it("wakes when the window opens", () => {
    expect(plan(2000, CLOSED).wakeAt).toBe(START + 2250);
    expect(plan(2000, { ...CLOSED, opensAt: seconds(START + 2100) }).wakeAt).toBe(START + 2100);
    expect(plan(2000, { ...CLOSED, opensAt: seconds(START + 2100) }).waiting[0]?.message).toContain(
      "the next one opens at 2027-01-15T08:35:00Z",
    );
  });

  it("begins at once outside of the windows what was asked for by hand, but not while it is paused", () => {
    const requests = { JWT: "a" };
    expect(steps(plan(10, CLOSED, { requests }))).toEqual(["Prepare JWT"]);
    expect(steps(plan(10, PAUSED, { requests }))).toEqual([]);
  });

  it("lets no key take over that every consumer carries, until 3/4 of the active key's life", () => {
    const input = { journal: prepared(), observation: HELD };
    expect(steps(plan(2600, undefined, input))).toEqual(["Activate JWT"]);
    expect(steps(plan(2600, PAUSED, input))).toEqual([]);
    expect(plan(2600, PAUSED, input).waiting).toMatchObject([{ for: "policy", until: START + 2700 }]);
    expect(plan(2700, PAUSED, input).steps).toMatchObject([
      { step: "Activate", kind: "JWT", forced: "no longer waited: held: spec.rotation.paused is true" },
    ]);
  });

  it("goes on observing", () => {
    const journal = changeSlot(prepared(), keyID("jwt2"), { since: seconds(START + 1900) });
    const unseen = {
      ...journal,
      slots: journal.slots.map((slot) => {
        const { observedAt: _, ...rest } = slot;
        return slot.keyID === keyID("jwt2") ? rest : slot;
      }),
    };
    expect(steps(plan(2000, PAUSED, { journal: unseen, observation: HELD }))).toEqual(["Observe JWT"]);
  });

  it("never keeps the successor of a key that has run out from signing", () => {
    const input = { journal: prepared(), observation: HELD };
    expect(steps(plan(3700, PAUSED, input))).toContain("Activate JWT");
  });

  it("removes what is of no use to anyone any more", () => {
    const retired = withSlot(journalOf(), "old", {
      kind: "JWT",
      state: "Retired",
      signedUntil: seconds(START - 10),
    });
    expect(steps(plan(100, PAUSED, { journal: retired }))).toEqual(["Remove JWT"]);
  });
});
