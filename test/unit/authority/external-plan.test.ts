import { describe, expect, it } from "@jest/globals";
import type { ExternalAuthority, ExternalCertificate } from "../../../src/authority/external-authority.ts";
import { findFault } from "../../../src/authority/journal-rules.ts";
import { MAX_RETIRED_SLOTS } from "../../../src/authority/limits.ts";
import { planRotation } from "../../../src/authority/rotation.ts";
import type { Observation, RotationInput, RotationPlan } from "../../../src/authority/rotation-plan.ts";
import type { JournalStep } from "../../../src/authority/rotation-step.ts";
import { activeSlot, type Journal } from "../../../src/authority/slot.ts";
import { applyStep } from "../../../src/authority/transitions.ts";
import { seconds } from "../../../src/core/brand.ts";
import type { KeyId } from "../../../src/x509/keys.ts";
import {
  certificatePem,
  changeSlot,
  fakeMaterial,
  ISSUING,
  journalOf,
  keyID,
  POLICY,
  ROOT,
  START,
  withSlot,
} from "../../support/authority-fakes.ts";

type Source = Pick<ExternalAuthority, "root" | "issuing">;

const PLACE = "Secret meshid-system/byo-ca";

function certificate(
  kind: "Root" | "Issuing",
  name: string,
  changes: Partial<ExternalCertificate> = {},
): ExternalCertificate {
  const { publicKey } = fakeMaterial(kind, name);
  return {
    keyID: keyID(name),
    algorithm: "RSA-4096",
    publicKey,
    certificate: certificatePem(name),
    notBefore: seconds(START - 100),
    notAfter: seconds(START + 90_000),
    ...changes,
  };
}

function source(
  root: string,
  issuing: string,
  changes: Partial<ExternalCertificate> = {},
  intermediates: Source["issuing"]["intermediates"] = [],
): Source {
  return {
    root: certificate("Root", root),
    issuing: { ...certificate("Issuing", issuing, changes), intermediates },
  };
}

/** Everybody has everything. */
const HELD: Observation = {
  consumers: 1,
  lacking: new Map(["root1", "a", "b"].map((name): [KeyId, readonly string[]] => [keyID(name), []])),
};

function plan(
  authority: Source | undefined,
  { journal = journalOf(), now = seconds(START + 10), ...input }: Partial<RotationInput> = {},
): RotationPlan {
  const external = { place: PLACE, authority };
  const policy = { ...POLICY, external };
  return planRotation({ journal, now, policy, observation: HELD, requests: {}, ...input });
}

function stepsOf({ steps }: RotationPlan): readonly string[] {
  return steps.map((step) => `${step.step} ${step.kind}${"reason" in step ? ` ${step.reason}` : ""}`);
}

/** Carries out all that is due, round after round, with some minutes between. */
function settled(authority: Source, journal: Journal): Journal {
  let current = journal;
  for (let n = 0; n < 10; n++) {
    const now = seconds(START + 10 + n * 700);
    const { steps } = plan(authority, { journal: current, now });
    for (const step of steps.filter(({ kind }) => kind !== "JWT")) {
      const found = step.kind === "Root" ? authority.root : authority.issuing;
      const { keyID: id, publicKey, certificate: pem } = found;
      const made = { keyID: id, publicKey, certificate: pem };
      const full = (step.step === "Prepare" ? { ...step, made } : step) as JournalStep;
      current = applyStep(current, full, now) ?? current;
    }
  }
  return current;
}

function keysOf(journal: Journal): readonly string[] {
  return journal.slots
    .filter(({ kind }) => kind !== "JWT")
    .map(({ kind, state, keyID: id }) => {
      return `${kind} ${state} ${Buffer.from(id, "hex").toString().replaceAll("\0", "")}`;
    });
}

describe("planRotation with a CA from elsewhere", () => {
  it("publishes its root first, and nothing under it", () => {
    expect(stepsOf(plan(source("a", "a1")))).toEqual(["Prepare Root SourceChanged"]);
    expect(plan(source("a", "a1")).steps).toMatchObject([{ external: keyID("a"), algorithm: "RSA-4096" }]);
  });

  it("comes to sign with it, and keeps the former root as long as it is needed", () => {
    const used = changeSlot(journalOf(), ISSUING, { signedUntil: seconds(START + POLICY.issuingTTL) });
    expect(keysOf(settled(source("a", "a1"), used)).toSorted()).toEqual([
      "Issuing Active a1",
      "Issuing Retired issuing1",
      "Root Active a",
      "Root Retired root1",
    ]);
  });

  it("goes on renewing under its own root while nothing was brought that can be used", () => {
    expect(stepsOf(plan(undefined, { now: seconds(START + 3700) }))).toContain("Prepare Issuing HalfLife");
  });

  describe("that is in use", () => {
    const inUse = settled(source("a", "a1"), journalOf());
    const now = seconds(START + 20_000);
    /** JWT keys go their own way. */
    const due = (authority: Source | undefined, input: Partial<RotationInput> = {}): readonly string[] =>
      stepsOf(plan(authority, { journal: inUse, now, ...input })).filter((step) => !step.includes("JWT"));

    it("stays at rest, past half of its life too", () => {
      expect(due(source("a", "a1"))).not.toContainEqual(expect.stringMatching(/^(Prepare|Recertify)/));
      const late = { now: seconds(START + 80_000) };
      expect(due(source("a", "a1"), late)).not.toContainEqual(expect.stringMatching(/^(Prepare|Recertify)/));
    });

    it("is followed to a new key under the same root", () => {
      expect(due(source("a", "a2"))).toContain("Prepare Issuing SourceChanged");
    });

    it("is followed to a new root, whose issuing certificate waits for it", () => {
      expect(due(source("b", "b1"))).toContain("Prepare Root SourceChanged");
      expect(due(source("b", "b1"))).not.toContainEqual(expect.stringContaining("Issuing"));
    });

    it("is not followed to ever more keys while those before are published, unless its own life is short by then", () => {
      let crowded = inUse;
      for (let n = 0; n < MAX_RETIRED_SLOTS; n++)
        crowded = withSlot(crowded, `old${n}`, { kind: "Root", state: "Retired" });
      const made = plan(source("b", "b1"), { journal: crowded, now });
      expect(stepsOf(made)).not.toContain("Prepare Root SourceChanged");
      expect(made.waiting).toContainEqual(
        expect.objectContaining({
          kind: "Root",
          message: expect.stringContaining("another key was brought"),
        }),
      );
      expect(due(source("b", "b1"), { journal: crowded, now: seconds(START + 80_000) })).toContain(
        "Prepare Root SourceChanged",
      );
    });

    it("takes a new certificate of the same key at once: nobody has to learn a key", () => {
      const renewed = { certificate: certificatePem("renewed"), notAfter: seconds(START + 180_000) };
      expect(due(source("a", "a1", renewed))).toContain("Recertify Issuing");
    });

    it("takes other intermediates at once", () => {
      expect(due(source("a", "a1", {}, [certificatePem("between")]))).toContain("Recertify Issuing");
    });

    it("does not take a certificate that ends before something that was signed", () => {
      const issuing = activeSlot(inUse, "Issuing");
      const signed = changeSlot(inUse, issuing?.keyID ?? ISSUING, { signedUntil: seconds(START + 60_000) });
      const shorter = { certificate: certificatePem("shorter"), notAfter: seconds(START + 50_000) };
      const made = plan(source("a", "a1", shorter), { journal: signed, now });
      expect(stepsOf(made)).not.toContain("Recertify Issuing");
      expect(made.waiting).toContainEqual(
        expect.objectContaining({
          kind: "Issuing",
          for: "policy",
          message: expect.stringContaining("ends before"),
        }),
      );
    });

    it("goes on while what was brought cannot be used", () => {
      expect(due(undefined)).not.toContainEqual(expect.stringMatching(/^(Prepare|Discard|Recertify)/));
    });

    it("cannot be rotated by a request, and says what to do instead", () => {
      const made = plan(source("a", "a1"), { journal: inUse, now, requests: { Root: "x" } });
      expect(made.waiting).toContainEqual(
        expect.objectContaining({
          kind: "Root",
          message: expect.stringContaining(`put another CA into ${PLACE}`),
        }),
      );
      expect(stepsOf(made)).not.toContain("Honour Root");
    });

    it("gives way to a root of its own once that is asked for again", () => {
      const made = planRotation({ journal: inUse, now, policy: POLICY, observation: HELD, requests: {} });
      expect(stepsOf(made)).toContain("Prepare Root SourceChanged");
      // Under someone else's root it could certify nothing.
      expect(stepsOf(made)).not.toContainEqual(expect.stringMatching(/^Prepare Issuing/));
    });

    it("does not come back to a root by a certificate that ends before what that has certified", () => {
      const second = settled(source("b", "b1"), inUse);
      const back = source("a", "a1");
      expect(stepsOf(plan(back, { journal: second, now }))).toContain("Prepare Root SourceChanged");
      const shorter = { ...back, root: certificate("Root", "a", { notAfter: seconds(START + 80_000) }) };
      const made = plan(shorter, { journal: second, now });
      expect(stepsOf(made)).not.toContain("Prepare Root SourceChanged");
      expect(made.waiting).toContainEqual(
        expect.objectContaining({ kind: "Root", message: expect.stringContaining("was brought again") }),
      );
    });

    it("comes back to a key that it had given up, which is then retired once more where it changes again", () => {
      const second = settled(source("b", "b1"), inUse);
      const retired = second.slots.find(({ keyID: id }) => id === keyID("a"));
      expect(retired?.state).toBe("Retired");
      const back = applyStep(
        second,
        {
          step: "Prepare",
          kind: "Root",
          reason: "SourceChanged",
          external: keyID("a"),
          algorithm: "RSA-4096",
          notBefore: seconds(START - 100),
          notAfter: seconds(START + 90_000),
          made: {
            keyID: keyID("a"),
            publicKey: fakeMaterial("Root", "a").publicKey,
            certificate: certificatePem("a"),
          },
        },
        now,
      );
      if (back === undefined) throw new TypeError("it does not come back");
      const again = back.slots.find(({ keyID: id }) => id === keyID("a"));
      expect(again).toMatchObject({ state: "Prepared", signedUntil: retired?.signedUntil });
      // What it has certified in its earlier life stands there still: the journal must be one that can be read again.
      expect(back.slots).toContainEqual(expect.objectContaining({ issuerKeyID: keyID("a") }));
      expect(findFault(back)).toBeUndefined();
      const given = applyStep(
        back,
        { step: "Discard", kind: "Root", keyID: keyID("a"), reason: "SourceChanged" },
        now,
      );
      expect(given?.slots.find(({ keyID: id }) => id === keyID("a"))?.state).toBe("Retired");
    });
  });

  it("never prepares a key that is in use already", () => {
    const made = plan(source("root1", "issuing1"));
    expect(stepsOf(made)).not.toContainEqual(expect.stringMatching(/^Prepare/));
    expect(keyID("root1")).toBe(ROOT);
  });
});
