import { beforeAll, describe, expect, it } from "@jest/globals";
import {
  type Backup,
  checkBackup,
  lossesOf,
  restoredJournal,
  slotsWithoutKey,
  takeSnapshot,
} from "../../../src/authority/backup.ts";
import { decodeJournal, encodeJournal } from "../../../src/authority/journal.ts";
import { newJournal } from "../../../src/authority/opening.ts";
import type { FoundJournal } from "../../../src/authority/ports.ts";
import { activeSlot, type Journal } from "../../../src/authority/slot.ts";
import { seconds } from "../../../src/core/brand.ts";
import { isOperatorError, messageOf } from "../../../src/core/errors.ts";
import { Secret } from "../../../src/core/secret.ts";
import { encodePrivateKey, generateKey, type KeyId } from "../../../src/x509/keys.ts";
import {
  changeSlot,
  JWT,
  journalOf,
  keyID,
  MemoryStores,
  POLICY,
  ROOT,
  START,
  withSlot,
} from "../../support/authority-fakes.ts";
import { codeOf } from "../../support/errors.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { fakeRandom } from "../../support/fake-random.ts";

const NOW = seconds(START + 5000);

let original: MemoryStores;

/** A real authority: three slots with keys that sign. */
async function realStores(): Promise<MemoryStores> {
  const stores = new MemoryStores();
  const journal = await newJournal({
    keyStore: stores.keyStore,
    clock: new FakeClock(START),
    random: fakeRandom(),
    policy: () => POLICY,
  });
  stores.journalText = encodeJournal(journal);
  return stores;
}

beforeAll(async () => {
  original = await realStores();
});

function copy(): MemoryStores {
  const stores = new MemoryStores();
  stores.journalText = original.journalText;
  for (const [id, pem] of original.keys) stores.keys.set(id, pem);
  return stores;
}

function place(stores: MemoryStores, onLook: () => void = () => {}): { look(): Promise<FoundJournal> } {
  return {
    look: async () => {
      onLook();
      const text = stores.journalText;
      return text === undefined ? { kind: "none" } : { kind: "good", journal: decodeJournal(text), text };
    },
  };
}

const journalIn = (stores: MemoryStores): Journal => decodeJournal(stores.journalText ?? "");
const idOf = (stores: MemoryStores, kind: "Root" | "Issuing" | "JWT"): KeyId => {
  const slot = activeSlot(journalIn(stores), kind);
  if (slot === undefined) throw new Error(kind);
  return slot.keyID;
};

describe("takeSnapshot", () => {
  it("has the journal as it is stored, and every key that it signs with", async () => {
    const stores = copy();
    // Of a slot that is no more: nobody's loss.
    stores.keys.set(keyID("old"), "of no use");
    const { journalText, keys } = await takeSnapshot({ journals: place(stores), keyStore: stores.keyStore });
    expect(journalText).toBe(original.journalText);
    expect(new Map([...keys].map(([id, key]) => [id, key.reveal()]))).toEqual(original.keys);
  });

  it("begins again when the journal changes while keys are read", async () => {
    const stores = copy();
    let looks = 0;
    const changing = place(stores, () => {
      if (++looks !== 2) return;
      const journal = journalIn(stores);
      stores.journalText = encodeJournal({ ...journal, revision: journal.revision + 1 });
    });
    const { journal } = await takeSnapshot({ journals: changing, keyStore: stores.keyStore });
    expect([journal.revision, looks]).toEqual([2, 3]);
  });

  it("begins again when a key is gone because its slot is", async () => {
    const stores = copy();
    const jwt = idOf(stores, "JWT");
    const pem = stores.keys.get(jwt);
    stores.keys.delete(jwt);
    let looks = 0;
    const changing = place(stores, () => {
      if (++looks !== 2) return;
      stores.keys.set(jwt, pem ?? "");
      const journal = journalIn(stores);
      stores.journalText = encodeJournal({ ...journal, revision: journal.revision + 1 });
    });
    const { keys } = await takeSnapshot({ journals: changing, keyStore: stores.keyStore });
    expect(keys.size).toBe(3);
  });

  it("gives up where the journal never rests", async () => {
    const stores = copy();
    const restless = place(stores, () => {
      const journal = journalIn(stores);
      stores.journalText = encodeJournal({ ...journal, revision: journal.revision + 1 });
    });
    const attempt = takeSnapshot({ journals: restless, keyStore: stores.keyStore });
    expect(await codeOf(attempt)).toBe("CONFLICT");
  });

  it("is refused without the key of an active slot, and where there is no journal", async () => {
    const stores = copy();
    stores.keys.set(idOf(stores, "Root"), "damaged");
    expect(await codeOf(takeSnapshot({ journals: place(stores), keyStore: stores.keyStore }))).toBe(
      "AUTHORITY_NOT_READY",
    );
    stores.journalText = undefined;
    expect(await codeOf(takeSnapshot({ journals: place(stores), keyStore: stores.keyStore }))).toBe(
      "NOT_FOUND",
    );
  });
});

describe("checkBackup", () => {
  const backup = (
    change: (keys: Map<KeyId, Secret>) => void = () => {},
  ): Pick<Backup, "journal" | "keys"> => {
    const keys = new Map([...original.keys].map(([id, pem]) => [id, new Secret(pem)]));
    change(keys);
    return { journal: journalIn(original), keys };
  };
  const verdict = (change: (keys: Map<KeyId, Secret>) => void): string => {
    try {
      checkBackup(backup(change));
      return "accepted";
    } catch (error) {
      if (!isOperatorError(error, "VERIFICATION_FAILED")) throw error;
      return messageOf(error);
    }
  };

  it("lets a whole backup pass", () => {
    expect(verdict(() => {})).toBe("accepted");
  });

  it("refuses a missing key, one that fits another slot, one that is none, and one too many", async () => {
    const [root, jwt] = [idOf(original, "Root"), idOf(original, "JWT")];
    expect(verdict((keys) => keys.delete(root))).toBe(
      `the backup lacks the key ${root} of its active Root authority`,
    );
    expect(verdict((keys) => keys.set(root, new Secret(original.keys.get(jwt) ?? "")))).toBe(
      `the backup holds another key than that of its Root authority ${root}`,
    );
    expect(verdict((keys) => keys.set(root, new Secret("none")))).toMatch(/holds another key/);
    const foreign = encodePrivateKey(await generateKey("ECDSA-P256"));
    expect(verdict((keys) => keys.set(keyID("foreign"), foreign))).toMatch(/has no use for/);
  });

  it("refuses a journal whose certificates do not hold together", () => {
    const other = journalOf().slots[0];
    const journal = changeSlot(journalIn(original), idOf(original, "Root"), {
      publicKey: other?.publicKey ?? "",
    });
    expect(() => checkBackup({ ...backup(), journal })).toThrow(/does not hold together/);
  });
});

describe("restoredJournal", () => {
  const retired = { kind: "JWT", state: "Retired", signedUntil: seconds(START + 60) } as const;
  const prepared = {
    kind: "Root",
    observedAt: seconds(START + 5),
    signedUntil: seconds(START - 60),
  } as const;
  const before = withSlot(withSlot(journalOf(), "jwt0", retired), "root2", prepared);
  const after = restoredJournal(before, { now: NOW, above: 7 });
  const slot = (id: KeyId) => after.slots.find((one) => one.keyID === id);

  it("is a journal", () => {
    expect(decodeJournal(encodeJournal(after))).toEqual(after);
  });

  it("counts whatever an active key may have signed as signed, and leaves retired ones as they are", () => {
    for (const each of after.slots.filter(({ state }) => state !== "Retired"))
      expect(each.signedUntil).toBe(each.notAfter);
    expect(slot(keyID("jwt0"))?.signedUntil).toBe(START + 60);
  });

  it("has a prepared key observed and waited for anew", () => {
    expect(slot(keyID("root2"))).toMatchObject({ state: "Prepared", since: NOW });
    expect(slot(keyID("root2"))).not.toHaveProperty("observedAt");
  });

  it("takes the journal over from whoever had it, and is saved under a revision that was never there", () => {
    expect(after.epoch).toBeGreaterThan(before.epoch + 100_000);
    expect(after.revision).toBeGreaterThan(before.revision + 100_000);
    expect([after.takenOverAt, after.savedAt]).toEqual([NOW, NOW]);
  });

  it.each([0, 7, 5_000_000])("publishes above %s", (above) => {
    const { sequence } = restoredJournal(before, { now: NOW, above }).bundle;
    expect(sequence).toBeGreaterThan(above + 100);
    expect(sequence).toBeGreaterThan(before.bundle.sequence + 100);
  });

  it("keeps what it publishes, so that nothing is written but a sequence", () => {
    expect(after.bundle.hash).toBe(before.bundle.hash);
  });

  it("never goes back in time", () => {
    const ahead = { ...before, savedAt: seconds(NOW + 900) };
    expect(restoredJournal(ahead, { now: NOW, above: 0 }).savedAt).toBe(NOW + 900);
  });
});

describe("lossesOf", () => {
  const journal = journalOf();
  const later = seconds(NOW + 3600);
  const now = { state: "Active", signedUntil: later };
  const own = [
    { kind: "Root", keyID: ROOT, ...now },
    { kind: "JWT", keyID: JWT, ...now },
  ] as const;

  it("is nothing where the published keys are those of the backup", () => {
    expect(lossesOf(journal, own, NOW)).toEqual([]);
  });

  it("names a published key that the backup does not know and that has signed", () => {
    const dropped = [{ kind: "Root", keyID: "root2", what: "Dropped" }];
    for (const state of ["Active", "Retired"]) {
      const other = { kind: "Root", keyID: "root2", state, signedUntil: later } as const;
      expect(lossesOf(journal, [...own, other], NOW)).toEqual(dropped);
    }
    const fresh = { kind: "Root", keyID: "root2", state: "Active", signedUntil: seconds(NOW - 60) } as const;
    expect(lossesOf(journal, [...own, fresh], NOW)).toEqual(dropped);
  });

  it.each([
    ["has signed nothing yet", { kind: "Root", state: "Prepared", signedUntil: later }],
    ["signed what has ended", { kind: "JWT", state: "Retired", signedUntil: seconds(NOW - 1) }],
    ["travels with each leaf", { kind: "Issuing", state: "Active", signedUntil: later }],
  ] as const)("leaves out one that %s", (_, key) => {
    expect(lossesOf(journal, [...own, { ...key, keyID: "other" }], NOW)).toEqual([]);
  });

  it("names a key that will sign and that nobody is served", () => {
    expect(lossesOf(journal, [own[0]], NOW)).toEqual([{ kind: "JWT", keyID: JWT, what: "Unknown" }]);
  });

  it("names a retired key that is not published any more although what it signed may be alive: it may have been stolen", () => {
    const old = { kind: "JWT", state: "Retired", signedUntil: later } as const;
    const returned = [{ kind: "JWT", keyID: keyID("old"), what: "Returned" }];
    expect(lossesOf(withSlot(journal, "old", old), own, NOW)).toEqual(returned);
    const ended = { ...old, signedUntil: seconds(NOW - 120) };
    expect(lossesOf(withSlot(journal, "old", ended), own, NOW)).toEqual([]);
    const served = { kind: "JWT", keyID: keyID("old"), state: "Retired", signedUntil: later } as const;
    expect(lossesOf(withSlot(journal, "old", old), [...own, served], NOW)).toEqual([]);
  });

  it.each([
    ["Active", later, 1],
    ["Retired", later, 1],
    ["Retired", seconds(NOW - 120), 0],
  ] as const)(
    "asks of a retired root what it certified: an issuing key that is %s, until %s",
    (state, signedUntil, count) => {
      const root = withSlot(journal, "old", { kind: "Root", state: "Retired" });
      const issuing = { kind: "Issuing", state, signedUntil, issuerKeyID: keyID("old") } as const;
      expect(lossesOf(withSlot(root, "below", issuing), own, NOW)).toHaveLength(count);
    },
  );

  it("compares with nothing where nothing is known", () => {
    expect(lossesOf(journal, [], NOW)).toEqual([]);
  });
});

describe("slotsWithoutKey", () => {
  it("names those whose key is gone or another's, and not the root of someone else's CA", async () => {
    const stores = copy();
    const [root, jwt, issuing] = (["Root", "JWT", "Issuing"] as const).map((kind) => idOf(stores, kind));
    stores.keys.delete(root ?? keyID(""));
    stores.keys.set(jwt ?? keyID(""), stores.keys.get(issuing ?? keyID("")) ?? "");
    const journal = journalIn(stores);
    const found = await slotsWithoutKey(journal, stores.keyStore);
    expect(found.map(({ kind }) => kind)).toEqual(["Root", "JWT"]);
    const external = changeSlot(journal, root ?? keyID(""), { external: true });
    expect((await slotsWithoutKey(external, stores.keyStore)).map(({ kind }) => kind)).toEqual(["JWT"]);
  });
});

describe("newJournal", () => {
  it("publishes above what was seen, and is not rotated for what was asked for before", async () => {
    const journal = await newJournal(
      {
        keyStore: new MemoryStores().keyStore,
        clock: new FakeClock(START),
        random: fakeRandom(),
        policy: () => POLICY,
      },
      { above: 41, honoured: { Root: "before" } },
    );
    expect(journal.bundle.sequence).toBe(42);
    expect(journal.honoured).toEqual({ Root: "before" });
  });
});
