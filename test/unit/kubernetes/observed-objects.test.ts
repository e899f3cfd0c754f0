import { beforeAll, describe, expect, it } from "@jest/globals";
import { type KubeObject, LAST_VERSION } from "../../../src/kubernetes/objects.ts";
import { ObservedObjects } from "../../../src/kubernetes/observed-objects.ts";
import { Tombstones } from "../../../src/kubernetes/tombstones.ts";
import { generateKey } from "../../../src/x509/keys.ts";
import { type Forgery, forgeDer, makePki, type Pki } from "../../support/certificates.ts";
import { objectOf } from "../../support/kubernetes/scripted.ts";

const OWNER = {
  apiVersion: "meshid.dev/v1alpha1",
  kind: "ServiceIdentity",
  name: "payments",
  uid: "uid-1",
  controller: true,
};
const base64 = (text: string): string => Buffer.from(text).toString("base64");

function secret(
  version: number,
  data: Readonly<Record<string, string>>,
  rest: Partial<KubeObject["metadata"]> = {},
): KubeObject {
  const metadata = { ownerReferences: [OWNER], ...rest };
  const encoded = Object.fromEntries(Object.entries(data).map(([key, text]) => [key, base64(text)]));
  return { ...objectOf("payments-tls", version, metadata), data: encoded };
}

describe("ObservedObjects", () => {
  it("keeps of an object that is not meshid's nothing but that it is there", () => {
    const objects = new ObservedObjects();
    const metadata = {
      ownerReferences: [],
      labels: {},
      annotations: { "meshid.dev/revision": "1", big: "x" },
    };
    objects.set("Secret", secret(5, { "tls.crt": "theirs", "ca.crt": "theirs" }, metadata));
    const foreign = { ...OWNER, apiVersion: "apps/v1", kind: "Deployment" };
    objects.set("Secret", {
      ...secret(6, { "tls.crt": "theirs" }, { ownerReferences: [foreign], name: "other" }),
    });
    for (const name of ["payments-tls", "other"]) {
      const seen = objects.secret("shop", name);
      expect(seen).toMatchObject({ annotations: {}, hashes: {}, tokens: {} });
      expect([seen?.x509, seen?.bundleHash]).toEqual([undefined, undefined]);
    }
    expect(objects.ownerUidOf({ kind: "Secret", namespace: "shop", name: "other" })).toBe("uid-1");
    expect(objects.uidOf({ kind: "Secret", namespace: "shop", name: "payments-tls" })).toBe(
      "uid-payments-tls",
    );
  });

  it("keeps the newest state, whatever comes late", () => {
    const objects = new ObservedObjects();
    expect(objects.set("Secret", secret(9, { "tls.crt": "new" }))).toBe(true);
    const { hashes } = objects.secret("shop", "payments-tls") ?? {};
    expect(objects.set("Secret", secret(8, { "tls.crt": "old" }))).toBe(false);
    expect(objects.set("Secret", secret(9, { "tls.crt": "old" }))).toBe(false);
    expect(objects.remove("Secret", secret(8, {}))).toBeUndefined();
    expect(objects.secret("shop", "payments-tls")?.hashes).toEqual(hashes);
    // Versions are integers of any length, no text.
    expect(objects.set("Secret", secret(10, { "tls.crt": "newest" }))).toBe(true);
    expect(objects.remove("Secret", secret(11, {}))).toEqual({ ownerUid: "uid-1" });
  });

  it("follows an object from one owner to another", () => {
    const objects = new ObservedObjects();
    objects.set("Secret", secret(5, {}));
    objects.set("Secret", secret(6, {}, { ownerReferences: [{ ...OWNER, uid: "uid-2" }] }));
    expect([objects.ownedBy("uid-1").length, objects.ownedBy("uid-2").length]).toEqual([0, 1]);
    objects.set("Secret", secret(7, {}, { ownerReferences: [] }));
    expect(objects.ownedBy("uid-2")).toEqual([]);
  });

  it("says what a list no longer shows, where the list is the newer one", () => {
    const objects = new ObservedObjects();
    objects.set("Secret", secret(5, {}));
    objects.set("Secret", secret(25, {}, { name: "new" }));
    objects.set("Secret", secret(6, {}, { name: "elsewhere", namespace: "bank" }));
    const missing = (version: bigint): readonly string[] =>
      objects
        .missing("Secret", { keys: new Set(), version }, (namespace) => namespace === "shop")
        .map(({ name }) => name);
    expect(missing(20n)).toEqual(["payments-tls"]);
    expect(missing(LAST_VERSION)).toEqual(["payments-tls", "new"]);
    expect(
      objects.missing("Secret", { keys: new Set(["shop/payments-tls"]), version: 20n }, () => true),
    ).toMatchObject([{ name: "elsewhere", ownerUid: "uid-1" }]);
  });

  it("keeps the authorities of each set of public documents once, and drops those that nothing carries", () => {
    const objects = new ObservedObjects();
    const jwks = (kid: string): Readonly<Record<string, string>> => ({
      "jwks.json": JSON.stringify({ keys: [{ kid }] }),
    });
    objects.set("Secret", secret(5, jwks("first")));
    const first = objects.secret("shop", "payments-tls")?.bundleHash ?? "";
    expect([...(objects.authorities(first)?.jwt ?? [])]).toEqual(["first"]);
    for (let version = 6; version < 400; version++)
      objects.set("Secret", secret(version, jwks(`key-${version}`)));
    expect(objects.authorities(first)).toBeUndefined();
    const last = objects.secret("shop", "payments-tls")?.bundleHash ?? "";
    expect([...(objects.authorities(last)?.jwt ?? [])]).toEqual(["key-399"]);
  });

  it("keeps meshid's own annotations alone, and none that is longer than any of them", () => {
    const objects = new ObservedObjects();
    const annotations = { "meshid.dev/revision": "3", "meshid.dev/long": "x".repeat(8193), note: "theirs" };
    objects.set("Secret", secret(5, {}, { annotations }));
    objects.set("PeerAuthentication", objectOf("strict", 6, { annotations }));
    const kept = { "meshid.dev/revision": "3" };
    expect(objects.secret("shop", "payments-tls")?.annotations).toEqual(kept);
    expect(objects.peerAuthentication("shop", "strict")?.annotations).toEqual(kept);
  });

  it("keeps of a policy of any size what it does to workloads, and of one beyond that nothing", () => {
    const objects = new ObservedObjects();
    const ports = Object.fromEntries(Array.from({ length: 2000 }, (_, port) => [port, { mode: "STRICT" }]));
    const policy = { selector: { matchLabels: { app: "a" } }, mtls: { mode: "DISABLE" } };
    const labels = Object.fromEntries(Array.from({ length: 2000 }, (_, at) => [`label-${at}`, "x"]));
    const seen = (spec: object): unknown => {
      objects.set("PeerAuthentication", { ...objectOf("p", ++version), spec });
      return objects.peerAuthentication("shop", "p")?.spec;
    };
    let version = 5;
    expect(seen(policy)).toEqual(policy);
    expect(seen({ ...policy, portLevelMtls: ports })).toEqual(policy);
    expect(seen({ ...policy, selector: { matchLabels: labels } })).toEqual({ oversized: true });
  });

  describe("content that was made to do harm", () => {
    let pki: Pki;
    let key: Forgery["key"];
    beforeAll(async () => {
      pki = await makePki();
      key = await generateKey("ECDSA-P256");
    });
    const pem = (der: Uint8Array): string =>
      `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString("base64").replace(/.{64}/g, "$&\n")}\n-----END CERTIFICATE-----\n`;

    it("is read without an error, cut and changed at every place", () => {
      const der = forgeDer({ signer: { certificate: pki.issuing, key: pki.issuingKey }, key });
      const objects = new ObservedObjects();
      let version = 1;
      for (let at = 0; at < der.length; at += 3) {
        const changed = Uint8Array.from(der);
        changed[at] = (changed[at] ?? 0) ^ 0x5a;
        for (const bytes of [changed, der.subarray(0, at)]) {
          const data = {
            "tls.crt": pem(bytes),
            "tls.key": "none",
            "ca.crt": pem(bytes),
            "jwks.json": pem(bytes),
          };
          expect(objects.set("Secret", secret(++version, data))).toBe(true);
        }
      }
    });

    it.each([
      ["data that is no object", "text"],
      ["data whose values are no text", { "tls.crt": 7, "tls.key": null }],
      ["data that is no base64", { "tls.crt": "%%%", "ca.crt": "\u0000" }],
      ["a token of many parts", { token: base64("a.".repeat(5000)) }],
      ["deep JSON", { "jwks.json": base64("[".repeat(100_000)) }],
      ["a member that every object has", { __proto__: "x", constructor: base64("x") }],
      ["more than meshid ever writes", { "ca.crt": base64("x".repeat(524_289)) }],
      [
        "more keys than meshid ever writes",
        Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`k${at}`, "eA=="])),
      ],
    ])("is taken for content that says nothing: %s", (_, data) => {
      const objects = new ObservedObjects();
      expect(objects.set("Secret", { ...secret(5, {}), data })).toBe(true);
      expect(objects.secret("shop", "payments-tls")).toMatchObject({ ownerUid: "uid-1", tokens: {} });
      const { hashes = {}, bundleHash = "" } = objects.secret("shop", "payments-tls") ?? {};
      expect(Object.keys(hashes).length).toBeLessThan(64);
      expect(objects.authorities(bundleHash)?.roots?.size ?? 0).toBe(0);
    });
  });
});

describe("Tombstones", () => {
  it("covers what was before the deletion and nothing after it, and forgets the oldest of many", () => {
    const gone = new Tombstones();
    gone.add("first", 10n);
    expect([9n, 10n, 11n].map((version) => gone.covers("first", version))).toEqual([true, true, false]);
    expect(gone.covers("other", 1n)).toBe(false);
    for (let index = 0; index < 4096; index++) gone.add(`key-${index}`, 20n);
    expect(gone.covers("first", 9n)).toBe(false);
    expect(gone.covers("key-0", 9n)).toBe(true);
  });
});
