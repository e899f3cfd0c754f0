import { describe, expect, it } from "@jest/globals";
import type { ExternalAuthority, ExternalCertificate } from "../../../src/authority/external-authority.ts";
import { decodeJournal, encodeJournal } from "../../../src/authority/journal.ts";
import { planRotation } from "../../../src/authority/rotation.ts";
import type {
  ExternalSource,
  RotationInput,
  RotationPlan,
  RotationPolicy,
} from "../../../src/authority/rotation-plan.ts";
import type { JournalStep, MadeStep } from "../../../src/authority/rotation-step.ts";
import { activeSlot, type Journal, type Slot } from "../../../src/authority/slot.ts";
import { applyStep, republish } from "../../../src/authority/transitions.ts";
import { seconds } from "../../../src/core/brand.ts";
import { keyIdOf } from "../../../src/x509/keys.ts";
import {
  certificatePem,
  changeSlot,
  fakeMaterial,
  ISSUING,
  JWT,
  journalOf,
  keyID,
  POLICY,
  ROOT,
  START,
  withSlot,
} from "../../support/authority-fakes.ts";
import { makePki } from "../../support/certificates.ts";

const NOW = seconds(START + 100);
const PLACE = "Secret meshid-system/byo-ca";

/** What a CA from elsewhere has given. */
function brought(root: string): NonNullable<ExternalSource["authority"]> {
  const life = { notBefore: START, notAfter: seconds(START + 90_000), algorithm: "RSA-4096" } as const;
  const certificate = (name: string): ExternalCertificate => {
    const { publicKey } = fakeMaterial("Root", name);
    return { keyID: keyID(name), publicKey, certificate: certificatePem(name), ...life };
  };
  return { root: certificate(root), issuing: { ...certificate(`${root}i`), intermediates: [] } };
}

function plan(distrusted: readonly string[], input: Partial<RotationInput> = {}): RotationPlan {
  return planRotation({
    journal: journalOf(),
    now: NOW,
    policy: POLICY,
    observation: undefined,
    requests: {},
    distrusted: new Set(distrusted),
    ...input,
  });
}

/** `journal` with the first step of `plan` carried out; new keys are called `new1`, `new2`. */
function carriedOut(journal: Journal, { steps }: RotationPlan): Journal {
  const [step] = steps;
  if (step?.step !== "Distrust") throw new TypeError("no step to distrust");
  const replacements: MadeStep[] = [];
  for (const one of step.replacements) {
    const made = fakeMaterial(one.kind, `new${replacements.length + 1}`);
    const issuerKeyID = one.issuerKeyID ?? (one.kind === "Issuing" ? keyID("new1") : undefined);
    replacements.push({ ...one, ...(issuerKeyID === undefined ? {} : { issuerKeyID }), made });
  }
  const full: JournalStep = { ...step, replacements };
  const after = applyStep(journal, full, NOW);
  if (after === undefined) throw new TypeError("the step does not apply");
  return after;
}

function slotsOf({ slots }: Journal): readonly string[] {
  return slots.map(
    ({ kind, state, keyID: id }) =>
      `${kind} ${state} ${Buffer.from(id, "hex").toString().replace(/\0+$/, "")}`,
  );
}

describe("planRotation with a key that was stolen", () => {
  it("replaces the active root and everything under it at once", () => {
    const made = plan([ROOT]);
    expect(made.steps).toMatchObject([
      {
        step: "Distrust",
        kind: "Root",
        keyIDs: [ROOT],
        replacements: [
          { kind: "Root", reason: "Distrusted" },
          { kind: "Issuing", reason: "Distrusted" },
        ],
      },
    ]);
    const after = carriedOut(journalOf(), made);
    expect(slotsOf(after)).toEqual(["JWT Active jwt1", "Root Active new1", "Issuing Active new2"]);
    expect(activeSlot(after, "Issuing")?.issuerKeyID).toBe(keyID("new1"));
    expect(after.bundle.sequence).toBe(2);
    expect(after.distrusted).toEqual([{ kind: "Root", keyID: ROOT, at: NOW }]);
  });

  it("replaces the active JWT key and leaves the certificates alone", () => {
    const after = carriedOut(journalOf(), plan([JWT]));
    expect(slotsOf(after)).toEqual(["Root Active root1", "Issuing Active issuing1", "JWT Active new1"]);
  });

  it("gives up the prepared key beside it, which may have been stolen too and has signed nothing", () => {
    const journal = withSlot(journalOf(), "jwt2", { kind: "JWT" });
    const after = carriedOut(journal, plan([JWT], { journal }));
    expect(slotsOf(after)).not.toContain("JWT Prepared jwt2");
    // The one that was named first.
    expect(after.distrusted?.map((one) => one.keyID)).toEqual([JWT, keyID("jwt2")]);
  });

  it("keeps a retired root that nobody named, with what it has signed", () => {
    const journal = withSlot(journalOf(), "old", { kind: "Root", state: "Retired" });
    expect(slotsOf(carriedOut(journal, plan([ROOT], { journal })))).toContain("Root Retired old");
  });

  it("drops a retired root alone, as long as nothing active is under it", () => {
    const journal = withSlot(journalOf(), "old", { kind: "Root", state: "Retired" });
    const after = carriedOut(journal, plan([keyID("old")], { journal }));
    expect(slotsOf(after)).toEqual(["Root Active root1", "Issuing Active issuing1", "JWT Active jwt1"]);
  });

  it("makes a new issuing certificate where the active one is under a retired root that was stolen", () => {
    const next = withSlot(journalOf(), "root2", { kind: "Root", state: "Active" });
    const journal = changeSlot(next, ROOT, { state: "Retired" });
    const after = carriedOut(journal, plan([ROOT], { journal }));
    expect(slotsOf(after)).toEqual(["JWT Active jwt1", "Root Active root2", "Issuing Active new1"]);
    expect(activeSlot(after, "Issuing")?.issuerKeyID).toBe(keyID("root2"));
  });

  it("does so under the root that is active, not under one that was brought to follow it", () => {
    const next = withSlot(journalOf(), "root2", { kind: "Root", state: "Active" });
    const journal = changeSlot(next, ROOT, { state: "Retired" });
    const life = {
      notBefore: seconds(START - 60),
      notAfter: seconds(START + 9000),
      algorithm: "RSA-2048",
    } as const;
    const made = (kind: "Root" | "Issuing", name: string): ExternalAuthority["root"] => ({
      ...(fakeMaterial(kind, name) as ExternalAuthority["root"]),
      ...life,
    });
    const authority = {
      root: made("Root", "ext"),
      issuing: { ...made("Issuing", "sub"), intermediates: [] },
    };
    const policy: RotationPolicy = {
      ...POLICY,
      external: { place: "Secret meshid-system/byo-ca", authority },
    };
    const after = carriedOut(journal, plan([ROOT], { journal, policy }));
    expect(slotsOf(after)).toEqual(["JWT Active jwt1", "Root Active root2", "Issuing Active new1"]);
    expect(decodeJournal(encodeJournal(after))).toEqual(after);
  });

  it("leaves what signs alone where it is under the former root, which nobody named", () => {
    const next = withSlot(journalOf(), "root2", { kind: "Root", state: "Active" });
    const journal = changeSlot(next, ROOT, { state: "Retired" });
    const after = carriedOut(journal, plan([keyID("root2")], { journal }));
    expect(slotsOf(after)).toEqual([
      "Root Retired root1",
      "Issuing Active issuing1",
      "JWT Active jwt1",
      "Root Active new1",
    ]);
  });

  it("comes before everything else, the policy's pause too", () => {
    const policy: RotationPolicy = { ...POLICY, holdAt: () => ({ reason: "Paused", message: "paused" }) };
    expect(plan([JWT], { policy, now: seconds(START + 3000) }).steps).toHaveLength(1);
  });

  it.each([
    ["a key that nobody knows", ["ab".repeat(20)]],
    ["an issuing key, which only its root can take along", [ISSUING]],
    ["nothing", []],
  ])("does nothing for %s", (_, distrusted) => {
    expect(plan(distrusted).steps).toEqual([]);
  });

  it("does nothing on a clock that went back", () => {
    expect(plan([ROOT], { now: seconds(START - 3600) })).toMatchObject({
      steps: [],
      fault: { code: "ClockSkew" },
    });
  });

  it("does nothing twice", () => {
    const after = carriedOut(journalOf(), plan([ROOT]));
    expect(plan([ROOT], { journal: after }).steps).toEqual([]);
  });

  it("takes along the roots that have vouched for it, one after the other: the thief has what they said", () => {
    const cross = (by: string, notAfter = seconds(START + 3000)): Partial<Slot> => ({
      crossCertificate: { issuerKeyID: keyID(by), certificate: certificatePem(`by ${by}`), notAfter },
    });
    const oldest = withSlot(journalOf(), "root0", { kind: "Root", state: "Retired" });
    const next = withSlot(oldest, "root2", { kind: "Root", state: "Active", ...cross("root1") });
    const journal = changeSlot(next, ROOT, { state: "Retired", ...cross("root0") });
    const stolen = keyID("root2");
    const after = carriedOut(journal, plan([stolen], { journal }));
    // What signs was under one that went along.
    expect(slotsOf(after)).toEqual(["JWT Active jwt1", "Root Active new1", "Issuing Active new2"]);
    expect(after.distrusted?.map((one) => one.keyID)).toEqual([stolen, ROOT, keyID("root0")]);
    const ended = changeSlot(journal, stolen, cross("root1", seconds(NOW - 61)));
    expect(slotsOf(carriedOut(ended, plan([stolen], { journal: ended })))).toContain("Root Retired root1");
  });

  it("waits, and says so, where the root is someone else's and no other was brought", () => {
    const policy: RotationPolicy = { ...POLICY, external: { place: "Secret meshid-system/byo-ca" } };
    const { steps, waiting } = plan([ROOT], { policy });
    expect(steps).toEqual([]);
    expect(waiting).toContainEqual(
      expect.objectContaining({
        kind: "Root",
        for: "policy",
        message: expect.stringContaining("put another CA into Secret meshid-system/byo-ca"),
      }),
    );
  });

  it("takes the CA that was brought already, although its root is prepared by then", () => {
    const journal = withSlot(changeSlot(journalOf(), ROOT, { external: true }), "next", {
      kind: "Root",
      external: true,
    });
    const policy: RotationPolicy = { ...POLICY, external: { place: PLACE, authority: brought("next") } };
    const after = carriedOut(journal, plan([ROOT], { journal, policy }));
    expect(slotsOf(after)).toEqual(["JWT Active jwt1", "Root Active new1", "Issuing Active new2"]);
    expect(after.distrusted).toEqual([{ kind: "Root", keyID: ROOT, at: NOW }]);
  });

  it("waits where another root was brought with the issuing key of before, which may be the one that was stolen", () => {
    const journal = changeSlot(journalOf(), ROOT, { external: true });
    const authority = brought("next");
    const issuing = { ...authority.issuing, keyID: ISSUING };
    const policy: RotationPolicy = {
      ...POLICY,
      external: { place: PLACE, authority: { ...authority, issuing } },
    };
    const { steps, waiting } = plan([ROOT], { journal, policy });
    expect(steps.filter(({ step }) => step === "Distrust")).toEqual([]);
    expect(waiting).toContainEqual(
      expect.objectContaining({
        kind: "Root",
        message: expect.stringContaining("with another key in tls.key"),
      }),
    );
  });

  it("is not taken back from the CA that brings it again, whatever is asked for by then", () => {
    const after = carriedOut(journalOf(), plan([ROOT]));
    const policy: RotationPolicy = { ...POLICY, external: { place: PLACE, authority: brought("root1") } };
    for (const distrusted of [[], [ROOT]]) {
      const { steps, waiting } = plan(distrusted, { journal: after, policy });
      expect(steps).toEqual([]);
      expect(waiting).toContainEqual(
        expect.objectContaining({ kind: "Root", message: expect.stringContaining("not to be trusted") }),
      );
    }
  });

  it("stands in no bundle as a root beside the others either", async () => {
    const { root } = await makePki();
    const other = (await makePki()).root;
    const additionalRoots = [root.pem(), other.pem()];
    const stolen = keyIdOf(root.publicKey);
    const named = changeSlot(journalOf(), ROOT, { keyID: stolen });
    const journal: Journal = {
      ...changeSlot(named, ISSUING, { issuerKeyID: stolen }),
      bundle: { ...named.bundle, additionalRoots },
    };
    const after = carriedOut(journal, plan([stolen], { journal }));
    expect(after.bundle.additionalRoots).toEqual([other.pem()]);
    const { refreshHint } = after.bundle;
    expect(republish(after, { refreshHint, additionalRoots }, NOW)).toBeUndefined();
  });

  it("remembers the latest eight", () => {
    let journal = journalOf();
    for (let n = 0; n < 10; n++) {
      const active = activeSlot(journal, "JWT")?.keyID ?? JWT;
      journal = carriedOut(journal, plan([active], { journal }));
      journal = changeSlot(journal, keyID("new1"), { keyID: keyID(`k${n}`) });
    }
    expect(journal.distrusted).toHaveLength(8);
    expect(journal.distrusted?.at(-1)?.keyID).toBe(keyID("k8"));
  });
});
