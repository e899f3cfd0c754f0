/**
 * What every adapter of the controller's ports must do: run on the directory adapter and on a real API server.
 */

import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import type {
  Applier,
  DesiredState,
  HolderStore,
  JournalStore,
  KeyStore,
  ObservedState,
  StatusWriter,
} from "../../src/controller/ports.ts";
import { Secret } from "../../src/core/secret.ts";
import type { PeerAuthenticationManifest } from "../../src/reconcile/manifests/manifest.ts";
import type { ObjectRef } from "../../src/reconcile/state.ts";
import type { ServiceIdentity } from "../../src/registration/service-identity.ts";
import type { KeyId } from "../../src/x509/keys.ts";
import { journalOf } from "./authority-fakes.ts";
import { BUNDLE, bundleOf, NEVER, POLICY, SECRET, secretOf } from "./directory.ts";
import { codeOf } from "./errors.ts";

export interface PortHarness extends AsyncDisposable {
  readonly desired: DesiredState;
  readonly observed: ObservedState;
  readonly applier: Applier;
  readonly statusWriter: StatusWriter;
  readonly journalStore: JournalStore;
  readonly keyStore: KeyStore;
  readonly holderStore: HolderStore;
  /** As a user does it; resolves when the adapter has announced it. */
  putIdentity(namespace: string, name: string, spec: object): Promise<ServiceIdentity>;
  deleteIdentity(namespace: string, name: string): Promise<void>;
  /** What a consumer reads; undefined when there is no such object. */
  read(ref: ObjectRef): Promise<Readonly<Record<string, string>> | undefined>;
  /** An object of that name that is not meshid's. */
  putForeign(ref: ObjectRef): Promise<void>;
}

const KEY = "ab".repeat(20) as KeyId;
const DOCUMENTS = { "ca.crt": "pem", "bundle.json": "{}", "jwks.json": "{}" };
const PAIR = { "tls.crt": "crt-1", "tls.key": "key-1", "ca.crt": "ca-1" };

export function describePorts(adapter: string, make: () => Promise<PortHarness>): void {
  describe(`the ports on ${adapter}`, () => {
    let ports: PortHarness;
    let uid: string;
    beforeEach(async () => {
      ports = await make();
      uid = (await ports.putIdentity("shop", "payments", {})).metadata.uid;
    });
    afterEach(async () => {
      await ports[Symbol.asyncDispose]();
    });

    describeDesired(() => ports);
    describeApplier(
      () => ports,
      () => uid,
    );
    describeStores(() => ports);
  });
}

function describeDesired(ports: () => PortHarness): void {
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

    it("shows the status that was written", async () => {
      const identity = ports().desired.identity("shop/payments");
      if (identity === undefined) throw new Error("no identity");
      await ports().statusWriter.writeIdentityStatus(identity, { lastManualRenewal: "once" }, NEVER);
      expect(ports().desired.identity("shop/payments")?.status).toEqual({ lastManualRenewal: "once" });
    });
  });
}

function describeApplier(ports: () => PortHarness, uid: () => string): void {
  describe("Applier", () => {
    it("creates a Secret, and the observed state shows it", async () => {
      await ports().applier.apply(secretOf(uid(), PAIR), NEVER);
      expect(await ports().read(SECRET)).toEqual(PAIR);
      expect(ports().observed.secret("shop", "payments-tls")).toMatchObject({
        ownerUid: uid(),
        annotations: { "meshid.dev/revision": "1" },
      });
      expect(ports().observed.ownedBy(uid())).toEqual([SECRET]);
    });

    it("replaces all keys of a Secret that it owns", async () => {
      await ports().applier.apply(secretOf(uid(), PAIR), NEVER);
      await ports().applier.apply(secretOf(uid(), { "tls.crt": "crt-2", "key.pem": "key-2" }), NEVER);
      expect(await ports().read(SECRET)).toEqual({ "tls.crt": "crt-2", "key.pem": "key-2" });
    });

    it("leaves an object that is not meshid's as it is", async () => {
      await ports().putForeign(SECRET);
      const before = await ports().read(SECRET);
      expect(await codeOf(ports().applier.apply(secretOf(uid(), PAIR), NEVER))).toBe("NOT_OWNED");
      expect(await ports().read(SECRET)).toEqual(before);
    });

    it("leaves the Secret of another owner as it is", async () => {
      const other = await ports().putIdentity("shop", "orders", {});
      await ports().applier.apply(secretOf(other.metadata.uid, PAIR), NEVER);
      const attempt = ports().applier.apply(secretOf(uid(), { "tls.key": "mine" }), NEVER);
      expect(await codeOf(attempt)).toBe("NOT_OWNED");
      expect(await ports().read(SECRET)).toEqual(PAIR);
    });

    it("amends some keys and leaves the private key", async () => {
      await ports().applier.apply(secretOf(uid(), PAIR), NEVER);
      const set = new Secret({ "ca.crt": Buffer.from("ca-2"), "bundle.json": Buffer.from("{}") });
      const change = { ref: SECRET, ownerUid: uid(), set, remove: ["tls.crt"], annotations: { note: "2" } };
      await ports().applier.amend(change, NEVER);
      expect(await ports().read(SECRET)).toEqual({
        "tls.key": "key-1",
        "ca.crt": "ca-2",
        "bundle.json": "{}",
      });
      expect(ports().observed.secret("shop", "payments-tls")?.annotations).toEqual({ note: "2" });
    });

    it.each([
      ["NOT_FOUND", "there is none", false],
      ["NOT_OWNED", "it is another's", true],
    ])("refuses to amend a Secret with %s when %s", async (code, _, isForeign) => {
      if (isForeign) await ports().putForeign(SECRET);
      const change = { ref: SECRET, ownerUid: uid(), set: new Secret({}), remove: [], annotations: {} };
      expect(await codeOf(ports().applier.amend(change, NEVER))).toBe(code);
    });

    it("prunes what the owner owns and nothing else", async () => {
      await ports().applier.apply(secretOf(uid(), PAIR), NEVER);
      await ports().applier.prune(SECRET, "another-uid", NEVER);
      expect(await ports().read(SECRET)).toEqual(PAIR);
      await ports().applier.prune(SECRET, uid(), NEVER);
      await ports().applier.prune(SECRET, uid(), NEVER);
      expect(await ports().read(SECRET)).toBeUndefined();
      expect(ports().observed.secret("shop", "payments-tls")).toBeUndefined();
      expect(ports().observed.ownedBy(uid())).toEqual([]);
    });

    it("writes a PeerAuthentication and observes its spec as it was given", async () => {
      await ports().applier.apply(policyOf(uid()), NEVER);
      expect(ports().observed.peerAuthentication("shop", "payments")).toMatchObject({
        ownerUid: uid(),
        spec: policyOf(uid()).spec,
      });
      await ports().applier.prune(POLICY, uid(), NEVER);
      expect(ports().observed.peerAuthentications("shop")).toEqual([]);
    });

    it("writes a ConfigMap for the TrustDomain", async () => {
      const { uid: owner } = ports().desired.trustDomain().metadata;
      await ports().applier.apply(bundleOf(owner, DOCUMENTS), NEVER);
      expect(await ports().read(BUNDLE)).toEqual(DOCUMENTS);
      expect(ports().observed.configMap("shop", "meshid-bundle")?.ownerUid).toBe(owner);
    });

    it("leaves a PeerAuthentication that is not meshid's as it is", async () => {
      await ports().putForeign(POLICY);
      expect(await codeOf(ports().applier.apply(policyOf(uid()), NEVER))).toBe("NOT_OWNED");
      expect(ports().observed.peerAuthentication("shop", "payments")?.ownerUid).not.toBe(uid());
    });

    it("never shows one of a pair without the other while it is replaced", async () => {
      await ports().applier.apply(secretOf(uid(), { "tls.crt": "0", "tls.key": "0" }), NEVER);
      for (let round = 1; round <= 20; round++) {
        const data = { "tls.crt": `${round}`, "tls.key": `${round}` };
        const [seen] = await Promise.all([
          ports().read(SECRET),
          ports().applier.apply(secretOf(uid(), data), NEVER),
        ]);
        expect(seen?.["tls.crt"]).toBe(seen?.["tls.key"]);
      }
    });

    it("does nothing once it is told to stop", async () => {
      const stopped = AbortSignal.abort();
      expect(await codeOf(ports().applier.apply(secretOf(uid(), PAIR), stopped))).toBe("ABORTED");
      expect(await ports().read(SECRET)).toBeUndefined();
    });
  });
}

function describeStores(ports: () => PortHarness): void {
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

    it("refuses another key under a known ID and takes the same one again", async () => {
      await ports().keyStore.put(KEY, new Secret("pem"));
      await ports().keyStore.put(KEY, new Secret("pem"));
      expect(await codeOf(ports().keyStore.put(KEY, new Secret("other")))).toBe("CONFLICT");
    });
  });

  describe("HolderStore", () => {
    it("replaces all that was saved before", async () => {
      await ports().holderStore.save(new Map([["shop/payments", "uid-1"]]));
      await ports().holderStore.save(new Map([["shop/orders", "uid-2"]]));
      expect([...(await ports().holderStore.load())]).toEqual([["shop/orders", "uid-2"]]);
    });

    it("gives back what was saved", async () => {
      expect([...(await ports().holderStore.load())]).toEqual([]);
      await ports().holderStore.save(new Map([["shop/payments", "uid-1"]]));
      expect([...(await ports().holderStore.load())]).toEqual([["shop/payments", "uid-1"]]);
    });
  });
}

function policyOf(ownerUid: string): PeerAuthenticationManifest {
  return {
    kind: "PeerAuthentication",
    ref: POLICY,
    owner: { kind: "ServiceIdentity", name: "payments", uid: ownerUid },
    annotations: {},
    spec: {
      selector: { matchLabels: { app: "payments", on: "yes" } },
      mtls: { mode: "STRICT" },
      portLevelMtls: { "9090": { mode: "PERMISSIVE" } },
    },
  };
}
