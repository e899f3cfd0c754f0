import { describe, expect, it } from "@jest/globals";
import { activeSlot, type Journal } from "../../../src/authority/slot.ts";
import { applyStep, raiseSignedUntil, republish, takeOver } from "../../../src/authority/transitions.ts";
import { type Seconds, seconds } from "../../../src/core/brand.ts";
import type { CertificatePem } from "../../../src/x509/pem.ts";
import {
  certificatePem,
  changeSlot,
  fakeMaterial,
  JWT,
  journalOf,
  keyID,
  POLICY,
  ROOT,
  START,
  withSlot,
} from "../../support/authority-fakes.ts";

const NOW: Seconds = seconds(START + 1000);
const FOREIGN = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n" as CertificatePem;

const PREPARE_JWT = {
  step: "Prepare",
  kind: "JWT",
  reason: "HalfLife",
  algorithm: "ES256",
  notBefore: NOW,
  notAfter: seconds(NOW + 3600),
  honours: "please",
  made: fakeMaterial("JWT", "jwt2"),
} as const;

function signedUntil(journal: Journal | undefined): number {
  return (journal === undefined ? undefined : activeSlot(journal, "JWT"))?.signedUntil ?? Number.NaN;
}

function raise(journal: Journal, after: number): Journal | undefined {
  return raiseSignedUntil(journal, { keyID: JWT, end: seconds(START + after) }, NOW);
}

describe("raiseSignedUntil", () => {
  it("leaves room for what is signed next, in steps of 2 % of the life, no less than a minute", () => {
    // The life is 3660 s with its back-dating: 74 s a step.
    const raised = raise(journalOf(), 1200);
    expect(signedUntil(raised)).toBe(START - 60 + 18 * 74);
    expect(raised === undefined ? "" : raise(raised, 1272)).toBeUndefined();
  });

  it("never allows more than the life of the slot", () => {
    expect(signedUntil(raise(journalOf(), 3600))).toBe(START + 3600);
    expect(() => raise(journalOf(), 3601)).toThrow(TypeError);
  });

  it("raises nothing for a slot that signs no more", () => {
    const retired = withSlot(journalOf(), "old", { kind: "JWT", state: "Retired" });
    const end = seconds(START + 100);
    expect(raiseSignedUntil(retired, { keyID: keyID("old"), end }, NOW)).toBeUndefined();
  });
});

describe("applyStep", () => {
  it("publishes a prepared key under a new sequence, and an activation changes nothing that is published", () => {
    const prepared = applyStep(journalOf(), PREPARE_JWT, NOW);
    expect(prepared).toMatchObject({
      revision: 2,
      savedAt: NOW,
      bundle: { sequence: 2, publishedAt: NOW },
      honoured: { JWT: "please" },
    });
    const active =
      prepared && applyStep(prepared, { step: "Activate", kind: "JWT", keyID: keyID("jwt2") }, NOW);
    expect(active?.bundle).toEqual(prepared?.bundle);
    expect(active?.slots.map(({ state }) => state)).toEqual(["Active", "Active", "Retired", "Active"]);
  });

  it.each([
    [
      "a second preparation",
      {
        step: "Prepare",
        kind: "JWT",
        reason: "HalfLife",
        algorithm: "ES256",
        notBefore: NOW,
        notAfter: seconds(NOW + 9),
        made: fakeMaterial("JWT", "jwt3"),
      },
    ],
    [
      "a certificate of a root that is not active",
      {
        step: "Prepare",
        kind: "Issuing",
        reason: "HalfLife",
        algorithm: "ECDSA-P256",
        notBefore: NOW,
        notAfter: seconds(NOW + 9),
        issuerKeyID: keyID("gone"),
        made: fakeMaterial("Issuing", "i"),
      },
    ],
    ["an activation of the active", { step: "Activate", kind: "JWT", keyID: JWT }],
    ["a removal of the active", { step: "Remove", kind: "JWT", keyID: JWT }],
    ["a removal of a root in use", { step: "Remove", kind: "Root", keyID: ROOT }],
    ["a removal of what is gone", { step: "Remove", kind: "JWT", keyID: keyID("gone") }],
    ["a second observation", { step: "Observe", kind: "JWT", keyID: keyID("jwt2") }],
  ] as const)("does not apply %s", (_, step) => {
    const journal = withSlot(journalOf(), "jwt2", { kind: "JWT", observedAt: NOW });
    expect(applyStep(journal, step, NOW)).toBeUndefined();
  });
});

describe("applyStep with cross certificates", () => {
  const cross = { issuerKeyID: ROOT, notAfter: seconds(START + 500), certificate: certificatePem("cross") };
  /** root1 is retired and vouches for root2, which is active. */
  const crossed = (): Journal => {
    const next = withSlot(journalOf(), "root2", { kind: "Root", state: "Active", crossCertificate: cross });
    return changeSlot(next, ROOT, { state: "Retired" });
  };
  const crosses = (journal: Journal | undefined): readonly unknown[] | undefined =>
    journal?.slots.flatMap(({ crossCertificate }) => crossCertificate ?? []);
  const prepared = {
    step: "Prepare",
    kind: "Root",
    reason: "Requested",
    algorithm: "ECDSA-P256",
    notBefore: NOW,
    notAfter: seconds(NOW + 3600),
  } as const;

  it("takes one by the active root, and none by a root that signs no more", () => {
    const made = { ...fakeMaterial("Root", "root3"), crossCertificate: cross };
    expect(crosses(applyStep(journalOf(), { ...prepared, made }, NOW))).toEqual([cross]);
    expect(applyStep(crossed(), { ...prepared, made }, NOW)).toBeUndefined();
  });

  it("drops what a root has signed that comes back as someone else's", () => {
    const step = { ...prepared, external: ROOT, made: fakeMaterial("Root", "root1") };
    expect(crosses(crossed())).toEqual([cross]);
    expect(crosses(applyStep(crossed(), step, NOW))).toEqual([]);
  });

  it("drops what was said of a root that someone else has certified anew", () => {
    const life = { notBefore: NOW, notAfter: seconds(START + 36_000) };
    const certificate = certificatePem("by someone else");
    const step = { step: "Recertify", kind: "Root", keyID: keyID("root2"), certificate, ...life } as const;
    expect(crosses(applyStep(crossed(), step, NOW))).toEqual([]);
  });
});

describe("takeOver", () => {
  it("raises the epoch and gives up prepared keys that are gone, no others", () => {
    const journal = applyStep(journalOf(), PREPARE_JWT, NOW) ?? journalOf();
    const taken = takeOver(journal, [keyID("jwt2"), JWT], NOW);
    expect(taken).toMatchObject({ epoch: 2, takenOverAt: NOW, revision: 3, bundle: { sequence: 3 } });
    expect(taken.slots.map(({ keyID }) => keyID)).toEqual(journalOf().slots.map(({ keyID }) => keyID));
  });
});

describe("republish", () => {
  it("raises the sequence for a foreign root once", () => {
    const publication = { refreshHint: POLICY.refreshHint, additionalRoots: [FOREIGN] };
    const after = republish(journalOf(), publication, NOW);
    expect(after?.bundle).toMatchObject({ sequence: 2, additionalRoots: [FOREIGN] });
    expect(after && republish(after, publication, NOW)).toBeUndefined();
  });
});
