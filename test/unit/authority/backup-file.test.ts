import { createPrivateKey } from "node:crypto";
import { beforeAll, describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import type { Backup } from "../../../src/authority/backup.ts";
import { decodeBackup, encodeBackup } from "../../../src/authority/backup-file.ts";
import { encodeJournal } from "../../../src/authority/journal.ts";
import { newJournal } from "../../../src/authority/opening.ts";
import { seconds } from "../../../src/core/brand.ts";
import { isOperatorError, messageOf } from "../../../src/core/errors.ts";
import { systemRandom } from "../../../src/core/random.ts";
import { Secret } from "../../../src/core/secret.ts";
import { encodePrivateKey, type KeyId, parsePrivateKey } from "../../../src/x509/keys.ts";
import { MemoryStores, POLICY, START } from "../../support/authority-fakes.ts";
import { FakeClock } from "../../support/fake-clock.ts";

type Json = Record<string, unknown>;
type KeyJson = { keyID: string; privateKey: string };

const PASSWORD = new Secret("correct horse battery staple ✓");
const RECORDS = { "holders.json": '{"holders":{}}', "objects.json": '{"objects":[]}' };

let backup: Backup;
let plain: string;
let sealed: string;

async function makeBackup(): Promise<Backup> {
  const stores = new MemoryStores();
  const journal = await newJournal({
    keyStore: stores.keyStore,
    clock: new FakeClock(START),
    random: systemRandom,
    policy: () => POLICY,
  });
  const keys = new Map([...stores.keys].map(([id, pem]) => [id, new Secret(pem)]));
  const journalText = encodeJournal(journal);
  return { createdAt: START, madeBy: "0.1.0", journal, journalText, keys, records: RECORDS };
}

beforeAll(async () => {
  backup = await makeBackup();
  plain = encodeBackup(backup, systemRandom).reveal();
  sealed = encodeBackup(backup, systemRandom, PASSWORD).reveal();
});

/** What a person is told, and the code; nothing of a key may be in either. */
function verdict(text: string, password?: Secret): string {
  try {
    decodeBackup(text, password);
    return "accepted";
  } catch (error) {
    if (!isOperatorError(error)) throw error;
    const told = `${error.code}: ${messageOf(error)} ${JSON.stringify(error.details)}`;
    for (const key of backup.keys.values()) expect(told).not.toContain(key.reveal().split("\n")[1]);
    expect(told).not.toContain(PASSWORD.reveal());
    return told;
  }
}

/** The text after a change of its JSON. */
function edited(change: (json: Json, keys: KeyJson[]) => void): string {
  const json = JSON.parse(plain) as Json;
  change(json, json["keys"] as KeyJson[]);
  return JSON.stringify(json);
}

describe("a backup without a password", () => {
  it("comes back as it was, however it is laid out", () => {
    const found = decodeBackup(JSON.stringify(JSON.parse(plain)), undefined);
    expect({ ...found, keys: [...found.keys].map(([id, key]) => [id, key.reveal()]) }).toEqual({
      ...backup,
      keys: [...backup.keys].map(([id, key]) => [id, key.reveal()]),
    });
  });

  it("is text that a person can look into", () => {
    const json = JSON.parse(plain) as Json;
    expect(json).toMatchObject({ format: "meshid-backup", version: 1, trustDomain: "example.org" });
    expect(json["createdAt"]).toBe("2027-01-15T08:00:00Z");
    expect(json["journal"]).toBe(backup.journalText);
    expect(plain.endsWith("}\n")).toBe(true);
  });

  it("is refused when any part of it was changed", () => {
    const json = JSON.parse(plain) as Json;
    for (const member of ["trustDomain", "createdAt", "madeBy", "journal", "checksum"]) {
      const changed = { ...json, [member]: `${String(json[member])} ` };
      expect(verdict(JSON.stringify(changed))).toMatch(/^VERIFICATION_FAILED: .*checksum/);
    }
    const other = { ...json, records: { ...RECORDS, "holders.json": "{}" } };
    expect(verdict(JSON.stringify(other))).toMatch(/^VERIFICATION_FAILED: .*checksum/);
  });

  it("is refused when it was cut, at any place", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: plain.length - 3 }), (length) => {
        expect(verdict(plain.slice(0, length))).toMatch(/^VERIFICATION_FAILED: /);
      }),
      { numRuns: 300 },
    );
  });

  it("is refused when a character of it was changed", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: plain.length - 2 }),
        fc.constantFrom("A", "7", '"'),
        (at, char) => {
          fc.pre(plain[at] !== char && !/\s/.test(plain[at] ?? ""));
          expect(verdict(plain.slice(0, at) + char + plain.slice(at + 1))).toMatch(/^VERIFICATION_FAILED: /);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("is refused on any other bytes", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(verdict(text)).toMatch(/^VERIFICATION_FAILED: /);
      }),
      { numRuns: 300 },
    );
  });

  it.each<[string, (json: Json, keys: KeyJson[]) => void, RegExp]>([
    ["another format", (json) => (json["format"] = "other"), /not a file that meshid backup has written/],
    ["a later version", (json) => (json["version"] = 2), /has version "2", and this meshid reads 1/],
    ["a member more", (json) => (json["more"] = 1), /unknown member "more"/],
    ["no keys", (json) => (json["keys"] = []), /does not have 1 to 256 keys/],
    ["257 keys", (json, keys) => (json["keys"] = Array(257).fill(keys[0])), /does not have 1 to 256 keys/],
    ["a key with more to it", (_, keys) => Object.assign(keys[0] ?? {}, { path: "x" }), /other members/],
    [
      "a key that is no text",
      (_, keys) => Object.assign(keys[0] ?? {}, { privateKey: 7 }),
      /lacks .* privateKey/,
    ],
    [
      "a record that would be written elsewhere",
      (json) => (json["records"] = { "../../etc/cron.d/x": "" }),
      /unknown record/,
    ],
    [
      "a record that is no text",
      (json) => (json["records"] = { "holders.json": {} }),
      /lacks .* holders\.json/,
    ],
    ["a salt that is none", (json) => (json["salt"] = "zz"), /salt/],
  ])("is refused with %s", (_, change, message) => {
    expect(verdict(edited(change))).toMatch(message);
  });

  /** With a checksum that fits: encoded by meshid itself from what does not belong together. */
  const encoded = (changes: Partial<Backup>): string =>
    encodeBackup({ ...backup, ...changes }, systemRandom).reveal();
  const keysWith = (change: (keys: Map<KeyId, Secret>) => void): Map<KeyId, Secret> => {
    const keys = new Map(backup.keys);
    change(keys);
    return keys;
  };

  it("is refused with a journal that is damaged, of a later meshid, or another's", () => {
    expect(verdict(encoded({ journalText: backup.journalText.replace("Active", "Retired") }))).toMatch(
      /^VERIFICATION_FAILED: the journal in the backup is damaged/,
    );
    expect(verdict(encoded({ journalText: '{"version": 2}' }))).toMatch(/^JOURNAL_VERSION_UNSUPPORTED/);
    const journal = { ...backup.journal, trustDomain: "other.org" };
    expect(verdict(encoded({ journalText: encodeJournal(journal) }))).toMatch(
      /is of "example.org", and its journal of other.org/,
    );
  });

  it("is refused with keys that do not fit their slots", () => {
    const [first, second] = [...backup.keys.keys()];
    if (first === undefined || second === undefined) throw new Error("two keys");
    const swapped = keysWith((keys) => {
      keys.set(first, backup.keys.get(second) ?? new Secret(""));
    });
    expect(verdict(encoded({ keys: swapped }))).toMatch(/^VERIFICATION_FAILED: .* another key than that of/);
    expect(verdict(encoded({ keys: keysWith((keys) => keys.delete(first)) }))).toMatch(/lacks the key/);
    const none = keysWith((keys) => keys.set(first, new Secret("-----BEGIN PRIVATE KEY-----\nAA==\n")));
    expect(verdict(encoded({ keys: none }))).toMatch(/cannot be read/);
  });

  it("is refused where a password was given: it is not what was saved with one", () => {
    expect(verdict(plain, PASSWORD)).toMatch(/^VERIFICATION_FAILED: .* no password/);
  });
});

describe("a backup with a password", () => {
  it("comes back with it", () => {
    const found = decodeBackup(sealed, PASSWORD);
    expect([...found.keys].map(([id, key]) => [id, key.reveal()])).toEqual(
      [...backup.keys].map(([id, key]) => [id, key.reveal()]),
    );
  });

  it("holds nothing of a key that is not encrypted", () => {
    expect(sealed).not.toContain("BEGIN PRIVATE KEY");
    for (const key of backup.keys.values()) {
      const pem = key.reveal().split("\n");
      expect(sealed).not.toContain(pem[1]);
      expect(sealed).not.toContain(pem[2]);
    }
  });

  it("has keys that others open with the password, after 600,000 rounds", () => {
    const { keys } = JSON.parse(sealed) as { keys: KeyJson[] };
    for (const { keyID, privateKey } of keys) {
      const key = createPrivateKey({ key: privateKey, passphrase: PASSWORD.reveal() });
      expect(encodePrivateKey(key).reveal()).toBe(backup.keys.get(keyID as KeyId)?.reveal());
      // INTEGER 600000
      expect(Buffer.from(privateKey.split("\n").slice(1, -2).join(""), "base64").toString("hex")).toContain(
        "02030927c0",
      );
    }
  });

  it("asks for the password", () => {
    expect(verdict(sealed)).toMatch(/^INVALID_CONFIGURATION: --password-file/);
  });

  it("is refused with another password", () => {
    expect(verdict(sealed, new Secret("correct horse battery staple"))).toMatch(
      /^VERIFICATION_FAILED: .* another password/,
    );
  });

  it("is refused when someone without the password has changed it, checksum and all", () => {
    const json = JSON.parse(sealed) as Json;
    // A root of the thief's as one more retired slot would be published, and needs no key.
    const journal = encodeJournal({ ...backup.journal, savedAt: seconds(START + 1) });
    expect(verdict(JSON.stringify({ ...json, journal }), PASSWORD)).toMatch(
      /^VERIFICATION_FAILED: .* changed/,
    );
    const other = JSON.parse(
      encodeBackup({ ...backup, journalText: journal }, systemRandom).reveal(),
    ) as Json;
    const stripped = { ...other, salt: json["salt"] };
    expect(verdict(JSON.stringify(stripped), PASSWORD)).toMatch(/^VERIFICATION_FAILED: .* changed/);
  });

  it("never uses a salt twice", () => {
    const again = encodeBackup(backup, systemRandom, PASSWORD).reveal();
    const salts = [sealed, again].map((text) => (JSON.parse(text) as Json)["salt"]);
    expect(new Set(salts).size).toBe(2);
    const [one, two] = [sealed, again].map((text) => (JSON.parse(text) as { keys: KeyJson[] }).keys[0]);
    expect(one?.privateKey).not.toBe(two?.privateKey);
  });
});

it("a backup is a secret until it is written", () => {
  const text = encodeBackup(backup, systemRandom);
  expect(`${text.toString()}${JSON.stringify({ text })}`).not.toContain("PRIVATE KEY");
  expect(parsePrivateKey([...backup.keys.values()][0] ?? new Secret(""))).toBeDefined();
});
