import { beforeEach, describe, expect, it } from "@jest/globals";
import { Authority } from "../../../src/authority/authority.ts";
import { refreshBundle } from "../../../src/controller/bundle-refresh.ts";
import { Refusals } from "../../../src/controller/refusals.ts";
import { RewriteGuard } from "../../../src/controller/rewrite-guard.ts";
import { OperatorError } from "../../../src/core/errors.ts";
import { Secret } from "../../../src/core/secret.ts";
import { encodeKeyHashes } from "../../../src/reconcile/annotations.ts";
import { type Content, keyHashes } from "../../../src/reconcile/facts.ts";
import { trustDomainPolicy } from "../../../src/registration/trust-domain-policy.ts";
import { MemoryStores, POLICY, START } from "../../support/authority-fakes.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { FakeWorld } from "../../support/fake-ports.ts";
import { fakeRandom } from "../../support/fake-random.ts";

const NEVER = new AbortController().signal;
const ME = { uid: "a-uid", namespace: "shop" } as const;

function contentOf(...keys: readonly string[]): Content {
  return Object.fromEntries(keys.map((key) => [key, Buffer.from(`old ${key}`)]));
}

describe("refreshBundle", () => {
  let world: FakeWorld;
  let clock: FakeClock;
  let authority: Authority;
  let refusals: Refusals;
  let rewrites: RewriteGuard;

  beforeEach(async () => {
    world = new FakeWorld();
    clock = new FakeClock(START);
    refusals = new Refusals(clock);
    rewrites = new RewriteGuard(clock);
    const { journalStore, keyStore } = new MemoryStores();
    authority = new Authority({ journalStore, keyStore, clock, random: fakeRandom(3), policy: () => POLICY });
    await authority.open();
  });

  const policy = (): ReturnType<typeof trustDomainPolicy> =>
    trustDomainPolicy(world.domain, { mode: "local", clusterDomain: "cluster.local" });
  const refresh = (): ReturnType<typeof refreshBundle> =>
    refreshBundle(
      { observed: world, applier: world, authority, clock, refusals, rewrites, policy },
      ME,
      NEVER,
    );

  /** A Secret as it was issued when the bundle was another. */
  const issued = async (name: string, content: Content, namespace = "shop"): Promise<void> => {
    await world.apply({
      kind: "Secret",
      ref: { kind: "Secret", namespace, name },
      owner: { kind: "ServiceIdentity", name: "a", uid: ME.uid },
      type: "Opaque",
      data: new Secret(content),
      annotations: { "meshid.dev/revision": "3", "meshid.dev/content": encodeKeyHashes(keyHashes(content)) },
    });
    world.calls.length = 0;
  };
  const stored = (name: string): Record<string, string> => {
    const content = world.objects.get(`Secret shop/${name}`)?.content ?? {};
    return Object.fromEntries(Object.entries(content).map(([key, value]) => [key, String(value)]));
  };

  it("brings the roots up to date in both forms and leaves the certificate and its key", async () => {
    const keys = ["tls.crt", "tls.key", "ca.crt", "cert-chain.pem", "key.pem", "root-cert.pem"];
    await issued("a-tls", contentOf(...keys));
    expect(await refresh()).toEqual({ changed: true });
    const { caPem } = authority.view();
    expect(stored("a-tls")).toEqual({
      ...Object.fromEntries(keys.map((key) => [key, `old ${key}`])),
      "ca.crt": caPem,
      "root-cert.pem": caPem,
    });
    expect(world.secret("shop", "a-tls")?.annotations["meshid.dev/revision"]).toBe("3");
    expect(await refresh()).toEqual({ changed: false });
  });

  it("brings bundle and JWKS up to date beside tokens", async () => {
    await issued("a-jwt", contentOf("x.jwt", "bundle.json", "jwks.json"));
    await refresh();
    const { bundleJson, jwksJson } = authority.view();
    expect(stored("a-jwt")).toEqual({
      "x.jwt": "old x.jwt",
      "bundle.json": bundleJson,
      "jwks.json": jwksJson,
    });
  });

  it("forgets the truststore, which it cannot write, so that the next issuance makes it anew", async () => {
    await issued("a-tls", contentOf("tls.crt", "tls.key", "ca.crt", "keystore.p12", "truststore.p12"));
    await refresh();
    const note = world.secret("shop", "a-tls")?.annotations["meshid.dev/content"];
    expect(note).toContain("keystore.p12=");
    expect(note).not.toContain("truststore.p12=");
  });

  it("leaves what lies elsewhere, and what it cannot tell the content of", async () => {
    await issued("a-tls", contentOf("tls.crt", "tls.key", "ca.crt"), "bank");
    world.put({ kind: "Secret", namespace: "shop", name: "empty" }, ME.uid, contentOf("note"));
    expect(await refresh()).toEqual({ changed: false });
    world.put({ kind: "Secret", namespace: "shop", name: "odd" }, ME.uid, contentOf("ca.crt"));
    expect(await refresh()).toEqual({ changed: false, requeueAt: START + 60 });
    expect(world.calls).toEqual([]);
    // It carries other roots than ours, and a rotation would wait for it.
    expect(refusals.of("Secret shop/odd")?.why).toContain("not what meshid has written");
    expect(refusals.size).toBe(1);
  });

  it("goes on past a Secret that may not be written, and comes back to it", async () => {
    await issued("a-tls", contentOf("tls.crt", "tls.key", "ca.crt"));
    await issued("b-tls", contentOf("tls.crt", "tls.key", "ca.crt"));
    const refused = new OperatorError("WRITE_REFUSED", "exceeded quota", { retryable: true });
    world.failing = (call) => (call.includes("a-tls") ? refused : undefined);
    expect(await refresh()).toEqual({ changed: true, requeueAt: START + 60 });
    expect(stored("b-tls")["ca.crt"]).toBe(authority.view().caPem);
    expect([refusals.of("Secret shop/a-tls")?.why, refusals.size]).toEqual(["exceeded quota", 1]);
    world.failing = () => undefined;
    expect(await refresh()).toEqual({ changed: true });
    expect(refusals.size).toBe(0);
  });

  it("does not answer each time whoever takes the roots out again, and says that somebody does", async () => {
    const old = contentOf("tls.crt", "tls.key", "ca.crt");
    for (let times = 0; times < 5; times++) {
      await issued("a-tls", old);
      expect(await refresh()).toEqual({ changed: true });
    }
    await issued("a-tls", old);
    expect(await refresh()).toEqual({ changed: false, requeueAt: START + 120 });
    expect(refusals.of("Secret shop/a-tls")?.why).toContain("another writer");
    await authority.step(undefined, { Root: "a" });
    expect(await refresh()).toEqual({ changed: true });
  });

  it("does nothing while there is no authority, and lets a failing store be tried again", async () => {
    await issued("a-tls", contentOf("tls.crt", "tls.key", "ca.crt"));
    const full = new OperatorError("STORAGE_FAILED", "the disk is full", { retryable: true });
    world.failing = () => full;
    await expect(refresh()).rejects.toBe(full);
    await authority.close();
    expect(await refresh()).toEqual({ changed: false });
  });
});
