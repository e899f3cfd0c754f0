import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { milliseconds } from "../../../src/core/brand.ts";
import { LEASES } from "../../../src/kubernetes/resources.ts";
import { type Candidate, LEASE, startCandidate } from "../../support/candidate.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";
import { FakeKubeClient, FakeKubeServer } from "../../support/fake-kube-client.ts";

interface Fitness {
  isFit: boolean;
}

/** A process that can do a leader's work, or cannot. */
describe("a process that is not fit to lead", () => {
  let clock: FakeClock;
  let server: FakeKubeServer;
  let running: Candidate[];

  beforeEach(() => {
    clock = new FakeClock();
    server = new FakeKubeServer(LEASES);
    server.put(LEASE.namespace, LEASE.name, { spec: { holderIdentity: "", leaseDurationSeconds: 1 } });
    running = [];
  });

  afterEach(async () => {
    const ends = running.map((one) => one.stop());
    await clock.advance(60);
    await Promise.all(ends);
  });

  /** What `lead` does is the leader's own affair: here it ends at once where it is not fit. */
  const start = async (
    identity: string,
    fitness: Fitness,
    client = new FakeKubeClient(server, clock),
  ): Promise<Candidate> => {
    const candidate = startCandidate({
      client,
      clock,
      identity,
      seed: identity.length * 7919,
      isFit: () => fitness.isFit,
      lead: async ({ signal }) => {
        while (fitness.isFit && !signal.aborted) await clock.sleep(milliseconds(1000), signal);
      },
    });
    running.push(candidate);
    await settle();
    return candidate;
  };

  const until = async (isDone: () => boolean, limit: number): Promise<number> => {
    const began = clock.monotonic();
    while (!isDone() && clock.monotonic() - began < limit * 1000) await clock.advance(0.1);
    return (clock.monotonic() - began) / 1000;
  };
  const holder = (): string | undefined =>
    (server.get(LEASE.namespace, LEASE.name)?.["spec"] as { readonly holderIdentity?: string } | undefined)
      ?.holderIdentity;

  it("does not take a free Lease before another that comes within the lease duration", async () => {
    const wrong = await start("wrong", { isFit: false });
    await clock.advance(10);
    expect(holder()).toBe("");
    const right = await start("right", { isFit: true });
    expect(right.isAtWork).toBe(true);
    await clock.advance(120);
    expect(wrong.terms).toEqual([]);
    expect(right.terms).toHaveLength(1);
  });

  it("takes one that nobody wanted, so that it can say what is wrong, and gives it back each time", async () => {
    const wrong = await start("wrong", { isFit: false });
    const waited = await until(() => wrong.terms.length > 0, 60);
    expect(waited).toBeGreaterThanOrEqual(15);
    expect(waited).toBeLessThan(16);
    await clock.advance(0.5);
    expect(holder()).toBe("");
    await clock.advance(120);
    expect(wrong.terms.length).toBeGreaterThanOrEqual(5);
    expect(wrong.terms.length).toBeLessThanOrEqual(9);
  });

  it("has seen the Lease free anew when another had it meanwhile", async () => {
    const wrong = await start("wrong", { isFit: false });
    await clock.advance(10);
    const right = await start("right", { isFit: true });
    await right.stop();
    const waited = await until(() => wrong.terms.length > 0, 60);
    expect(waited).toBeGreaterThanOrEqual(14.9);
  });

  it("hands the Lease to a fit one when it becomes unfit while it leads", async () => {
    const fitness = { isFit: true };
    const first = await start("first", fitness);
    const second = await start("second", { isFit: true });
    expect(first.isAtWork).toBe(true);
    fitness.isFit = false;
    expect(await until(() => second.isAtWork, 20)).toBeLessThan(2);
    await clock.advance(120);
    expect(second.terms).toHaveLength(1);
    expect(first.terms).toHaveLength(1);
  });

  it("gives up the Lease that it still holds after a jump of the clock has ended its term", async () => {
    const fitness = { isFit: true };
    const jumping = Object.assign(Object.create(clock) as FakeClock, {
      now: () => clock.now() + (fitness.isFit ? 0 : 3600),
      monotonic: () => clock.monotonic(),
      sleep: clock.sleep.bind(clock),
    });
    const first = startCandidate({
      client: new FakeKubeClient(server, jumping),
      clock: jumping,
      identity: "first",
      isFit: () => fitness.isFit,
    });
    running.push(first);
    await settle();
    const second = await start("second", { isFit: true });
    fitness.isFit = false;
    expect(await until(() => second.isAtWork, 30)).toBeLessThan(4);
    expect(first.terms).toHaveLength(1);
  });

  it("leads again once it is fit", async () => {
    const fitness = { isFit: false };
    const one = await start("one", fitness);
    await clock.advance(40);
    fitness.isFit = true;
    await until(() => one.isAtWork, 30);
    const { length } = one.terms;
    await clock.advance(60);
    expect(one.isAtWork).toBe(true);
    expect(one.terms).toHaveLength(length);
  });
});
