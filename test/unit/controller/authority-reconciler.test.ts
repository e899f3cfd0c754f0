import { isDeepStrictEqual } from "node:util";
import { beforeEach, describe, expect, it } from "@jest/globals";
import { Authority } from "../../../src/authority/authority.ts";
import type { AuthorityKind } from "../../../src/authority/slot.ts";
import { AuthorityReconciler } from "../../../src/controller/authority-reconciler.ts";
import { BundleReconciler } from "../../../src/controller/bundle-reconciler.ts";
import { Refusals } from "../../../src/controller/refusals.ts";
import { seconds } from "../../../src/core/brand.ts";
import { throwIfAborted, toRfc3339 } from "../../../src/core/clock.ts";
import { OperatorError } from "../../../src/core/errors.ts";
import type { X509Status } from "../../../src/registration/service-identity.ts";
import { trustDomainPolicy } from "../../../src/registration/trust-domain-policy.ts";
import { parseSpiffeId } from "../../../src/spiffe/spiffe-id.ts";
import type { KeyId } from "../../../src/x509/keys.ts";
import type { CertificatePem } from "../../../src/x509/pem.ts";
import { MemoryStores, POLICY, START } from "../../support/authority-fakes.ts";
import { makePki } from "../../support/certificates.ts";
import { codeOf } from "../../support/errors.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";
import { FakeWorld } from "../../support/fake-ports.ts";
import { fakeRandom } from "../../support/fake-random.ts";

const NEVER = new AbortController().signal;

describe("AuthorityReconciler", () => {
  let world: FakeWorld;
  let clock: FakeClock;
  let refusals: Refusals;
  let stores: MemoryStores;
  let authority: Authority;
  let reconciler: AuthorityReconciler;
  /** In their order: `published`, `looked`, the steps. */
  let order: string[];
  let errors: unknown[];
  let rounds: number;
  let asked: Partial<Record<AuthorityKind, string>>;
  let lacking: readonly string[];
  let distrusted: ReadonlySet<string>;
  let specProblem: string | undefined;
  /** Of someone else's CA. */
  let otherRoots: readonly CertificatePem[] | undefined;

  beforeEach(async () => {
    world = new FakeWorld();
    world.namespaces = [];
    clock = new FakeClock(START);
    refusals = new Refusals(clock);
    stores = new MemoryStores();
    const { journalStore, keyStore } = stores;
    [order, errors, rounds, asked, lacking, specProblem] = [[], [], 0, {}, [], undefined];
    distrusted = new Set();
    otherRoots = [];
    const authorityPolicy = { ...POLICY, crossSignRoots: true };
    const deps = { journalStore, keyStore, clock, random: fakeRandom(9), policy: () => authorityPolicy };
    authority = new Authority(deps);
    await authority.open();
    const policy = (): ReturnType<typeof trustDomainPolicy> =>
      trustDomainPolicy(world.domain, { mode: "local", clusterDomain: "cluster.local" });
    const bundles = new BundleReconciler({
      desired: world,
      observed: world,
      applier: world,
      authority,
      events: world,
      refusals,
      clock,
      policy,
      onChanged: () => {},
    });
    reconciler = new AuthorityReconciler({
      authority,
      desired: world,
      observed: world,
      observer: {
        look: async (slots) => {
          order.push("looked");
          return {
            consumers: 2,
            lacking: new Map(slots.map(({ keyID }): [KeyId, readonly string[]] => [keyID, lacking])),
          };
        },
      },
      requests: { pending: () => asked, distrusted: () => distrusted },
      brought: {
        refresh: async (signal) => throwIfAborted(signal),
        get otherRoots() {
          return otherRoots;
        },
      },
      bundles,
      refusals,
      status: world,
      events: world,
      clock,
      policy,
      specProblem: () => specProblem,
      onPublished: () => order.push("published"),
      onStep: ({ step }) => order.push(step.step),
      onRound: () => void rounds++,
      onError: (error) => errors.push(error),
    });
  });

  const reconcile = (): Promise<number> => reconciler.reconcile(NEVER);
  const condition = (type: string): string => {
    const found = world.domain.status?.conditions?.find((one) => one.type === type);
    return `${found?.status} ${found?.reason}`;
  };
  const states = (kind: AuthorityKind): readonly string[] =>
    (world.domain.status?.authorities ?? []).filter((one) => one.kind === kind).map(({ state }) => state);

  /** A key is made by another thread, which a clock that stands still does not wait for. */
  const eventually = async (look: () => unknown, wanted: unknown, step: number): Promise<void> => {
    for (let rounds = 0; rounds < 500 && !isDeepStrictEqual(look(), wanted); rounds++) {
      await clock.advance(step);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect(look()).toEqual(wanted);
  };

  it("publishes the roots that a CA from elsewhere brings beside, and keeps them while they are not known", async () => {
    const { root } = await makePki();
    const roots = (): number => authority.view().roots.length;
    for (const [known, count] of [
      [[root.pem()], 2],
      [undefined, 2],
      [[], 1],
    ] as const) {
      otherRoots = known;
      await reconcile();
      expect(roots()).toBe(count);
    }
  });

  it("reads nothing of a CA from elsewhere once it is told to stop", async () => {
    expect(await codeOf(reconciler.reconcile(AbortSignal.abort()))).toBe("ABORTED");
    expect(world.calls).toEqual([]);
  });

  it("reports where each key stands, once", async () => {
    await reconcile();
    await reconcile();
    expect(world.calls).toEqual(["status of the TrustDomain"]);
    expect(["Ready", "AuthorityReady", "RotationInProgress", "BundlePublished"].map(condition)).toEqual([
      "True Issued",
      "True Active",
      "False Idle",
      "True Published",
    ]);
    expect([states("Root"), states("Issuing"), states("JWT")]).toEqual([["Active"], ["Active"], ["Active"]]);
  });

  it("has every chain looked at when a root is distrusted that no bundle has any more, for it may vouch in them", async () => {
    await reconcile();
    const former = authority.view().slots.find(({ kind }) => kind === "Root")?.keyID ?? "";
    asked = { Root: "a" };
    for (let rounds = 0; rounds < 3; rounds++) {
      await reconcile();
      clock.jump(POLICY.propagation);
    }
    await reconcile();
    expect(states("Root")).toEqual(["Active"]);
    expect(authority.view().slots.map(({ keyID }) => keyID)).not.toContain(former);
    order = [];
    distrusted = new Set([former]);
    await reconcile();
    expect(order.slice(0, 2)).toEqual(["Distrust", "published"]);
  });

  it("tells consumers of a new key before it looks whether they have it", async () => {
    await reconcile();
    order = [];
    asked = { JWT: "a" };
    await reconcile();
    expect(order).toEqual(["Prepare", "published", "looked", "Observe"]);
    expect(states("JWT")).toEqual(["Active", "Prepared"]);
  });

  it("names who lacks the new key, looks again, and activates when nobody does and the time has passed", async () => {
    asked = { JWT: "a" };
    lacking = ["Secret shop/a-jwt"];
    const again = await reconcile();
    expect(condition("RotationInProgress")).toBe("True WaitingForConsumers");
    expect(world.domain.status?.authorities?.at(-1)?.waitingFor).toContain("Secret shop/a-jwt");
    expect(again).toBeLessThanOrEqual(START + 30);
    clock.jump(POLICY.propagation);
    await reconcile();
    expect(states("JWT")).toEqual(["Active", "Prepared"]);
    lacking = [];
    await reconcile();
    clock.jump(POLICY.propagation);
    await reconcile();
    expect(states("JWT")).toContain("Active");
    expect(states("JWT")).not.toContain("Prepared");
  });

  describe("while a consumer refuses what is written", () => {
    const BUNDLE = "ConfigMap shop/meshid-bundle";
    const refuseFor = (length: number): void => {
      for (let passed = 0; passed <= length; passed += 60) {
        refusals.note(BUNDLE, "exceeded quota");
        if (passed < length) clock.jump(60);
      }
    };
    const message = (): string =>
      world.domain.status?.conditions?.find(({ type }) => type === "RotationInProgress")?.message ?? "";

    beforeEach(() => {
      world.domain = { ...world.domain, spec: { rotation: { propagation: "100s" } } };
      asked = { JWT: "a" };
      lacking = [BUNDLE];
    });

    it("waits for it, says why, goes on without it after three times the propagation, and warns of that", async () => {
      refuseFor(240);
      await reconcile();
      expect(condition("RotationInProgress")).toBe("True WaitingForConsumers");
      expect(message()).toContain(`${BUNDLE} (exceeded quota, since `);
      expect(world.domain.status?.authorities?.at(-1)?.waitingFor).toContain("exceeded quota");
      expect(world.domain.status?.authorities?.at(-1)?.waitingUntil).toMatch(/^2027-/);
      refuseFor(60);
      const again = await reconcile();
      expect(condition("RotationInProgress")).toBe("True ConsumersExcluded");
      expect(message()).toContain(`goes on without ${BUNDLE} (exceeded quota, since `);
      expect(world.events.at(-1)).toMatchObject({ type: "Warning", reason: "ConsumersExcluded" });
      expect(again).toBeLessThanOrEqual(clock.now() + 30);
      clock.jump(POLICY.propagation);
      await reconcile();
      expect(states("JWT")).not.toContain("Prepared");
    });

    it("names it on after the key is in use, until it holds it", async () => {
      refuseFor(300);
      await reconcile();
      await authority.signJwtSvid({
        spiffeId: parseSpiffeId("spiffe://example.org/ns/shop/sa/a"),
        audience: "x",
        ttl: seconds(1500),
      });
      clock.jump(POLICY.propagation);
      await reconcile();
      expect(states("JWT").toSorted()).toEqual(["Active", "Retired"]);
      refusals.note(BUNDLE, "exceeded quota");
      await reconcile();
      expect(condition("RotationInProgress")).toBe("True ConsumersExcluded");
      lacking = [];
      refusals.clear(BUNDLE);
      await reconcile();
      expect(condition("RotationInProgress")).toBe("True Retiring");
    });

    it("has nothing to say of it where no rotation is under way", async () => {
      asked = {};
      refuseFor(300);
      await reconcile();
      expect([condition("RotationInProgress"), order.includes("looked")]).toEqual(["False Idle", false]);
    });
  });

  it("tells since when the next key waits, and nothing once it is in use", async () => {
    asked = { JWT: "a" };
    lacking = ["Secret shop/a-jwt"];
    await reconcile();
    expect([...reconciler.waitingSince]).toEqual([["JWT", START]]);
    lacking = [];
    await reconcile();
    clock.jump(POLICY.propagation);
    await reconcile();
    expect([...reconciler.waitingSince]).toEqual([]);
  });

  it("follows how far a new key has come, and writes only every tenth of it", async () => {
    const holder = (index: number, authorityKeyID: string): void => {
      world.want(`i-${index}`);
      const known = world.wanted.get(`shop/i-${index}`);
      const x509 = {
        authorityKeyID,
        notAfter: toRfc3339(seconds(START + 3600)),
        renewalTime: toRfc3339(seconds(START + 2000)),
      };
      if (known !== undefined)
        world.wanted.set(`shop/i-${index}`, { ...known, status: { x509: x509 as unknown as X509Status } });
    };
    const { keyID: active } = authority.view().issuing;
    for (let index = 0; index < 100; index++) holder(index, "former");
    expect(await reconcile()).toBe(START + 60);
    expect(condition("RotationInProgress")).toBe("True Reissuing");
    world.calls.length = 0;
    for (let index = 0; index < 100; index++) {
      holder(index, active);
      await reconcile();
    }
    expect(condition("RotationInProgress")).toBe("False Idle");
    expect(world.calls.length).toBeGreaterThan(8);
    expect(world.calls.length).toBeLessThanOrEqual(11);
  });

  it("warns once of what breaks when a root is distrusted", async () => {
    await reconcile();
    world.want("a");
    const known = world.wanted.get("shop/a");
    const x509 = {
      authorityKeyID: authority.view().issuing.keyID,
      notAfter: toRfc3339(seconds(START + 3600)),
    };
    if (known !== undefined)
      world.wanted.set("shop/a", { ...known, status: { x509: x509 as unknown as X509Status } });
    const root = authority.view().slots.find(({ kind }) => kind === "Root")?.keyID ?? "";
    distrusted = new Set([root]);
    await reconcile();
    await reconcile();
    expect(condition("RotationInProgress")).toBe("True Reissuing");
    const warnings = world.events.filter(({ type }) => type === "Warning");
    expect(warnings).toHaveLength(1);
    expect(warnings[0]?.message).toContain(`root ${root} was distrusted at `);
    expect(warnings[0]?.message).toContain("0 of 1 identities have their new certificate");
  });

  it("says that the first keys are being made, before they are", async () => {
    await authority.close();
    const shown: string[] = [];
    stores.journalText = undefined;
    stores.beforeSave = () => shown.push(condition("AuthorityReady"));
    await reconcile();
    expect(shown).toEqual(["False Bootstrapping"]);
    expect(condition("AuthorityReady")).toBe("True Active");
    expect(world.events.map(({ reason }) => reason)).not.toContain("Bootstrapping");
    // Who takes over later says nothing of the kind.
    await authority.close();
    await reconcile();
    expect(shown.at(-1)).toBe("True Active");
  });

  it("says that the clock is wrong, and takes no step meanwhile", async () => {
    await reconcile();
    clock.jump(-3600);
    asked = { Root: "a" };
    await reconcile();
    expect(condition("AuthorityReady")).toBe("False ClockSkew");
    expect(states("Root")).toEqual(["Active"]);
    clock.jump(3600);
    await reconcile();
    expect(condition("AuthorityReady")).toBe("True Active");
    expect(states("Root")).toEqual(["Active", "Prepared"]);
  });

  it("reports again what could not be written", async () => {
    const full = new OperatorError("STORAGE_FAILED", "the disk is full", { retryable: true });
    world.failing = () => full;
    await expect(reconcile()).rejects.toBe(full);
    world.failing = () => undefined;
    await reconcile();
    expect(condition("Ready")).toBe("True Issued");
  });

  it("goes on after a failure, and looks at once when it is woken", async () => {
    const full = new OperatorError("STORAGE_FAILED", "the disk is full", { retryable: true });
    world.failing = () => full;
    const stop = new AbortController();
    const running = reconciler.run(stop.signal, NEVER);
    await clock.advance(1);
    expect(errors).toEqual([full]);
    world.failing = () => undefined;
    await clock.advance(5);
    expect(condition("Ready")).toBe("True Issued");
    asked = { Issuing: "a" };
    await clock.advance(2);
    expect(states("Issuing")).toEqual(["Active"]);
    reconciler.wake();
    await eventually(() => states("Issuing"), ["Active", "Prepared"], 0);
    stop.abort();
    await running;
  });

  it("takes within a minute the step that came due while the machine was asleep, and does nothing before", async () => {
    const stop = new AbortController();
    const running = reconciler.run(stop.signal, NEVER);
    await clock.advance(600);
    expect(rounds).toBe(1);
    clock.shift(3000);
    await clock.advance(60);
    await eventually(() => states("Issuing"), ["Active", "Prepared"], 0);
    stop.abort();
    await running;
  });

  it("notices within a minute that the clock was put back", async () => {
    const stop = new AbortController();
    const running = reconciler.run(stop.signal, NEVER);
    await clock.advance(600);
    clock.shift(-86_400);
    await clock.advance(60);
    await eventually(() => condition("AuthorityReady"), "False ClockSkew", 0);
    clock.shift(86_400);
    await clock.advance(60);
    await eventually(() => condition("AuthorityReady"), "True Active", 0);
    stop.abort();
    await running;
  });

  it("takes it for one round when it is woken many times in a short while", async () => {
    world.failing = () => new OperatorError("STORAGE_FAILED", "the disk is full", { retryable: true });
    const stop = new AbortController();
    const running = reconciler.run(stop.signal, NEVER);
    for (let times = 0; times < 20; times++) {
      await settle();
      reconciler.wake();
    }
    expect(errors).toHaveLength(1);
    await clock.advance(1);
    expect(errors).toHaveLength(2);
    stop.abort();
    await running;
  });

  it("says where the spec as it is now is not in force", async () => {
    specProblem = "td.yaml:4: spec.jwt.issuer: is fixed";
    await reconcile();
    expect(JSON.stringify(world.domain.status?.conditions)).toContain("spec.jwt.issuer: is fixed");
  });

  it.each([
    ["the journal is damaged", "JournalCorrupt", () => void (stores.journalText = "{}")],
    ["the root's key is gone", "SecretInvalid", () => stores.keys.clear()],
  ])("says while it goes on signing that %s, and when that is mended", async (_, reason, damage) => {
    const stop = new AbortController();
    const running = reconciler.run(stop.signal, NEVER);
    await clock.advance(1);
    const [text, keys] = [stores.journalText, [...stores.keys]];
    damage();
    asked = { Issuing: "a", JWT: "a" };
    reconciler.wake();
    await eventually(() => condition("AuthorityReady"), `False ${reason}`, 1);
    expect(condition("Ready")).toBe("False Pending");
    expect(world.events.at(-1)).toMatchObject({ type: "Warning", reason });
    expect(authority.isReady()).toBe(true);
    if (stores.journalText === "{}") stores.journalText = text;
    for (const [keyID, key] of keys) stores.keys.set(keyID, key);
    await eventually(() => condition("AuthorityReady"), "True Active", 1);
    stop.abort();
    await running;
  });
});
