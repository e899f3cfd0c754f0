/**
 * Observer: who carries which key.
 */

import { describe, expect, it } from "@jest/globals";
import { Secret } from "../../../src/core/secret.ts";
import type { KeyId } from "../../../src/x509/keys.ts";
import { bundleOf, NEVER, secretOf } from "../directory.ts";
import { KEY, PAIR, type PortHarness } from "./harness.ts";

export function describeObserver(ports: () => PortHarness, uid: () => string): void {
  describe("Observer", () => {
    const tokens = { kind: "Secret", namespace: "shop", name: "payments-jwt" } as const;
    const held = { kind: "JWT", keyID: KEY } as const;
    const fresh = { kind: "JWT", keyID: "cd".repeat(20) as KeyId } as const;
    const jwks = (...keys: readonly KeyId[]): string =>
      JSON.stringify({ keys: keys.map((kid) => ({ kid })) });

    /** Where a bundle is missing is another question: a directory counts it, or not, differently from a cluster. */
    const look = async (slot: typeof held | typeof fresh | { kind: "Root"; keyID: KeyId }) => {
      const { lacking, consumers } = await ports().observer.look([slot]);
      const named = lacking.get(slot.keyID)?.filter((name) => name.startsWith("Secret"));
      return { named, consumers };
    };

    it("names nobody where nothing is published", async () => {
      expect((await look(held)).named).toEqual([]);
    });

    it("names those that lack a key, and asks nobody who carries no keys of its kind", async () => {
      const { uid: owner } = ports().desired.trustDomain().metadata;
      await ports().applier.apply(secretOf(uid(), PAIR), NEVER);
      await ports().applier.apply(secretOf(uid(), { "jwks.json": jwks(held.keyID) }, tokens), NEVER);
      await ports().applier.apply(bundleOf(owner, { "jwks.json": jwks(held.keyID, fresh.keyID) }), NEVER);
      const { lacking } = await ports().observer.look([held, fresh]);
      expect([lacking.get(held.keyID), lacking.get(fresh.keyID)]).toEqual([[], ["Secret shop/payments-jwt"]]);
    });

    it("takes a root that cannot be read for one that is lacking", async () => {
      const root = { kind: "Root", keyID: KEY } as const;
      const before = await look(root);
      await ports().applier.apply(secretOf(uid(), PAIR), NEVER);
      const after = await look(root);
      expect(after.named).toEqual(["Secret shop/payments-tls"]);
      expect(after.consumers - before.consumers).toBe(1);
    });

    it("sees a document that was replaced, and counts nobody who is gone", async () => {
      await ports().applier.apply(secretOf(uid(), { "jwks.json": jwks(held.keyID) }, tokens), NEVER);
      const set = new Secret({ "jwks.json": Buffer.from(jwks(held.keyID, fresh.keyID)) });
      const change = { ref: tokens, ownerUid: uid(), set, remove: [], annotations: {} };
      await ports().applier.amend(change, NEVER);
      const before = await look(fresh);
      expect(before.named).toEqual([]);
      await ports().removeByHand(tokens);
      expect(before.consumers - (await look(fresh)).consumers).toBe(1);
    });
  });
}
