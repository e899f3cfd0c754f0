/**
 * DesiredState and StatusWriter.
 */

import { describe, expect, it } from "@jest/globals";
import { NEVER } from "../directory.ts";
import type { PortHarness } from "./harness.ts";

export function describeDesired(ports: () => PortHarness): void {
  describe("DesiredState", () => {
    it("gives each object a uid of its own, an age and generation 1", async () => {
      const orders = await ports().putIdentity("shop", "orders", {});
      const payments = ports().desired.identity("shop/payments");
      expect(orders.metadata).toMatchObject({ name: "orders", namespace: "shop", generation: 1 });
      expect(orders.metadata.uid).not.toBe(payments?.metadata.uid);
      expect(orders.metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    });

    it("raises the generation with the spec and keeps the uid", async () => {
      const before = ports().desired.identity("shop/payments");
      const after = await ports().putIdentity("shop", "payments", { x509: { ttl: "2h" } });
      expect(after.metadata.generation).toBe(2);
      expect(after.metadata.uid).toBe(before?.metadata.uid);
      expect(after.metadata.creationTimestamp).toBe(before?.metadata.creationTimestamp);
    });

    it("forgets a deleted object and gives one of the same name another uid", async () => {
      const before = ports().desired.identity("shop/payments");
      await ports().deleteIdentity("shop", "payments");
      expect(ports().desired.identity("shop/payments")).toBeUndefined();
      const after = await ports().putIdentity("shop", "payments", {});
      expect(after.metadata.uid).not.toBe(before?.metadata.uid);
    });

    it("lists the namespaces that get a bundle", async () => {
      await ports().putIdentity("bank", "ledger", {});
      expect(ports().desired.bundleNamespaces()).toEqual(["bank", "shop"]);
    });

    it("writes no status for an object that has been replaced by another of its name", async () => {
      const identity = ports().desired.identity("shop/payments");
      if (identity === undefined) throw new Error("no identity");
      const replaced = { ...identity, metadata: { ...identity.metadata, uid: "an-earlier-one" } };
      await ports()
        .statusWriter.writeIdentityStatus(replaced, { lastManualRenewal: "once" }, NEVER)
        .catch(() => undefined);
      expect(ports().desired.identity("shop/payments")?.status).toBeUndefined();
    });

    it("shows the TrustDomain's status that was written, and another after it", async () => {
      for (const root of ["1", "2"]) {
        await ports().statusWriter.writeTrustDomainStatus({ lastManualRotation: { root } }, NEVER);
        expect(ports().desired.trustDomain().status).toEqual({ lastManualRotation: { root } });
      }
    });

    it("replaces a status as a whole, and changes neither uid nor generation", async () => {
      const before = ports().desired.identity("shop/payments");
      if (before === undefined) throw new Error("no identity");
      await ports().statusWriter.writeIdentityStatus(before, { lastManualRenewal: "once" }, NEVER);
      await ports().statusWriter.writeIdentityStatus(before, { observedGeneration: 1 }, NEVER);
      const after = ports().desired.identity("shop/payments");
      expect(after?.status).toEqual({ observedGeneration: 1 });
      expect(after?.metadata).toMatchObject({ uid: before.metadata.uid, generation: 1 });
    });

    it("keeps the status of an object whose spec is edited", async () => {
      const before = ports().desired.identity("shop/payments");
      if (before === undefined) throw new Error("no identity");
      await ports().statusWriter.writeIdentityStatus(before, { lastManualRenewal: "once" }, NEVER);
      const after = await ports().putIdentity("shop", "payments", { x509: { ttl: "2h" } });
      expect(after.status).toEqual({ lastManualRenewal: "once" });
    });

    it("shows the status that was written", async () => {
      const identity = ports().desired.identity("shop/payments");
      if (identity === undefined) throw new Error("no identity");
      await ports().statusWriter.writeIdentityStatus(identity, { lastManualRenewal: "once" }, NEVER);
      expect(ports().desired.identity("shop/payments")?.status).toEqual({ lastManualRenewal: "once" });
    });
  });
}
