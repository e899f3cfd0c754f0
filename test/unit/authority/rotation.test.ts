import { describe, expect, it } from "@jest/globals";
import { MAX_RETIRED_SLOTS } from "../../../src/authority/limits.ts";
import { planRotation } from "../../../src/authority/rotation.ts";
import type { Observation, RotationInput, RotationPlan } from "../../../src/authority/rotation-plan.ts";
import type { Journal, Slot } from "../../../src/authority/slot.ts";
import { seconds } from "../../../src/core/brand.ts";
import type { KeyId } from "../../../src/x509/keys.ts";
import {
  changeSlot,
  ISSUING,
  JWT,
  journalOf,
  keyID,
  POLICY,
  ROOT,
  START,
  withSlot,
} from "../../support/authority-fakes.ts";

const HELD: Observation = seen({ root1: [], root2: [], jwt1: [], jwt2: [] });

function seen(lacking: Readonly<Record<string, readonly string[]>>): Observation {
  const entries = Object.entries(lacking).map(([name, who]): [KeyId, readonly string[]] => [
    keyID(name),
    who,
  ]);
  return { consumers: 3, lacking: new Map(entries) };
}

function plan(
  after: number,
  journal: Journal = journalOf(),
  input: Partial<RotationInput> = {},
): RotationPlan {
  return planRotation({
    journal,
    now: seconds(START + after),
    policy: POLICY,
    observation: undefined,
    requests: {},
    ...input,
  });
}

/** `Prepare Root HalfLife`, `Activate JWT`, … */
function stepsOf({ steps }: RotationPlan): readonly string[] {
  return steps.map((step) => {
    const more = "reason" in step ? ` ${step.reason}` : "forced" in step ? " forced" : "";
    return `${step.step} ${step.kind}${more}`;
  });
}

/** With a prepared successor `<kind>2` that came `after` seconds after the start. */
function prepared(kind: Slot["kind"], after: number, changes: Partial<Slot> = {}): Journal {
  const ttl = { Root: POLICY.rootTTL, Issuing: POLICY.issuingTTL, JWT: POLICY.keyTTL }[kind];
  return withSlot(journalOf(), `${kind.toLowerCase()}2`, {
    kind,
    since: seconds(START + after),
    notBefore: seconds(START + after - 60),
    notAfter: seconds(START + after + ttl),
    ...changes,
  });
}

describe("planRotation: preparation", () => {
  it.each([
    ["nothing in the first half of every life", 1799, {}, []],
    ["a JWT key at half of its life", 1800, {}, ["Prepare JWT HalfLife"]],
    [
      "an issuing certificate at half of its life",
      3600,
      {},
      ["Prepare Issuing HalfLife", "Prepare JWT HalfLife"],
    ],
    [
      "a root at half of its life, and no later than that what has run out",
      18_000,
      {},
      ["Prepare Root HalfLife", "Prepare Issuing HalfLife", "Prepare JWT HalfLife"],
    ],
    ["a root by request", 10, { requests: { Root: "a" } }, ["Prepare Root Requested"]],
    ["an issuing certificate by request", 10, { requests: { Issuing: "a" } }, ["Prepare Issuing Requested"]],
    [
      "root and JWT key, the issuing certificate implied",
      10,
      { requests: { JWT: "c", Issuing: "b", Root: "a" } },
      ["Prepare Root Requested", "Honour Issuing", "Prepare JWT Requested"],
    ],
    [
      "the root alone when the key algorithm changes",
      10,
      { policy: { ...POLICY, keyAlgorithm: "ECDSA-P384" } },
      ["Prepare Root AlgorithmChanged"],
    ],
    [
      "a JWT key when its algorithm changes",
      10,
      { policy: { ...POLICY, jwtAlgorithm: "ES384" } },
      ["Prepare JWT AlgorithmChanged"],
    ],
  ] as const)("plans %s", (_, after, input, expected) => {
    expect(stepsOf(plan(after, journalOf(), input))).toEqual(expected);
  });

  it("gives an issuing certificate the active root and no life beyond it", () => {
    const journal = changeSlot(journalOf(), ROOT, { notAfter: seconds(START + 9000) });
    expect(plan(3600, journal, { policy: { ...POLICY, rootTTL: seconds(5000) } }).steps).toContainEqual(
      expect.objectContaining({ kind: "Issuing", issuerKeyID: ROOT, notAfter: START + 9000 }),
    );
  });

  it("rotates the root first when it is too near its end for a full issuing life", () => {
    const journal = changeSlot(journalOf(), ISSUING, { notAfter: seconds(START + 200) });
    const policy = { ...POLICY, issuingTTL: seconds(35_990) };
    expect(stepsOf(plan(100, journal, { policy }))).toEqual(["Prepare Root RootTooShort"]);
  });

  it("waits for that root no longer than 3/4 of the issuing certificate's life", () => {
    const base = prepared("Root", 17_990);
    const journal = changeSlot(base, ROOT, { notAfter: seconds(START + 20_000) });
    const short = { notBefore: seconds(START + 16_940), notAfter: seconds(START + 19_000) };
    const late = changeSlot(journal, ISSUING, short);
    expect(stepsOf(plan(18_400, late))).not.toContain("Prepare Issuing HalfLife");
    expect(stepsOf(plan(18_500, late))).toContain("Prepare Issuing HalfLife");
  });

  it("prepares an issuing certificate under a new root at once", () => {
    const journal = changeSlot(prepared("Root", 100, { state: "Active" }), ROOT, { state: "Retired" });
    expect(plan(200, journal).steps).toEqual([
      expect.objectContaining({ step: "Prepare", reason: "RootChanged", issuerKeyID: keyID("root2") }),
    ]);
  });

  it("honours a request by the rotation that is under way", () => {
    const input = { requests: { JWT: "again" } };
    expect(plan(1900, prepared("JWT", 1800), input).steps).toEqual([
      { step: "Honour", kind: "JWT", value: "again" },
    ]);
  });

  it("does not act twice on an honoured request", () => {
    expect(stepsOf(plan(10, journalOf({ honoured: { Root: "a" } }), { requests: { Root: "a" } }))).toEqual(
      [],
    );
  });

  it("keeps a request of any length short in the journal", () => {
    const [step] = plan(10, journalOf(), { requests: { JWT: "x".repeat(100_000) } }).steps;
    expect(JSON.stringify(step).length).toBeLessThan(500);
  });

  it("lets requests wait while too many retired keys are published, and the clock not", () => {
    let journal = journalOf();
    for (let n = 0; n < MAX_RETIRED_SLOTS; n++) {
      journal = withSlot(journal, `old${n}`, {
        kind: "JWT",
        state: "Retired",
        signedUntil: seconds(START + 3000),
      });
    }
    const waits = plan(10, journal, { requests: { JWT: "a" } });
    expect(stepsOf(waits)).toEqual([]);
    expect(waits.waiting).toContainEqual(
      expect.objectContaining({ kind: "JWT", keyID: JWT, until: START + 3061 }),
    );
    expect(stepsOf(plan(1800, journal, { requests: { JWT: "a" } }))).toEqual(["Prepare JWT HalfLife"]);
  });
});

describe("planRotation: activation", () => {
  const observed = { observedAt: seconds(START + 2000) };

  it.each([
    ["asks for a look before anything else", prepared("JWT", 1800), 1900, undefined, []],
    [
      "waits for a consumer that lacks the key",
      prepared("JWT", 1800),
      2600,
      seen({ jwt2: ["Secret shop/a"] }),
      [],
    ],
    ["records that every consumer carries it", prepared("JWT", 1800), 1900, HELD, ["Observe JWT"]],
    ["counts propagation from there: not yet", prepared("JWT", 1800, observed), 2599, HELD, []],
    ["counts propagation from there: now", prepared("JWT", 1800, observed), 2600, HELD, ["Activate JWT"]],
    [
      "does not activate what a consumer has lost again",
      prepared("JWT", 1800, observed),
      2650,
      seen({ jwt2: ["ConfigMap b/meshid-bundle"] }),
      [],
    ],
    [
      "does not activate on an observation of other keys",
      prepared("JWT", 1800, observed),
      2650,
      seen({ jwt1: [] }),
      [],
    ],
    [
      "waits no longer than 3/4 of the old life",
      prepared("JWT", 1800),
      2700,
      seen({ jwt2: ["Secret shop/a"] }),
      ["Activate JWT forced"],
    ],
    ["and is not forced before a look, which takes no time", prepared("JWT", 1800), 2759, undefined, []],
    ["but cannot wait for a look for ever", prepared("JWT", 1800), 2760, undefined, ["Activate JWT forced"]],
    [
      "gives a key that came late its propagation: not yet",
      prepared("JWT", 2650),
      3249,
      seen({ jwt2: ["Secret shop/a"] }),
      [],
    ],
    [
      "gives a key that came late its propagation: now",
      prepared("JWT", 2650),
      3250,
      seen({ jwt2: ["Secret shop/a"] }),
      ["Activate JWT forced"],
    ],
    [
      "leaves a process that came back some time to publish",
      { ...prepared("JWT", 1800), takenOverAt: seconds(START + 2690) },
      2700,
      seen({ jwt2: ["Secret shop/a"] }),
      [],
    ],
    [
      "but no more than 7/8 of the old life",
      { ...prepared("JWT", 1800), takenOverAt: seconds(START + 3100) },
      3150,
      seen({ jwt2: ["Secret shop/a"] }),
      ["Activate JWT forced"],
    ],
    [
      "skips propagation once the active key has expired",
      prepared("JWT", 3590, { observedAt: seconds(START + 3595) }),
      3600,
      HELD,
      ["Activate JWT"],
    ],
    [
      "does not skip the observation then",
      prepared("JWT", 3590),
      3600,
      seen({ jwt2: ["Secret shop/a"] }),
      [],
    ],
    [
      "looks for the root of an issuing certificate: waits for propagation",
      prepared("Issuing", 100),
      699,
      HELD,
      [],
    ],
    [
      "looks for the root of an issuing certificate: now",
      prepared("Issuing", 100),
      700,
      HELD,
      ["Activate Issuing"],
    ],
    [
      "does not sign under a root that a consumer lacks",
      prepared("Issuing", 100),
      700,
      seen({ root1: ["Secret shop/a"] }),
      [],
    ],
  ] as const)("%s", (...row) => {
    const [, journal, after, observation, expected] = row;
    const kind = journal.slots.at(-1)?.kind;
    const steps = stepsOf(plan(after, journal, { observation })).filter((step) =>
      step.includes(String(kind)),
    );
    expect(steps).toEqual(expected);
  });

  it("names the keys that must be looked for", () => {
    expect(plan(1900, prepared("JWT", 1800)).observe).toEqual([keyID("jwt2")]);
    expect(plan(200, prepared("Issuing", 100)).observe).toEqual([ROOT]);
  });

  it("names the consumers that it waits for, and when the wait ends", () => {
    const lacking = ["Secret a/1", "Secret b/2", "Secret c/3", "Secret d/4"];
    const { waiting, wakeAt } = plan(1900, prepared("JWT", 1800), { observation: seen({ jwt2: lacking }) });
    expect(waiting).toEqual([
      {
        kind: "JWT",
        keyID: keyID("jwt2"),
        for: "consumers",
        until: START + 2700,
        lacking,
        message: "4 consumers lack it: Secret a/1, Secret b/2, Secret c/3 and 1 more",
      },
    ]);
    expect(wakeAt).toBe(START + 1930);
  });

  it("says what was not waited for any longer", () => {
    const { steps } = plan(2700, prepared("JWT", 1800), { observation: seen({ jwt2: ["Secret a/1"] }) });
    expect(steps).toContainEqual(expect.objectContaining({ forced: expect.stringContaining("Secret a/1") }));
  });

  it.each([
    [
      "an issuing certificate of another root",
      changeSlot(prepared("Root", 100, { state: "Active" }), ROOT, { state: "Retired" }),
      200,
      {},
      "RootChanged",
    ],
    [
      "a key of an algorithm that is no longer wanted",
      journalOf(),
      200,
      { policy: { ...POLICY, jwtAlgorithm: "ES384" } },
      "AlgorithmChanged",
    ],
    ["a key that has waited for half of its life", journalOf(), 8000, {}, "TooOld"],
  ] as const)("gives up %s", (...row) => {
    const [, base, after, input, reason] = row;
    const kind = reason === "RootChanged" ? "Issuing" : "JWT";
    const issuer = kind === "Issuing" ? { issuerKeyID: ROOT } : {};
    const journal = withSlot(base, "given-up", { kind, ...issuer, notAfter: seconds(START + 7000) });
    expect(plan(after, journal, input).steps).toContainEqual({
      step: "Discard",
      kind,
      keyID: keyID("given-up"),
      reason,
    });
  });
});

describe("planRotation: removal", () => {
  const retired = (until: number): Journal =>
    withSlot(journalOf(), "old", { kind: "JWT", state: "Retired", signedUntil: seconds(START + until) });

  it.each([
    ["while what it signed may live, clock skew included", 560, []],
    ["no longer", 561, ["Remove JWT"]],
  ] as const)("keeps a retired key %s", (_, after, expected) => {
    expect(stepsOf(plan(after, retired(500)))).toEqual(expected);
  });

  it("wakes for the first removal", () => {
    expect(plan(10, retired(500)).wakeAt).toBe(START + 561);
  });

  it("keeps a retired root while a slot that it certified is there, and not for its certificate's sake", () => {
    const root2 = changeSlot(prepared("Root", 100, { state: "Active" }), ROOT, { state: "Retired" });
    expect(stepsOf(plan(30_000, root2))).not.toContain("Remove Root");
    const alone = changeSlot(root2, ISSUING, { issuerKeyID: keyID("root2") });
    expect(stepsOf(plan(200, alone))).toEqual(["Remove Root"]);
  });
});

describe("planRotation: clock", () => {
  it("decides nothing when the clock went back by more than clocks may differ", () => {
    const journal = journalOf({ savedAt: seconds(START + 5000) });
    expect(plan(4940, journal, { requests: { Root: "a" } }).fault).toBeUndefined();
    expect(plan(4939, journal, { requests: { Root: "a" } })).toMatchObject({
      steps: [],
      fault: { code: "ClockSkew", message: expect.stringContaining("set the clock") },
    });
  });

  it("wakes at half of the shortest life when nothing is to be done", () => {
    expect(plan(10).wakeAt).toBe(START + 1800);
  });

  it("replaces everything after a long absence, the root first", () => {
    expect(stepsOf(plan(40_000))).toEqual(["Prepare Root HalfLife", "Prepare JWT HalfLife"]);
  });
});
