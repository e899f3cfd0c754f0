/**
 * Applier, and ObservedState after each write.
 */

import { describe, expect, it } from "@jest/globals";
import { Secret } from "../../../src/core/secret.ts";
import { keyHashes } from "../../../src/reconcile/facts.ts";
import type { PeerAuthenticationManifest } from "../../../src/reconcile/manifests/manifest.ts";
import { BUNDLE, bundleOf, NEVER, POLICY, SECRET, secretOf } from "../directory.ts";
import { codeOf } from "../errors.ts";
import { DOCUMENTS, PAIR, type PortHarness } from "./harness.ts";

export function describeApplier(ports: () => PortHarness, uid: () => string): void {
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

    it("replaces a Secret that it owns as a whole: keys and annotations that are not named go", async () => {
      await ports().applier.apply(secretOf(uid(), PAIR), NEVER);
      const before = ports().observed.secret("shop", "payments-tls");
      const next = {
        ...secretOf(uid(), { "tls.crt": "crt-2", "tls.key": "key-2", "key.pem": "key-2" }),
        annotations: { "meshid.dev/note": "2" },
      };
      await ports().applier.apply(next, NEVER);
      expect(await ports().read(SECRET)).toEqual({
        "tls.crt": "crt-2",
        "tls.key": "key-2",
        "key.pem": "key-2",
      });
      const after = ports().observed.secret("shop", "payments-tls");
      expect(after).toMatchObject({ ownerUid: uid(), annotations: { "meshid.dev/note": "2" } });
      expect(Object.keys(after?.hashes ?? {}).toSorted()).toEqual(["key.pem", "tls.crt", "tls.key"]);
      expect(after?.hashes["tls.crt"]).not.toBe(before?.hashes["tls.crt"]);
      expect(ports().observed.ownedBy(uid())).toEqual([SECRET]);
    });

    it("takes bytes as they are", async () => {
      const keystore = Uint8Array.from({ length: 256 }, (_, byte) => byte);
      const bytes = {
        ...secretOf(uid(), {}),
        data: new Secret({ "keystore.p12": keystore, empty: Uint8Array.of() }),
      };
      await ports().applier.apply(bytes, NEVER);
      const { hashes } = ports().observed.secret("shop", "payments-tls") ?? {};
      expect(hashes).toEqual(keyHashes(bytes.data.reveal()));
    });

    it("can say the same again: nothing changes", async () => {
      await ports().applier.apply(secretOf(uid(), PAIR), NEVER);
      const before = ports().observed.secret("shop", "payments-tls");
      await ports().applier.apply(secretOf(uid(), PAIR), NEVER);
      expect(ports().observed.secret("shop", "payments-tls")).toEqual(before);
    });

    it("makes an object anew that someone took away", async () => {
      await ports().applier.apply(secretOf(uid(), PAIR), NEVER);
      await ports().removeByHand(SECRET);
      expect(ports().observed.ownedBy(uid())).toEqual([]);
      await ports().applier.apply(secretOf(uid(), PAIR), NEVER);
      expect(await ports().read(SECRET)).toEqual(PAIR);
      expect(ports().observed.ownedBy(uid())).toEqual([SECRET]);
    });

    it("leaves an object that is not meshid's as it is", async () => {
      await ports().putForeign(SECRET);
      const before = await ports().read(SECRET);
      expect(await codeOf(ports().applier.apply(secretOf(uid(), PAIR), NEVER))).toBe("NOT_OWNED");
      expect(await ports().read(SECRET)).toEqual(before);
    });

    it("leaves the Secret of another owner as it is", async () => {
      const other = await ports().putIdentity("shop", "orders", {});
      await ports().applier.apply(secretOf(other.metadata, PAIR), NEVER);
      const attempt = ports().applier.apply(secretOf(uid(), { "tls.key": "mine" }), NEVER);
      expect(await codeOf(attempt)).toBe("NOT_OWNED");
      expect(await ports().read(SECRET)).toEqual(PAIR);
    });

    it("amends some keys and leaves the private key", async () => {
      await ports().applier.apply(secretOf(uid(), { ...PAIR, "tls-combined.pem": "both" }), NEVER);
      const set = new Secret({ "ca.crt": Buffer.from("ca-2"), "bundle.json": Buffer.from("{}") });
      const remove = ["tls-combined.pem"];
      const change = { ref: SECRET, ownerUid: uid(), set, remove, annotations: { "meshid.dev/note": "2" } };
      await ports().applier.amend(change, NEVER);
      expect(await ports().read(SECRET)).toEqual({ ...PAIR, "ca.crt": "ca-2", "bundle.json": "{}" });
      const after = ports().observed.secret("shop", "payments-tls");
      expect(after).toMatchObject({ ownerUid: uid(), annotations: { "meshid.dev/note": "2" } });
      const kept = { "tls.crt": Buffer.from("crt-1"), "tls.key": Buffer.from("key-1") };
      expect(after?.hashes).toEqual(keyHashes(kept));
      expect(ports().observed.ownedBy(uid())).toEqual([SECRET]);
    });

    it("amends nothing of another owner's Secret", async () => {
      const other = await ports().putIdentity("shop", "orders", {});
      await ports().applier.apply(secretOf(other.metadata, PAIR), NEVER);
      const set = new Secret({ "tls.key": Buffer.from("mine") });
      const change = { ref: SECRET, ownerUid: uid(), set, remove: ["tls.crt"], annotations: {} };
      expect(await codeOf(ports().applier.amend(change, NEVER))).toBe("NOT_OWNED");
      expect(await ports().read(SECRET)).toEqual(PAIR);
    });

    it("amends no Secret into being", async () => {
      await ports().applier.apply(secretOf(uid(), PAIR), NEVER);
      await ports().removeByHand(SECRET);
      const set = new Secret({ "ca.crt": Buffer.from("ca-2") });
      const change = { ref: SECRET, ownerUid: uid(), set, remove: [], annotations: {} };
      expect(await codeOf(ports().applier.amend(change, NEVER))).toBe("NOT_FOUND");
      expect(await ports().read(SECRET)).toBeUndefined();
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

    it.each([
      ["a Secret", SECRET],
      ["a PeerAuthentication", POLICY],
    ] as const)("leaves %s that is not meshid's when it prunes, without a word", async (_, ref) => {
      await ports().putForeign(ref);
      const before = await ports().read(ref);
      await ports().applier.prune(ref, uid(), NEVER);
      expect(await ports().read(ref)).toEqual(before);
      expect(before).toBeDefined();
    });

    it("knows what each owner owns, of every kind and namespace", async () => {
      const other = await ports().putIdentity("bank", "ledger", {});
      const ledger = { kind: "Secret", namespace: "bank", name: "ledger-tls" } as const;
      await ports().applier.apply(secretOf(uid(), PAIR), NEVER);
      await ports().applier.apply(policyOf(uid()), NEVER);
      await ports().applier.apply(secretOf(other.metadata, PAIR, ledger), NEVER);
      const kinds = ports()
        .observed.ownedBy(uid())
        .map(({ kind }) => kind);
      expect(kinds.toSorted()).toEqual(["PeerAuthentication", "Secret"]);
      expect(ports().observed.ownedBy(other.metadata.uid)).toEqual([ledger]);
      expect(ports().observed.ownedBy("nobody")).toEqual([]);
      await ports().applier.prune(SECRET, uid(), NEVER);
      expect(ports().observed.ownedBy(uid())).toEqual([POLICY]);
    });

    it("replaces a PeerAuthentication as a whole, and lists those of a namespace alone", async () => {
      await ports().applier.apply(policyOf(uid()), NEVER);
      const spec = { selector: { matchLabels: { app: "other" } }, mtls: { mode: "PERMISSIVE" } };
      await ports().applier.apply({ ...policyOf(uid()), spec }, NEVER);
      expect(ports().observed.peerAuthentication("shop", "payments")?.spec).toEqual(spec);
      expect(
        ports()
          .observed.peerAuthentications("shop")
          .map(({ ref }) => ref),
      ).toEqual([POLICY]);
      expect(ports().observed.peerAuthentications("bank")).toEqual([]);
    });

    it("replaces a ConfigMap as a whole", async () => {
      const { uid: owner } = ports().desired.trustDomain().metadata;
      await ports().applier.apply(bundleOf(owner, DOCUMENTS), NEVER);
      const before = ports().observed.configMap("shop", "meshid-bundle")?.bundleHash;
      await ports().applier.apply(bundleOf(owner, { "ca.crt": "next" }), NEVER);
      expect(await ports().read(BUNDLE)).toEqual({ "ca.crt": "next" });
      const after = ports().observed.configMap("shop", "meshid-bundle")?.bundleHash;
      expect(after).toMatch(/^[0-9a-f]+$/);
      expect(after).not.toBe(before);
    });

    it("leaves a ConfigMap that is not meshid's as it is", async () => {
      const { uid: owner } = ports().desired.trustDomain().metadata;
      await ports().putForeign(BUNDLE);
      const before = await ports().read(BUNDLE);
      expect(await codeOf(ports().applier.apply(bundleOf(owner, DOCUMENTS), NEVER))).toBe("NOT_OWNED");
      expect(await ports().read(BUNDLE)).toEqual(before);
      expect(ports().observed.configMap("shop", "meshid-bundle")?.ownerUid).not.toBe(owner);
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
      await ports().applier.apply(secretOf(uid(), PAIR), NEVER);
      const set = new Secret({ "tls.key": Buffer.from("key-2") });
      const change = { ref: SECRET, ownerUid: uid(), set, remove: [], annotations: {} };
      expect(await codeOf(ports().applier.amend(change, stopped))).toBe("ABORTED");
      expect(await ports().read(SECRET)).toEqual(PAIR);
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
