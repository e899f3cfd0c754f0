import { beforeEach, describe, expect, it } from "@jest/globals";
import { Authority } from "../../../src/authority/authority.ts";
import { BundleReconciler } from "../../../src/controller/bundle-reconciler.ts";
import { Refusals } from "../../../src/controller/refusals.ts";
import { OperatorError } from "../../../src/core/errors.ts";
import { trustDomainPolicy } from "../../../src/registration/trust-domain-policy.ts";
import { MemoryStores, POLICY, START } from "../../support/authority-fakes.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { FakeWorld } from "../../support/fake-ports.ts";
import { fakeRandom } from "../../support/fake-random.ts";

const NEVER = new AbortController().signal;
const BUNDLE = { kind: "ConfigMap", namespace: "shop", name: "meshid-bundle" } as const;
/** As a rotation names it. */
const NAME = "ConfigMap shop/meshid-bundle";

describe("BundleReconciler", () => {
  let world: FakeWorld;
  let authority: Authority;
  let clock: FakeClock;
  let refusals: Refusals;
  let reconciler: BundleReconciler;
  let told: number;

  beforeEach(async () => {
    world = new FakeWorld();
    clock = new FakeClock(START);
    refusals = new Refusals(clock);
    const { journalStore, keyStore } = new MemoryStores();
    authority = new Authority({
      journalStore,
      keyStore,
      clock,
      random: fakeRandom(5),
      policy: () => POLICY,
    });
    await authority.open();
    told = 0;
    reconciler = new BundleReconciler({
      desired: world,
      observed: world,
      applier: world,
      authority,
      events: world,
      refusals,
      clock,
      policy: () => trustDomainPolicy(world.domain, { mode: "local", clusterDomain: "cluster.local" }),
      onChanged: () => told++,
    });
  });

  const reconcile = (): ReturnType<BundleReconciler["reconcile"]> => reconciler.reconcile("shop", NEVER);
  const shown = (name = "meshid-bundle"): string | undefined =>
    world.objects.get(`ConfigMap shop/${name}`)?.content["ca.crt"]?.toString();

  it("puts the bundle into its namespace, once, and tells that it is there", async () => {
    await reconcile();
    await reconcile();
    expect(world.calls).toEqual(["apply ConfigMap shop/meshid-bundle"]);
    expect(shown()).toBe(authority.view().caPem);
    expect([reconciler.isCurrent("shop"), told]).toEqual([true, 1]);
  });

  it("follows what is published", async () => {
    await reconcile();
    await authority.step(undefined, { Root: "a" });
    expect(reconciler.isCurrent("shop")).toBe(false);
    await reconcile();
    expect(shown()).toBe(authority.view().caPem);
    expect(told).toBe(2);
  });

  it("repairs what someone else has changed or deleted", async () => {
    await reconcile();
    world.put(BUNDLE, "td-uid", { "ca.crt": Buffer.from("forged") });
    await reconcile();
    expect(shown()).toBe(authority.view().caPem);
    world.objects.clear();
    await reconcile();
    expect(shown()).toBe(authority.view().caPem);
  });

  it("does not answer each time whoever changes it again and again, but follows what is published at once", async () => {
    await reconcile();
    for (let times = 0; times < 5; times++) {
      world.objects.clear();
      await reconcile();
      expect(shown()).toBe(authority.view().caPem);
    }
    world.objects.clear();
    expect(await reconcile()).toEqual({ requeueAt: START + 120 });
    expect([shown(), told]).toEqual([undefined, 6]);
    await authority.step(undefined, { Root: "a" });
    await reconcile();
    expect(shown()).toBe(authority.view().caPem);
  });

  it("leaves another's object alone, says so once, looks again, and takes the name when it is free", async () => {
    world.put(BUNDLE, undefined, { "ca.crt": Buffer.from("theirs") });
    expect(await reconcile()).toEqual({ requeueAt: START + 60 });
    await reconcile();
    expect(shown()).toBe("theirs");
    expect(reconciler.blocked).toEqual(["shop"]);
    expect(world.events.map(({ reason }) => reason)).toEqual(["BundleConflict"]);
    world.objects.clear();
    expect(await reconcile()).toEqual({});
    expect([reconciler.blocked, shown()]).toEqual([[], authority.view().caPem]);
  });

  it("says who keeps changing it, and since when, until it has been left alone for a while", async () => {
    for (let times = 0; times < 7; times++) {
      world.objects.clear();
      await reconcile();
    }
    expect(refusals.of(NAME)).toMatchObject({ why: expect.stringContaining("another writer"), since: START });
    clock.jump(120);
    await reconcile();
    await reconcile();
    expect(refusals.of(NAME)).toMatchObject({ since: START });
    clock.jump(120);
    expect(refusals.of(NAME)).toBeUndefined();
  });

  it("tries again soon what the API server refuses, says who and why, and that it stays once it has", async () => {
    const full = new OperatorError("WRITE_REFUSED", "exceeded quota: tight", { retryable: true });
    world.failing = () => full;
    expect(await reconcile()).toEqual({ requeueAt: START + 60 });
    expect([refusals.of(NAME)?.why, told, world.events]).toEqual(["exceeded quota: tight", 1, []]);
    clock.jump(60);
    await reconcile();
    clock.jump(60);
    await reconcile();
    expect(refusals.of(NAME)).toMatchObject({ since: START, last: START + 120 });
    expect(world.events.map(({ type, reason }) => [type, reason])).toEqual([["Warning", "WriteRefused"]]);
    world.failing = () => undefined;
    expect(await reconcile()).toEqual({});
    expect([refusals.of(NAME), reconciler.isCurrent("shop")]).toEqual([undefined, true]);
  });

  it.each([
    ["of a namespace that is no longer selected", (): unknown => (world.namespaces = [])],
    ["when the name is free", (): unknown => world.objects.clear()],
  ])("forgets %s that it was in another's hands", async (_, mend) => {
    world.put(BUNDLE, undefined, {});
    await reconcile();
    expect(refusals.of(NAME)?.why).toContain("not meshid's");
    mend();
    await reconcile();
    expect(refusals.size).toBe(0);
  });

  it("takes a failure that passes by itself for no refusal", async () => {
    world.failing = () => new OperatorError("STORAGE_FAILED", "no answer", { retryable: true });
    await expect(reconcile()).rejects.toThrow("no answer");
    expect(refusals.size).toBe(0);
  });

  it("takes the bundle out of a namespace that is no longer selected, and only its own", async () => {
    await reconcile();
    world.namespaces = [];
    await reconcile();
    expect([...world.objects.keys()]).toEqual([]);
    world.put(BUNDLE, "someone", {});
    await reconcile();
    expect([...world.objects.keys()]).toEqual(["ConfigMap shop/meshid-bundle"]);
  });

  it("moves to another name: there first, then away from the old one", async () => {
    await reconcile();
    world.domain = { ...world.domain, spec: { bundle: { configMapName: "roots" } } };
    await reconcile();
    expect(world.calls.slice(1)).toEqual([
      "apply ConfigMap shop/roots",
      "prune ConfigMap shop/meshid-bundle",
    ]);
  });

  it("publishes nothing while the authority is not ready, and is called again after a failure", async () => {
    await authority.close();
    await reconcile();
    expect(world.calls).toEqual([]);
    await authority.open();
    const full = new OperatorError("STORAGE_FAILED", "the disk is full", { retryable: true });
    world.failing = () => full;
    await expect(reconcile()).rejects.toBe(full);
    expect(told).toBe(0);
  });
});
