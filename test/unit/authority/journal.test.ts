import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { decodeJournal, encodeJournal, requireOwn } from "../../../src/authority/journal.ts";
import type { CrossCertificate, Journal, Slot } from "../../../src/authority/slot.ts";
import { seconds } from "../../../src/core/brand.ts";
import { OperatorError } from "../../../src/core/errors.ts";
import {
  certificatePem,
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
import { refusalOf } from "../../support/errors.ts";

type Json = Record<string, unknown>;

const TEXT = encodeJournal(journalOf());

/** The journal's text after a change of its JSON. */
function edited(change: (json: Json, slots: Json[], bundle: Json) => void): string {
  const json = JSON.parse(TEXT) as Json;
  change(json, json["slots"] as Json[], json["bundle"] as Json);
  return JSON.stringify(json);
}

function crossed(changes: Partial<CrossCertificate>): Pick<Slot, "crossCertificate"> {
  const certificate = certificatePem("a cross certificate");
  const base = { issuerKeyID: keyID("root0"), notAfter: seconds(START + 5), certificate };
  return { crossCertificate: { ...base, ...changes } };
}

describe("decodeJournal", () => {
  it("reads what encodeJournal wrote, however it is laid out", () => {
    const observed = { kind: "JWT", observedAt: seconds(START + 5) } as const;
    const journal = withSlot(journalOf({ honoured: { JWT: "2026-11-24" } }), "jwt2", observed);
    const text = encodeJournal(journal);
    expect(decodeJournal(text)).toEqual(journal);
    expect(decodeJournal(JSON.stringify(JSON.parse(text)))).toEqual(journal);
  });

  it("reads a cross certificate back, of a root that is gone too", () => {
    const journal = changeSlot(journalOf(), ROOT, crossed({}));
    expect(decodeJournal(encodeJournal(journal))).toEqual(journal);
  });

  it.each([
    ["empty", "", "JOURNAL_CORRUPT journal"],
    ["null", "null", "JOURNAL_CORRUPT journal"],
    ["an array", "[]", "JOURNAL_CORRUPT journal"],
    ["over 1 MiB", `${TEXT}${" ".repeat(1_100_000)}`, "JOURNAL_CORRUPT journal"],
    [
      "with a member twice",
      TEXT.replace('"epoch": 1,', '"epoch": 1, "epoch": 1,'),
      "JOURNAL_CORRUPT journal",
    ],
    ["without a version", edited((json) => delete json["version"]), "JOURNAL_CORRUPT version"],
    ["of a version of old", edited((json) => (json["version"] = 0)), "JOURNAL_CORRUPT version"],
    ["of a later version, whatever else is new", '{"version": 2}', "JOURNAL_VERSION_UNSUPPORTED undefined"],
    ["with an unknown member", edited((json) => (json["more"] = 1)), 'JOURNAL_CORRUPT "more"'],
    ["without slots", edited((json) => delete json["slots"]), "JOURNAL_CORRUPT slots"],
    ["with a fraction of a second", edited((json) => (json["savedAt"] = 1.5)), "JOURNAL_CORRUPT savedAt"],
    ["of epoch zero", edited((json) => (json["epoch"] = 0)), "JOURNAL_CORRUPT epoch"],
    [
      "with a revision beyond 2^53",
      TEXT.replace('"revision": 1', '"revision": 9007199254740993'),
      "JOURNAL_CORRUPT revision",
    ],
    ["with a bad hash", edited((_, __, bundle) => (bundle["hash"] = "00")), "JOURNAL_CORRUPT bundle.hash"],
    [
      "with a bad key ID",
      edited((_, slots) => (slots[1]!["keyID"] = "AA")),
      "JOURNAL_CORRUPT slots[1].keyID",
    ],
    [
      "with an unknown kind",
      edited((_, slots) => (slots[0]!["kind"] = "toString")),
      "JOURNAL_CORRUPT slots[0].kind",
    ],
    [
      "with an unknown state",
      edited((_, slots) => (slots[0]!["state"] = "Gone")),
      "JOURNAL_CORRUPT slots[0].state",
    ],
    [
      "with an algorithm of another kind",
      edited((_, slots) => (slots[2]!["algorithm"] = "ECDSA-P256")),
      "JOURNAL_CORRUPT slots[2].algorithm",
    ],
    [
      "with a private key in the place of a public one",
      edited(
        (_, slots) =>
          (slots[2]!["publicKey"] = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"),
      ),
      "JOURNAL_CORRUPT slots[2].publicKey",
    ],
    [
      "with an unknown member of a slot",
      edited((_, slots) => (slots[2]!["x"] = 1)),
      'JOURNAL_CORRUPT slots[2]."x"',
    ],
    [
      "with an unknown kind of request",
      edited((json) => (json["honoured"] = { Leaf: "a" })),
      'JOURNAL_CORRUPT honoured."Leaf"',
    ],
    [
      "changed without its checksum",
      edited((json) => (json["issuer"] = "https://evil.example")),
      "JOURNAL_CORRUPT checksum",
    ],
    ["without its checksum", edited((json) => delete json["checksum"]), "JOURNAL_CORRUPT checksum"],
  ])("refuses a journal %s", (_, text, refusal) => {
    expect(refusalOf(() => decodeJournal(text))).toBe(refusal);
  });

  it.each([
    ["no active root", changeSlot(journalOf(), ROOT, { state: "Retired" }), "slots"],
    ["two active JWT keys", withSlot(journalOf(), "jwt2", { kind: "JWT", state: "Active" }), "slots"],
    [
      "two prepared JWT keys",
      withSlot(withSlot(journalOf(), "a", { kind: "JWT" }), "b", { kind: "JWT" }),
      "slots",
    ],
    ["one key twice", withSlot(journalOf(), "jwt1", { kind: "JWT" }), "slots[3].keyID"],
    [
      "a life that ends before it begins",
      changeSlot(journalOf(), JWT, { notBefore: seconds(START + 9000) }),
      "slots[2].notAfter",
    ],
    [
      "signatures that outlive their key",
      changeSlot(journalOf(), JWT, { signedUntil: seconds(START + 3601) }),
      "slots[2].signedUntil",
    ],
    [
      "an issuing certificate that outlives its root",
      changeSlot(journalOf(), ROOT, { notAfter: seconds(START + 60), signedUntil: START }),
      "slots[1].notAfter",
    ],
    [
      "an issuing certificate that its root did not account for",
      changeSlot(journalOf(), ROOT, { signedUntil: START }),
      "slots[1].notAfter",
    ],
    [
      "an issuing certificate of no root",
      changeSlot(journalOf(), ISSUING, { issuerKeyID: JWT }),
      "slots[1].issuerKeyID",
    ],
    [
      "a cross certificate of no root",
      changeSlot(journalOf(), ISSUING, crossed({})),
      "slots[1].crossCertificate",
    ],
    [
      "a cross certificate of someone else's root",
      changeSlot(journalOf(), ROOT, { ...crossed({}), external: true }),
      "slots[0].crossCertificate",
    ],
    [
      "a root that vouches for itself",
      changeSlot(journalOf(), ROOT, crossed({ issuerKeyID: ROOT })),
      "slots[0].crossCertificate.issuerKeyID",
    ],
    [
      "a cross certificate by what is no root",
      changeSlot(journalOf(), ROOT, crossed({ issuerKeyID: ISSUING })),
      "slots[0].crossCertificate.issuerKeyID",
    ],
    [
      "a cross certificate that outlives its root",
      changeSlot(journalOf(), ROOT, crossed({ notAfter: seconds(START + 36_001) })),
      "slots[0].crossCertificate.notAfter",
    ],
    [
      "a cross certificate by a distrusted root",
      changeSlot(
        journalOf({ distrusted: [{ kind: "Root", keyID: keyID("root0"), at: START }] }),
        ROOT,
        crossed({}),
      ),
      "slots[0].crossCertificate.issuerKeyID",
    ],
    ["a root with an issuer", changeSlot(journalOf(), ROOT, { issuerKeyID: ROOT }), "slots[0].issuerKeyID"],
  ])("refuses a journal with %s", (_, journal, field) => {
    expect(refusalOf(() => decodeJournal(encodeJournal(journal)))).toBe(`JOURNAL_CORRUPT ${field}`);
  });

  it("refuses every cut and every changed character, and says how to get out", () => {
    fc.assert(
      fc.property(fc.nat(TEXT.length - 2), fc.boolean(), (at, isCut) => {
        const other = TEXT[at] === "7" ? "8" : "7";
        const text = isCut ? TEXT.slice(0, at) : `${TEXT.slice(0, at)}${other}${TEXT.slice(at + 1)}`;
        // White space means nothing: a digit beside a brace does not parse, one inside a number or string counts.
        const error = thrownBy(() => decodeJournal(text));
        expect(["JOURNAL_CORRUPT", "JOURNAL_VERSION_UNSUPPORTED"]).toContain(error?.code);
        expect(error?.message).toMatch(/backup|version of meshid/);
      }),
      { numRuns: 500 },
    );
  });
});

describe("requireOwn", () => {
  it.each([
    ["accepted", {}],
    ["JOURNAL_FOREIGN trustDomain", { trustDomain: "other.org" }],
    ["JOURNAL_FOREIGN issuer", { issuer: "https://other.example" }],
  ] as const)("says %s", (expected, changes) => {
    const journal: Journal = journalOf(changes);
    expect(refusalOf(() => requireOwn(journal, POLICY))).toBe(expected);
  });
});

function thrownBy(act: () => unknown): OperatorError | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof OperatorError) return error;
    throw error;
  }
}
