import { beforeAll, describe, expect, it } from "@jest/globals";
import { carryOut, planRestore } from "../../../src/app/recovery/restoring.ts";
import { type Published, sequenceIn, type Vault } from "../../../src/app/recovery/vault.ts";
import type { Backup } from "../../../src/authority/backup.ts";
import { decodeJournal, encodeJournal } from "../../../src/authority/journal.ts";
import { newJournal } from "../../../src/authority/opening.ts";
import type { FoundJournal } from "../../../src/authority/ports.ts";
import type { Journal } from "../../../src/authority/slot.ts";
import { OperatorError } from "../../../src/core/errors.ts";
import { Secret } from "../../../src/core/secret.ts";
import type { KeyId } from "../../../src/x509/keys.ts";
import { MemoryStores, POLICY, START } from "../../support/authority-fakes.ts";
import { codeOf } from "../../support/errors.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { fakeRandom } from "../../support/fake-random.ts";

const DAMAGED: FoundJournal = { kind: "damaged", fault: new OperatorError("JOURNAL_CORRUPT", "damaged") };

let backup: Backup;

beforeAll(async () => {
  const stores = new MemoryStores();
  const journal = await newJournal({
    keyStore: stores.keyStore,
    clock: new FakeClock(START),
    random: fakeRandom(),
    policy: () => POLICY,
  });
  const keys = new Map([...stores.keys].map(([id, pem]) => [id, new Secret(pem)]));
  const journalText = encodeJournal(journal);
  const records = { "holders.json": "{}", "objects.json": "{}" };
  backup = { createdAt: START, madeBy: "0.1.0", journal, journalText, keys, records };
});

interface FakeVault extends Vault {
  /** What was written, in order. */
  readonly writes: string[];
  readonly stores: MemoryStores;
  found: FoundJournal;
  failsAt: string | undefined;
}

function vaultWith(
  found: FoundJournal,
  published: Partial<Published> = {},
  lacking: string[] = [],
): FakeVault {
  const stores = new MemoryStores();
  const writes: string[] = [];
  const wrote = (what: string): void => {
    if (vault.failsAt === what) throw new OperatorError("STORAGE_FAILED", "died", { retryable: true });
    writes.push(what);
  };
  const vault: FakeVault = {
    writes,
    stores,
    found,
    failsAt: undefined,
    place: "the test",
    clock: new FakeClock(START + 100),
    context: { mode: "local", clusterDomain: "cluster.local" },
    journals: {
      look: async () => vault.found,
      replace: async (_, journal) => {
        wrote("journal");
        vault.found = { kind: "good", journal, text: encodeJournal(journal) };
        return undefined;
      },
    },
    keyStore: {
      ...stores.keyStore,
      put: async (id, key) => {
        if (stores.keys.has(id)) throw new OperatorError("CONFLICT", "another key has this ID");
        wrote("key");
        stores.keys.set(id, key.reveal());
      },
    },
    records: {
      read: async () => ({}),
      lacking: async () => lacking,
      write: async (name) => wrote(name),
    },
    published: async () => ({ trustDomain: undefined, sequence: 0, ...published }),
    moveAway: "mv",
    flags: "",
    takenUp: "now",
  };
  return vault;
}

const good = (journal: Journal = backup.journal): FoundJournal => ({
  kind: "good",
  journal,
  text: encodeJournal(journal),
});
const domain = (name: string, issuer = POLICY.issuer): Partial<Published> => ({
  trustDomain: {
    apiVersion: "meshid.dev/v1alpha1",
    kind: "TrustDomain",
    metadata: { name, uid: "1", creationTimestamp: "2026-01-01T00:00:00Z", generation: 1 },
    spec: { jwt: { issuer } },
  },
});

describe("a restore", () => {
  it("writes keys, then records, and the journal last", async () => {
    const vault = vaultWith({ kind: "none" }, {}, ["objects.json"]);
    await carryOut(vault, backup, await planRestore(vault, backup));
    expect(vault.writes).toEqual(["key", "key", "key", "objects.json", "journal"]);
    expect(vault.found.kind === "good" && decodeJournal(vault.found.text).slots).toHaveLength(3);
  });

  it.each(["key", "objects.json", "journal"])("that died at the %s is done by the next", async (failsAt) => {
    const vault = vaultWith(DAMAGED, {}, ["objects.json"]);
    vault.failsAt = failsAt;
    const first = await planRestore(vault, backup);
    expect(await codeOf(carryOut(vault, backup, first))).toBe("STORAGE_FAILED");
    expect(vault.found.kind).toBe("damaged");
    vault.failsAt = undefined;
    await carryOut(vault, backup, await planRestore(vault, backup));
    expect(vault.found.kind).toBe("good");
    expect(new Map(vault.stores.keys)).toEqual(
      new Map([...backup.keys].map(([id, key]) => [id, key.reveal()])),
    );
  });

  it("replaces a damaged key, which stores refuse to write over, and no good one", async () => {
    const vault = vaultWith(good());
    const [first, ...others] = [...backup.keys.keys()];
    if (first === undefined) throw new Error("a key");
    vault.stores.keys.set(first, "damaged");
    for (const id of others) vault.stores.keys.set(id, backup.keys.get(id)?.reveal() ?? "");
    const plan = await planRestore(vault, backup);
    expect([plan.journal, plan.keys.map(({ keyID }) => keyID)]).toEqual([undefined, [first]]);
    await carryOut(vault, backup, plan);
    expect(vault.writes).toEqual(["key"]);
  });

  it("is refused where the journal in place needs a key that the backup has not", async () => {
    const vault = vaultWith(good());
    const poorer = { ...backup, keys: new Map<KeyId, Secret>() };
    expect(await codeOf(planRestore(vault, poorer))).toBe("AUTHORITY_NOT_READY");
  });

  it("is refused where nothing is missing", async () => {
    const vault = vaultWith(good());
    for (const [id, key] of backup.keys) vault.stores.keys.set(id, key.reveal());
    expect(await codeOf(planRestore(vault, backup))).toBe("CONFLICT");
  });

  it.each([
    ["trust domain", domain("other.org"), "JOURNAL_FOREIGN"],
    ["issuer", domain("example.org", "https://other.org"), "JOURNAL_FOREIGN"],
  ])("is refused for another %s than the one that is served", async (_, published, code) => {
    expect(await codeOf(planRestore(vaultWith({ kind: "none" }, published), backup))).toBe(code);
    expect(await codeOf(planRestore(vaultWith({ kind: "none" }, domain("example.org")), backup))).toBe(
      "accepted",
    );
  });

  it("is refused where a good journal of another trust domain lies", async () => {
    const vault = vaultWith(good({ ...backup.journal, trustDomain: "other.org" }));
    expect(await codeOf(planRestore(vault, backup))).toBe("JOURNAL_FOREIGN");
  });

  it("publishes above the highest sequence that was seen", async () => {
    const plan = await planRestore(vaultWith({ kind: "none" }, { sequence: 77_000 }), backup);
    expect(plan.journal?.bundle.sequence).toBeGreaterThan(77_000);
  });
});

it.each([
  ['{"spiffe_sequence": 12}', 12],
  ['{"spiffe_sequence": -1}', 0],
  ['{"spiffe_sequence": 1e300}', 0],
  ['{"spiffe_sequence": 9007199254740991}', 0],
  ['{"spiffe_sequence": "12"}', 0],
  ["null", 0],
  ["", 0],
])("the sequence in %s is %s", (text, sequence) => {
  expect(sequenceIn(text)).toBe(sequence);
});
