import { beforeEach, describe, expect, it } from "@jest/globals";
import { Authority } from "../../../src/authority/authority.ts";
import { Claims } from "../../../src/controller/claims.ts";
import { KeyTurns } from "../../../src/controller/key-turns.ts";
import { Refusals } from "../../../src/controller/refusals.ts";
import { RewriteGuard } from "../../../src/controller/rewrite-guard.ts";
import { ServiceIdentityReconciler } from "../../../src/controller/service-identity-reconciler.ts";
import { OperatorError } from "../../../src/core/errors.ts";
import { Secret } from "../../../src/core/secret.ts";
import type { ServiceIdentitySpec } from "../../../src/registration/service-identity.ts";
import { trustDomainPolicy } from "../../../src/registration/trust-domain-policy.ts";
import { MemoryStores, POLICY, START } from "../../support/authority-fakes.ts";
import { codeOf } from "../../support/errors.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { FakeWorld } from "../../support/fake-ports.ts";
import { fakeRandom } from "../../support/fake-random.ts";

type X509Spec = NonNullable<ServiceIdentitySpec["x509"]>;

const NEVER = new AbortController().signal;
const TLS = { kind: "Secret", namespace: "shop", name: "a-tls" } as const;
const full = new OperatorError("STORAGE_FAILED", "the disk is full", { retryable: true });

describe("ServiceIdentityReconciler", () => {
  let world: FakeWorld;
  let clock: FakeClock;
  let authority: Authority;
  let reconciler: ServiceIdentityReconciler;
  let claims: Claims;
  let refusals: Refusals;
  let keyTurns: KeyTurns;
  let called: string[];
  let changed: number;

  beforeEach(async () => {
    world = new FakeWorld();
    clock = new FakeClock(START);
    const { journalStore, keyStore } = new MemoryStores();
    const random = fakeRandom(3);
    authority = new Authority({ journalStore, keyStore, clock, random, policy: () => POLICY });
    await authority.open();
    claims = new Claims(world, undefined);
    refusals = new Refusals(clock);
    changed = 0;
    called = [];
    keyTurns = new KeyTurns((key) => called.push(key));
    reconciler = new ServiceIdentityReconciler({
      desired: world,
      observed: world,
      applier: world,
      status: world,
      authority,
      claims,
      rewrites: new RewriteGuard(clock),
      refusals,
      keyTurns,
      audit: world,
      events: world,
      clock,
      policy: () => trustDomainPolicy(world.domain, { mode: "local", clusterDomain: "cluster.local" }),
      meshRootNamespace: "istio-system",
      onChanged: () => changed++,
    });
  });

  const reconcile = async (name = "a"): ReturnType<ServiceIdentityReconciler["reconcile"]> => {
    await claims.update([`shop/${name}`]);
    return reconciler.reconcile(`shop/${name}`, NEVER);
  };
  const serial = (): string | undefined => world.secret("shop", "a-tls")?.x509?.serialNumber;
  const since = (length: number): readonly string[] => world.calls.slice(length);

  it("issues what was asked for, reports it last, and comes back before the first of it is to be renewed", async () => {
    world.want("a", { x509: { ttl: "1h" }, jwt: { tokens: [{ audience: "orders.shop" }] } });
    const { requeueAt } = await reconcile();
    expect(world.calls).toEqual(["apply Secret shop/a-tls", "apply Secret shop/a-jwt", "status shop/a"]);
    expect(["Ready", "X509Issued", "JWTIssued"].map((type) => world.condition("a", type))).toEqual(
      Array(3).fill("True Issued"),
    );
    expect(world.issued.map(({ reason }) => reason)).toEqual(["Missing", "Missing"]);
    expect(requeueAt).toBeGreaterThan(START + 1200);
    expect(requeueAt).toBeLessThanOrEqual(START + 1980);
    expect(changed).toBe(1);
  });

  it("writes nothing while everything is as it should be, however often it is asked", async () => {
    world.want("a", { jwt: { tokens: [{ audience: "orders.shop" }] } });
    await reconcile();
    const before = world.calls.length;
    for (let times = 0; times < 5; times++) await reconcile();
    expect(since(before)).toEqual([]);
    expect(changed).toBe(1);
  });

  it("renews with a new key once it is due", async () => {
    world.want("a", { x509: { ttl: "1h" } });
    const { requeueAt = START } = await reconcile();
    const [first, key] = [serial(), world.objects.get("Secret shop/a-tls")?.content["tls.key"]];
    clock.jump(requeueAt - START - 1);
    await reconcile();
    expect(serial()).toBe(first);
    clock.jump(1);
    await reconcile();
    expect(serial()).not.toBe(first);
    expect(world.objects.get("Secret shop/a-tls")?.content["tls.key"]).not.toEqual(key);
    expect(world.issued.at(-1)?.reason).toBe("RenewalDue");
    expect(world.wanted.get("shop/a")?.status?.x509?.revision).toBe(2);
  });

  it("is called again after a failed write, and has reported nothing that is not so", async () => {
    world.want("a");
    world.failing = (call) => (call.startsWith("apply") ? full : undefined);
    await expect(reconcile()).rejects.toBe(full);
    expect([world.calls, world.issued]).toEqual([[], []]);
    world.failing = () => undefined;
    await reconcile();
    expect(world.condition("a", "Ready")).toBe("True Issued");
  });

  it("issues nothing twice when it died between the write and the report", async () => {
    world.want("a");
    world.failing = (call) => (call.startsWith("status") ? full : undefined);
    await expect(reconcile()).rejects.toBe(full);
    const first = serial();
    world.failing = () => undefined;
    await reconcile();
    expect(serial()).toBe(first);
    expect(world.condition("a", "Ready")).toBe("True Issued");
    expect(world.issued).toHaveLength(1);
  });

  it("leaves another's Secret alone, says so once, and looks again", async () => {
    const theirs = { "tls.crt": Buffer.from("theirs") };
    world.put(TLS, "someone", theirs);
    world.want("a");
    const { requeueAt } = await reconcile();
    await reconcile();
    expect(world.objects.get("Secret shop/a-tls")?.content).toBe(theirs);
    expect(world.condition("a", "X509Issued")).toBe("False SecretConflict");
    expect(world.condition("a", "Ready")).toBe("False Pending");
    expect(requeueAt).toBe(START + 60);
    expect(world.events.map(({ reason }) => reason)).toEqual(["SecretConflict"]);
  });

  it("names the identity that has the Secret already", async () => {
    world.want("b", { x509: { secretName: "a-tls" } });
    await reconcile("b");
    world.want("a");
    await reconcile();
    expect(world.refusals.at(-1)?.message).toContain("that of ServiceIdentity shop/b");
  });

  it("issues tokens although the certificate cannot be, and the other way round", async () => {
    world.put(TLS, "someone", {});
    world.want("a", { jwt: { tokens: [{ audience: "x" }] } });
    await reconcile();
    expect([world.condition("a", "X509Issued"), world.condition("a", "JWTIssued")]).toEqual([
      "False SecretConflict",
      "True Issued",
    ]);
  });

  it.each(["__proto__", "constructor", "toString"])("issues a token under the key %s", async (key) => {
    world.want("a", { jwt: { tokens: [{ audience: "x", key }] } });
    await reconcile();
    expect(Object.keys(world.objects.get("Secret shop/a-jwt")?.content ?? {})).toContain(key);
    expect(world.condition("a", "JWTIssued")).toBe("True Issued");
    const before = world.calls.length;
    await reconcile();
    expect(since(before)).toEqual([]);
  });

  it("says that the authority is not ready, and goes on when it is", async () => {
    world.want("a");
    await authority.close();
    await reconcile();
    expect(world.condition("a", "X509Issued")).toBe("False AuthorityNotReady");
    await authority.open();
    await reconcile();
    expect(world.condition("a", "X509Issued")).toBe("True Issued");
  });

  it("refuses a spec without touching what was issued before", async () => {
    world.want("a");
    await reconcile();
    const before = serial();
    world.want("a", { x509: { dnsNames: ["a.bank.svc"] } });
    await reconcile();
    expect(world.condition("a", "X509Issued")).toBe("False InvalidSpec");
    expect(serial()).toBe(before);
    expect(world.wanted.get("shop/a")?.status?.x509?.serialNumber).toBe(before);
  });

  it("removes what is no longer asked for", async () => {
    world.want("a", { jwt: { tokens: [{ audience: "x" }] } });
    await reconcile();
    world.want("a");
    await reconcile();
    expect([...world.objects.keys()]).toEqual(["Secret shop/a-tls"]);
    expect(world.condition("a", "JWTIssued")).toBe("");
  });

  it("takes back what it has just issued to an identity that went away meanwhile", async () => {
    world.want("a");
    world.before = (call) => {
      if (call.startsWith("apply")) world.wanted.delete("shop/a");
    };
    await reconcile();
    expect([...world.objects.keys()]).toEqual([]);
  });

  it("repairs what another writer breaks, five times, then only now and then", async () => {
    world.want("a");
    await reconcile();
    for (let times = 0; times < 5; times++) {
      world.objects.delete("Secret shop/a-tls");
      await reconcile();
      expect(world.condition("a", "X509Issued")).toBe("True Issued");
    }
    world.objects.delete("Secret shop/a-tls");
    const { requeueAt } = await reconcile();
    expect(world.condition("a", "X509Issued")).toBe("False SecretRewritten");
    expect(requeueAt).toBe(START + 120);
    clock.jump(120);
    await reconcile();
    expect(world.condition("a", "X509Issued")).toBe("True Issued");
  });

  it("takes away what others put beside its Secrets five times, then only now and then", async () => {
    const extra = { kind: "Secret", namespace: "shop", name: "a-extra" } as const;
    world.want("a");
    await reconcile();
    for (let times = 0; times < 5; times++) {
      world.put(extra, "a-uid", { "ca.crt": Buffer.from("theirs") });
      await reconcile();
      expect(world.secret("shop", "a-extra")).toBeUndefined();
    }
    world.put(extra, "a-uid", { "ca.crt": Buffer.from("theirs") });
    expect(await reconcile()).toEqual({ requeueAt: START + 120 });
    expect(world.secret("shop", "a-extra")).toBeDefined();
    expect(refusals.of("Secret shop/a-extra")?.why).toContain("another writer");
    clock.jump(120);
    await reconcile();
    expect(world.secret("shop", "a-extra")).toBeUndefined();
  });

  describe("of its Secrets that a rotation waits for", () => {
    const ROOTS = { "ca.crt": Buffer.from("theirs") };
    const DOCUMENTS = { "bundle.json": Buffer.from("{}"), "jwks.json": Buffer.from("{}") };
    const overwrite = (name: string, content: Readonly<Record<string, Uint8Array>>): void => {
      const id = `Secret shop/${name}`;
      const known = world.objects.get(id);
      if (known !== undefined) world.objects.set(id, { ...known, content: { ...known.content, ...content } });
    };

    beforeEach(async () => {
      world.want("a", { jwt: { tokens: [{ audience: "x" }] } });
      await reconcile();
      await authority.step(undefined, { Root: "now" });
    });

    it("says which the API server refuses to write, and why, until it is written", async () => {
      const denied = new OperatorError("WRITE_REFUSED", "denied by policy", { retryable: true });
      world.failing = (call) => (call.includes("a-tls") ? denied : undefined);
      const { requeueAt } = await reconcile();
      expect(requeueAt).toBe(START + 60);
      expect(refusals.of("Secret shop/a-tls")).toMatchObject({ why: "denied by policy", since: START });
      expect(refusals.size).toBe(1);
      world.failing = () => undefined;
      await reconcile();
      expect(refusals.size).toBe(0);
    });

    it.each([
      ["a-tls", "X509Issued", ROOTS],
      ["a-jwt", "JWTIssued", DOCUMENTS],
    ] as const)(
      "answers who puts other documents into %s five times, then only now and then",
      async (name, type, content) => {
        const consumer = `Secret shop/${name}`;
        await reconcile();
        for (let times = 0; times < 4; times++) {
          overwrite(name, content);
          await reconcile();
          expect(world.condition("a", type)).toBe("True Issued");
        }
        overwrite(name, content);
        const before = world.calls.length;
        const { requeueAt } = await reconcile();
        expect([since(before), requeueAt]).toEqual([["status shop/a"], START + 120]);
        expect(world.condition("a", type)).toBe("False SecretRewritten");
        expect(refusals.of(consumer)?.why).toContain("another writer");
        await authority.step(undefined, { JWT: "now", Root: "again" });
        clock.jump(120);
        await reconcile();
        expect(world.condition("a", type)).toBe("True Issued");
        clock.jump(120);
        expect(refusals.of(consumer)).toBeUndefined();
      },
    );
  });

  it("renews by hand once for each value, and at most once a second", async () => {
    const asked = (value: string): void =>
      world.want("a", {}, { annotations: { "meshid.dev/renew": value }, generation: 1 });
    world.want("a", {}, { generation: 1 });
    await reconcile();
    const first = serial();
    asked("1");
    expect((await reconcile()).requeueAt).toBe(START + 1);
    expect(serial()).toBe(first);
    clock.jump(1);
    await reconcile();
    await reconcile();
    expect(serial()).not.toBe(first);
    expect(world.issued.map(({ reason }) => reason)).toEqual(["Missing", "ManualRenewal"]);
    expect(world.wanted.get("shop/a")?.status?.lastManualRenewal).toBe("1");
  });

  it("renews by hand once although another part cannot be renewed, and that one when it can", async () => {
    const jwt = { tokens: [{ audience: "x" }] };
    world.want("a", { jwt }, { generation: 1 });
    await reconcile();
    const tokens = world.objects.get("Secret shop/a-jwt");
    world.put({ ...TLS, name: "a-jwt" }, "someone", {});
    world.want("a", { jwt }, { annotations: { "meshid.dev/renew": "1" }, generation: 1 });
    for (let times = 0; times < 5; times++) {
      clock.jump(60);
      await reconcile();
    }
    const renewals = (): number => world.issued.filter(({ reason }) => reason === "ManualRenewal").length;
    expect(renewals()).toBe(1);
    expect(world.wanted.get("shop/a")?.status?.lastManualRenewal).toBeUndefined();
    if (tokens !== undefined) world.objects.set("Secret shop/a-jwt", tokens);
    clock.jump(60);
    await reconcile();
    expect(renewals()).toBe(2);
    expect(world.wanted.get("shop/a")?.status?.lastManualRenewal).toBe("1");
  });

  it("puts an RSA key off while others of its namespace wait, and does the rest meanwhile", async () => {
    const x509 = { keyAlgorithm: "RSA-2048" } as const;
    const jwt = { tokens: [{ audience: "x" }] };
    const ended = Promise.withResolvers<void>();
    const crowd = (): readonly Promise<void>[] =>
      [1, 2].map(() => keyTurns.take("shop", () => ended.promise, NEVER));
    const before = crowd();
    world.want("a", { x509 }, { generation: 1 });
    expect(await reconcile()).toEqual({ requeueAt: START + 60 });
    expect(world.calls).toEqual([]);
    ended.resolve();
    await Promise.all(before);
    expect(called).toEqual(["shop/a"]);
    await reconcile();
    const first = serial();
    const never = Promise.withResolvers<void>();
    for (let times = 0; times < 2; times++) void keyTurns.take("shop", () => never.promise, NEVER);
    clock.jump(60);
    world.want("a", { x509, jwt }, { annotations: { "meshid.dev/renew": "1" }, generation: 1 });
    expect((await reconcile()).requeueAt).toBe(START + 120);
    expect([world.condition("a", "X509Issued"), world.condition("a", "JWTIssued")]).toEqual([
      "True Issued",
      "True Issued",
    ]);
    expect([serial(), world.wanted.get("shop/a")?.status?.lastManualRenewal]).toEqual([first, undefined]);
    never.resolve();
    await reconcile();
    expect(serial()).not.toBe(first);
    expect(world.wanted.get("shop/a")?.status?.lastManualRenewal).toBe("1");
  });

  it("follows the password of a keystore", async () => {
    const formats = {
      formats: ["PKCS12"],
      pkcs12: { passwordSecretRef: { name: "p12", key: "password" } },
    } as const;
    world.want("a", { x509: { ...formats, formats: ["PKCS12"] } });
    expect((await reconcile()).requeueAt).toBe(START + 30);
    expect(world.condition("a", "X509Issued")).toBe("False InvalidSpec");
    world.passwords.set("shop/p12/password", new Secret("first"));
    await reconcile();
    await reconcile();
    world.passwords.set("shop/p12/password", new Secret("second"));
    await reconcile();
    await reconcile();
    expect(world.issued.map(({ reason }) => reason)).toEqual(["Missing", "WrongPassword"]);
  });

  it.each([
    ["an empty one", ""],
    ["one with a line end", "first\n"],
    ["one that is not ASCII", "sécret"],
    ["one that is too long", "x".repeat(1025)],
  ])("refuses a password that Java would not take: %s", async (_what, password) => {
    const formats = {
      formats: ["PKCS12"],
      pkcs12: { passwordSecretRef: { name: "p12", key: "password" } },
    } as const;
    world.want("a", { x509: { ...formats, formats: ["PKCS12"] } });
    world.passwords.set("shop/p12/password", new Secret(password));
    expect((await reconcile()).requeueAt).toBe(START + 30);
    expect(world.condition("a", "X509Issued")).toBe("False InvalidSpec");
    expect(world.issued).toEqual([]);
    world.passwords.set("shop/p12/password", new Secret("x".repeat(1024)));
    await reconcile();
    expect(world.condition("a", "X509Issued")).toBe("True Issued");
  });

  it.each<readonly [string, X509Spec]>([
    [
      "reads no password",
      { formats: ["PKCS12"], pkcs12: { passwordSecretRef: { name: "p12", key: "password" } } },
    ],
    ["makes no RSA key", { keyAlgorithm: "RSA-2048" }],
  ])("%s once it is told to stop", async (_what, x509) => {
    world.want("a", { x509 });
    world.passwords.set("shop/p12/password", new Secret("first"));
    await claims.update(["shop/a"]);
    expect(await codeOf(reconciler.reconcile("shop/a", AbortSignal.abort()))).toBe("ABORTED");
    expect(world.calls).toEqual([]);
  });

  it("lets no private key and no token out but into the Secrets", async () => {
    world.want("a", { jwt: { tokens: [{ audience: "x" }] } });
    await reconcile();
    const { content = {} } = world.objects.get("Secret shop/a-tls") ?? {};
    const [, secret = ""] = Buffer.from(content["tls.key"] ?? "")
      .toString()
      .split("\n");
    const token = Buffer.from(world.objects.get("Secret shop/a-jwt")?.content["x.jwt"] ?? "").toString();
    expect([secret.length, token.split(".").length]).toEqual([64, 3]);
    const told = JSON.stringify([
      world.events,
      world.issued,
      world.refusals,
      [...world.wanted.values()],
      world.calls,
    ]);
    expect(told).not.toContain(secret);
    expect(told).not.toContain(token.split(".")[2]);
  });

  describe("while nothing can be issued", () => {
    const PUBLIC = ["ca.crt", "bundle.json", "jwks.json"] as const;

    /** What the identity's Secrets hold of the bundle. */
    const bundle = (): unknown => {
      const content = ["a-tls", "a-jwt"].map((name) => world.objects.get(`Secret shop/${name}`)?.content);
      return PUBLIC.map((key) =>
        content.map((one) => one?.[key]?.toString()).find((text) => text !== undefined),
      );
    };
    const published = (): unknown => {
      const { caPem, bundleJson, jwksJson } = authority.view();
      return [caPem, bundleJson, jwksJson];
    };

    beforeEach(async () => {
      world.want("a", { jwt: { tokens: [{ audience: "x" }] } });
      await reconcile();
    });

    it("brings the bundle to an identity that is refused, and issues nothing", async () => {
      world.want("a", { x509: { ttl: "9999h" }, jwt: { tokens: [{ audience: "x" }] } });
      await authority.step(undefined, { Root: "now", JWT: "now" });
      await reconcile();
      expect(world.condition("a", "X509Issued")).toBe("False InvalidSpec");
      expect(bundle()).toEqual(published());
      expect(world.issued).toHaveLength(2);
    });

    it("brings the successor of a key that has ended to its consumers, which are waited for", async () => {
      clock.jump(POLICY.keyTTL + 1);
      await authority.step(undefined, {});
      await reconcile();
      expect(world.condition("a", "JWTIssued")).toBe("False AuthorityNotReady");
      expect(bundle()).toEqual(published());
    });
  });
});
