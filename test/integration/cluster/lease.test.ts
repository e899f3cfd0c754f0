import { beforeAll, beforeEach, expect, it } from "@jest/globals";
import { milliseconds } from "../../../src/core/brand.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { systemRandom } from "../../../src/core/random.ts";
import { LeaderElection, type Term } from "../../../src/kubernetes/lease.ts";
import type { KubeObject } from "../../../src/kubernetes/objects.ts";
import { LEASES } from "../../../src/kubernetes/resources.ts";
import { controlPlane, describeCluster } from "../../support/control-plane/shared.ts";
import type { ControlPlane } from "../../support/control-plane/types.ts";
import { codeOf } from "../../support/errors.ts";
import { eventually, handsOf } from "../../support/kubernetes/cluster-harness.ts";
import { asAdmin } from "../../support/kubernetes/connected.ts";
import { type Relay, startRelay } from "../../support/kubernetes/relay.ts";
import { SpiedClient } from "../../support/kubernetes/spied.ts";

const MICRO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

describeCluster("leader election on a real Lease", () => {
  let plane: ControlPlane;
  let namespace: string;
  beforeAll(async () => {
    plane = await controlPlane();
  });
  beforeEach(async () => {
    namespace = await plane.makeNamespace();
  });
  const lease = async (): Promise<KubeObject | undefined> => handsOf(plane).get(LEASES, namespace, "meshid");
  const now = (): number => performance.now();

  it("makes the Lease, in the form that client-go reads, and renews it every two seconds", async () => {
    await using one = await candidate(plane, namespace, "one");
    await eventually("led", () => one.term !== undefined);
    const first = await lease();
    expect(first).toMatchObject({
      metadata: { labels: { "app.kubernetes.io/managed-by": "meshid" } },
      spec: {
        holderIdentity: "one",
        leaseDurationSeconds: 15,
        leaseTransitions: 0,
        acquireTime: expect.stringMatching(MICRO_TIME),
        renewTime: expect.stringMatching(MICRO_TIME),
      },
    });
    const sentAt: number[] = [];
    one.client.before = ({ method }) => void (method !== "GET" && sentAt.push(now()));
    await eventually("renewed", () => sentAt.length >= 4);
    // One that is late says nothing of the others.
    const gap = Math.min(...sentAt.slice(1).map((at, index) => at - (sentAt[index] ?? 0)));
    expect(gap).toBeGreaterThan(1500);
    expect(gap).toBeLessThan(3000);
    expect(one.term?.signal.aborted).toBe(false);
    expect(one.errors).toEqual([]);
  });

  it("goes to a waiting follower within 3 s of the leader's stop, and to nobody before", async () => {
    const one = await candidate(plane, namespace, "one");
    await eventually("led", () => one.term !== undefined);
    await using other = await candidate(plane, namespace, "other");
    await using third = await candidate(plane, namespace, "third");
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect([other.term, third.term]).toEqual([undefined, undefined]);
    // Followers watch: they ask nothing while they wait.
    expect(other.client.asked.filter(({ method }) => method !== "GET")).toEqual([]);
    const stopped = now();
    await one[Symbol.asyncDispose]();
    await eventually("handed over", () => other.term !== undefined || third.term !== undefined);
    // Who is not told waits for 15 s.
    expect(now() - stopped).toBeLessThan(10_000);
    expect(one.term?.signal.aborted).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect([other.term, third.term].filter((term) => term !== undefined)).toHaveLength(1);
    expect((await lease())?.["spec"]).toMatchObject({ leaseTransitions: 1 });
    expect([...other.errors, ...third.errors]).toEqual([]);
  });

  it("goes to a follower within 18 s of the leader's last sign of life, after that one has stopped writing", async () => {
    await using relay = await startRelay(new URL(plane.server));
    const one = await candidate(plane, namespace, "one", relay);
    await eventually("led", () => one.term !== undefined);
    await using other = await candidate(plane, namespace, "other");
    await new Promise((resolve) => setTimeout(resolve, 1000));
    // The network of the leader is cut off; the process itself goes on.
    relay.stall();
    const cut = now();
    await eventually("stopped writing", () => one.term?.signal.aborted === true);
    expect(other.term).toBeUndefined();
    const lost = now();
    await expect(async () => one.term?.fence()).rejects.toMatchObject({ code: "ABORTED" });
    expect(lost - cut).toBeLessThanOrEqual(14_000);
    await eventually("handed over", () => other.term !== undefined);
    expect(now() - cut).toBeLessThan(28_000);
    // Back again it follows.
    one.term = undefined;
    relay.resume();
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect(one.term).toBeUndefined();
    expect((await lease())?.["spec"]).toMatchObject({ holderIdentity: "other", leaseTransitions: 1 });
    await one[Symbol.asyncDispose]();
  });

  it("gives the Lease to exactly one of many that begin at once", async () => {
    const names = ["one", "two", "three", "four", "five"];
    const candidates = await Promise.all(names.map((name) => candidate(plane, namespace, name)));
    await eventually("led", () => candidates.some(({ term }) => term !== undefined));
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(candidates.filter(({ term }) => term !== undefined)).toHaveLength(1);
    await Promise.all(candidates.map((one) => one[Symbol.asyncDispose]()));
    expect((await lease())?.["spec"]).toMatchObject({ holderIdentity: "" });
  });

  it("puts a Lease back that someone deleted, and gives way to one who took it by hand", async () => {
    await using one = await candidate(plane, namespace, "one");
    await eventually("led", () => one.term !== undefined);
    const hands = handsOf(plane);
    const { term } = one;
    await hands.remove(LEASES, { namespace, name: "meshid" });
    await eventually("put back", async () => {
      const spec = (await lease())?.["spec"] as { readonly holderIdentity?: string } | undefined;
      return spec?.holderIdentity === "one";
    });
    // It was not lost and won again.
    expect(one.term).toBe(term);
    expect(term?.signal.aborted).toBe(false);
    await hands.edit(LEASES, { namespace, name: "meshid" }, { spec: { holderIdentity: "a person" } });
    await eventually("lost", () => one.term?.signal.aborted === true);
    expect(await codeOf(Promise.resolve().then(() => one.term?.fence()))).toBe("ABORTED");
    expect((await lease())?.["spec"]).toMatchObject({ holderIdentity: "a person" });
  });
});

interface Candidate extends AsyncDisposable {
  /** The last term that was won. */
  term: Term | undefined;
  readonly client: SpiedClient;
  readonly errors: readonly unknown[];
}

async function candidate(
  plane: ControlPlane,
  namespace: string,
  identity: string,
  relay?: Relay,
): Promise<Candidate> {
  const admin = await asAdmin(plane, relay?.port);
  const client = new SpiedClient(admin.client);
  const errors: unknown[] = [];
  const stop = new AbortController();
  const election = new LeaderElection({
    client,
    clock: systemClock,
    random: systemRandom,
    namespace,
    name: "meshid",
    identity,
    onError: (error) => errors.push(error),
  });
  const one: Candidate = {
    term: undefined,
    client,
    errors,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
      admin[Symbol.dispose]();
    },
  };
  const running = election.run(async (term) => {
    one.term = term;
    while (!term.signal.aborted) await systemClock.sleep(milliseconds(60_000), term.signal);
  }, stop.signal);
  return one;
}
