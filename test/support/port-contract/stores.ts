/**
 * JournalStore, KeyStore and HolderStore.
 */

import { describe, expect, it } from "@jest/globals";
import type { HolderStore } from "../../../src/controller/ports.ts";
import { Secret } from "../../../src/core/secret.ts";
import type { KeyId } from "../../../src/x509/keys.ts";
import { journalOf } from "../authority-fakes.ts";
import { bundleOf, NEVER } from "../directory.ts";
import { codeOf } from "../errors.ts";
import { DOCUMENTS, KEY, type PortHarness } from "./harness.ts";

export function describeStores(ports: () => PortHarness): void {
  describe("JournalStore", () => {
    it("has no journal before the first is saved", async () => {
      expect(await ports().journalStore.read()).toBeUndefined();
    });

    it("gives back the journal that was saved", async () => {
      await ports().journalStore.save(journalOf({ revision: 1 }), undefined);
      await ports().journalStore.save(journalOf({ revision: 2 }), 1);
      expect(await ports().journalStore.read()).toEqual(journalOf({ revision: 2 }));
    });

    it.each([
      ["another revision is stored", 1, 7],
      ["one is stored and none was expected", 1, undefined],
    ])("refuses to save when %s", async (_, stored, expected) => {
      await ports().journalStore.save(journalOf({ revision: stored }), undefined);
      expect(await codeOf(ports().journalStore.save(journalOf({ revision: 9 }), expected))).toBe("CONFLICT");
      expect((await ports().journalStore.read())?.revision).toBe(stored);
    });

    it("keeps no part of a journal that was refused", async () => {
      await ports().journalStore.save(journalOf({ revision: 1 }), undefined);
      await codeOf(ports().journalStore.save(journalOf({ revision: 2, epoch: 99 }), 7));
      expect(await ports().journalStore.read()).toEqual(journalOf({ revision: 1 }));
      await ports().journalStore.save(journalOf({ revision: 2 }), 1);
    });

    it("has evidence of an authority once a bundle was published", async () => {
      const { uid: owner } = ports().desired.trustDomain().metadata;
      await ports().applier.apply(bundleOf(owner, DOCUMENTS), NEVER);
      const bundle = { sequence: 1, hash: "hash", namespaces: 1, namespacesCurrent: 1 };
      await ports().statusWriter.writeTrustDomainStatus({ bundle }, NEVER);
      expect(await ports().journalStore.hasEvidence()).toBe(true);
    });

    it("lets one of two writers through that both saw the same revision", async () => {
      await ports().journalStore.save(journalOf({ revision: 1 }), undefined);
      const ends = await Promise.allSettled(
        [2, 3].map((next) => ports().journalStore.save(journalOf({ revision: next }), 1)),
      );
      expect(ends.map((end) => end.status).sort()).toEqual(["fulfilled", "rejected"]);
    });
  });

  describe("KeyStore", () => {
    it("keeps, lists and deletes keys", async () => {
      expect(await ports().keyStore.list()).toEqual([]);
      await ports().keyStore.put(KEY, new Secret("pem"));
      expect(await ports().keyStore.list()).toEqual([KEY]);
      expect((await ports().keyStore.get(KEY))?.reveal()).toBe("pem");
      await ports().keyStore.delete(KEY);
      await ports().keyStore.delete(KEY);
      expect(await ports().keyStore.get(KEY)).toBeUndefined();
    });

    it("gives nothing for a key that is not there, and keeps several apart", async () => {
      const other = "cd".repeat(20) as KeyId;
      expect(await ports().keyStore.get(KEY)).toBeUndefined();
      await ports().keyStore.put(KEY, new Secret("pem-1"));
      await ports().keyStore.put(other, new Secret("pem-2"));
      expect((await ports().keyStore.list()).toSorted()).toEqual([KEY, other]);
      await ports().keyStore.delete(KEY);
      expect(await ports().keyStore.list()).toEqual([other]);
      expect((await ports().keyStore.get(other))?.reveal()).toBe("pem-2");
    });

    it("refuses another key under a known ID and takes the same one again", async () => {
      await ports().keyStore.put(KEY, new Secret("pem"));
      await ports().keyStore.put(KEY, new Secret("pem"));
      expect(await codeOf(ports().keyStore.put(KEY, new Secret("other")))).toBe("CONFLICT");
      expect((await ports().keyStore.get(KEY))?.reveal()).toBe("pem");
    });
  });
}

/** For an adapter whose creation timestamps anyone may write: it records who holds what. */
export function describeHolders(ports: () => PortHarness): void {
  const store = (): HolderStore => {
    const { holderStore } = ports();
    if (holderStore === undefined) throw new Error("the adapter has no HolderStore");
    return holderStore;
  };
  describe("HolderStore", () => {
    it("replaces all that was saved before", async () => {
      await store().save(new Map([["shop/payments", "uid-1"]]));
      await store().save(new Map([["shop/orders", "uid-2"]]));
      expect([...(await store().load())]).toEqual([["shop/orders", "uid-2"]]);
    });

    it("gives back what was saved", async () => {
      expect([...(await store().load())]).toEqual([]);
      await store().save(new Map([["shop/payments", "uid-1"]]));
      expect([...(await store().load())]).toEqual([["shop/payments", "uid-1"]]);
    });
  });
}
