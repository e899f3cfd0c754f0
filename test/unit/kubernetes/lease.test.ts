import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { milliseconds } from "../../../src/core/brand.ts";
import { LeaderElection, type Term } from "../../../src/kubernetes/lease.ts";
import type { KubeObject } from "../../../src/kubernetes/objects.ts";
import { LEASES, objectPath } from "../../../src/kubernetes/resources.ts";
import { type Candidate, type CandidateOptions, LEASE, startCandidate } from "../../support/candidate.ts";
import { codeOf } from "../../support/errors.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";
import { FakeKubeClient, FakeKubeServer } from "../../support/fake-kube-client.ts";
import { fakeRandom } from "../../support/fake-random.ts";

let clock: FakeClock;
let server: FakeKubeServer;
let running: Candidate[];

beforeEach(() => {
  clock = new FakeClock();
  server = new FakeKubeServer(LEASES);
  running = [];
});

afterEach(async () => {
  const ends = running.map((one) => one.stop());
  await clock.advance(60);
  await Promise.all(ends);
});

function connect(): FakeKubeClient {
  return new FakeKubeClient(server, clock);
}

async function start(
  identity: string,
  client: FakeKubeClient,
  more: Partial<CandidateOptions> = {},
): Promise<Candidate> {
  const candidate = startCandidate({ client, clock, identity, seed: identity.length * 7919, ...more });
  running.push(candidate);
  await settle();
  return candidate;
}

function specNow(): Readonly<Record<string, unknown>> {
  return lease()["spec"] as Readonly<Record<string, unknown>>;
}

function lease(): KubeObject {
  const found = server.get(LEASE.namespace, LEASE.name);
  if (found === undefined) throw new Error("there is no Lease");
  return found;
}

/** What `kubectl edit` does. */
function edit(spec: Readonly<Record<string, unknown>>): void {
  const { metadata: _, ...old } = lease();
  server.put(LEASE.namespace, LEASE.name, { ...old, spec: { ...specNow(), ...spec } });
}

/** Advances in steps of 0.1 s until `isDone`, at most `limit` seconds; answers the seconds that passed. */
async function until(isDone: () => boolean, limit: number): Promise<number> {
  const began = clock.monotonic();
  while (!isDone() && clock.monotonic() - began < limit * 1000) await clock.advance(0.1);
  return (clock.monotonic() - began) / 1000;
}

function sentSince(client: FakeKubeClient, from: number): readonly string[] {
  return client.requests.slice(from).map((one) => (one.isWatch ? "WATCH" : one.method));
}

describe("a candidate alone", () => {
  it("creates the Lease and leads at once", async () => {
    const only = await start("only", connect());
    expect(only.isAtWork).toBe(true);
    expect(only.states).toEqual([
      { isLeader: false, holder: "only" },
      { isLeader: true, holder: "only" },
    ]);
    expect(lease().metadata.labels).toEqual({ "app.kubernetes.io/managed-by": "meshid" });
    expect(specNow()).toEqual({
      holderIdentity: "only",
      leaseDurationSeconds: 15,
      acquireTime: "2027-01-15T08:00:00.000000Z",
      renewTime: "2027-01-15T08:00:00.000000Z",
      leaseTransitions: 0,
    });
  });

  it("takes a released Lease at once and counts the transition", async () => {
    server.put(LEASE.namespace, LEASE.name, {
      spec: { holderIdentity: "", leaseDurationSeconds: 1, leaseTransitions: 4 },
    });
    const only = await start("only", connect());
    expect(only.isAtWork).toBe(true);
    expect(specNow()["leaseTransitions"]).toBe(5);
  });

  it("waits the whole duration for a holder that it has never seen renew, whatever the times in the Lease say", async () => {
    server.put(LEASE.namespace, LEASE.name, {
      spec: {
        holderIdentity: "dead",
        leaseDurationSeconds: 15,
        renewTime: "1999-01-01T00:00:00.000000Z",
      },
    });
    const only = await start("only", connect());
    expect(await until(() => only.isAtWork, 20)).toBeGreaterThanOrEqual(15);
    expect(only.isAtWork).toBe(true);
  });

  it("renews every 2 s, one PUT each, and asks nothing else", async () => {
    const client = connect();
    const only = await start("only", client);
    const from = client.requests.length;
    const version = server.version;
    await clock.advance(60);
    expect(sentSince(client, from)).toEqual(Array.from({ length: 30 }, () => "PUT"));
    expect(server.version - version).toBe(30);
    expect(only.terms).toHaveLength(1);
    expect(client.requests.filter((one) => one.lane !== "lease" && !one.isWatch)).toEqual([]);
  });

  it("writes six digits after the second, and never the same twice while the wall clock stands still", async () => {
    const client = connect();
    const frozen = Object.assign(Object.create(clock) as FakeClock, { now: clock.now.bind(clock) });
    const instant = clock.now();
    frozen.now = () => instant;
    frozen.sleep = clock.sleep.bind(clock);
    let ticks = 0;
    frozen.monotonic = () => milliseconds(clock.monotonic() + (ticks += 0.25));
    await start("only", client, { clock: frozen });
    await clock.advance(10);
    const times = client.requests.flatMap(({ body }) => {
      return body === undefined ? [] : [(body as { spec: { renewTime: string } }).spec.renewTime];
    });
    expect(times.length).toBeGreaterThan(4);
    expect(new Set(times).size).toBe(times.length);
    for (const time of times) expect(time).toMatch(/^2027-01-15T08:00:00\.\d{6}Z$/);
  });

  it("keeps what others have put on the Lease", async () => {
    await start("only", connect());
    server.put(LEASE.namespace, LEASE.name, {
      ...lease(),
      metadata: { annotations: { note: "kept" } },
      spec: { ...specNow(), preferredHolder: "x" },
    });
    await clock.advance(10);
    expect(lease().metadata.annotations).toEqual({ note: "kept" });
    expect(specNow()["preferredHolder"]).toBe("x");
  });

  it("goes on without a refused write when only a label changes", async () => {
    const client = connect();
    const only = await start("only", client);
    const from = client.requests.length;
    server.put(LEASE.namespace, LEASE.name, { ...lease(), metadata: { labels: { a: "b" } } });
    await clock.advance(10);
    expect(sentSince(client, from)).toEqual(["PUT", "PUT", "PUT", "PUT", "PUT"]);
    expect(only.errors).toEqual([]);
  });
});

describe("stopping", () => {
  it("ends the term, waits for the work, renews meanwhile, then releases", async () => {
    const client = connect();
    const only = await start("only", client, { drain: 5000 });
    const ended = only.stop();
    await clock.advance(4.9);
    expect(only.terms[0]?.signal.aborted).toBe(true);
    expect(only.mayWrite()).toBe(true);
    expect(specNow()["holderIdentity"]).toBe("only");
    expect(specNow()["renewTime"]).toBe("2027-01-15T08:00:04.000000Z");
    await clock.advance(0.2);
    await ended;
    expect(only.mayWrite()).toBe(false);
    expect(specNow()).toMatchObject({ holderIdentity: "", leaseDurationSeconds: 1 });
    expect(only.states.at(-1)).toEqual({ isLeader: false, holder: undefined });
  });

  it("hands over to one of two others within 3 s, and only one of them", async () => {
    const first = await start("first", connect());
    const clients = [connect(), connect()] as const;
    const second = await start("second", clients[0]);
    const third = await start("third-one", clients[1]);
    await clock.advance(30);
    void first.stop();
    expect(await until(() => second.isAtWork || third.isAtWork, 10)).toBeLessThanOrEqual(0.6);
    await clock.advance(30);
    expect([second.isAtWork, third.isAtWork].filter(Boolean)).toHaveLength(1);
    // The other saw it taken and did not even try.
    expect(clients.filter((client) => client.count("PUT") > 0)).toHaveLength(1);
  });

  it("hands over within 3 s also where no watch is allowed", async () => {
    const first = await start("first", connect());
    const client = connect();
    client.fault = ({ isWatch }) => (isWatch ? { status: 403 } : undefined);
    const second = await start("second", client);
    await clock.advance(31);
    void first.stop();
    expect(await until(() => second.isAtWork, 10)).toBeLessThanOrEqual(3);
  });

  it("releases nothing that is another's", async () => {
    const only = await start("only", connect());
    edit({ holderIdentity: "other" });
    await settle();
    await only.stop();
    expect(specNow()["holderIdentity"]).toBe("other");
  });

  it("sends nothing as a follower", async () => {
    await start("first", connect());
    const client = connect();
    const second = await start("second", client);
    const from = client.requests.length;
    await second.stop();
    expect(sentSince(client, from)).toEqual([]);
  });

  it("releases what it won although the answer never came", async () => {
    const client = connect();
    client.fault = ({ method }) => (method === "POST" ? { after: 60_000 } : undefined);
    const only = await start("only", client);
    expect(specNow()["holderIdentity"]).toBe("only");
    expect(only.isAtWork).toBe(false);
    await only.stop();
    expect(specNow()["holderIdentity"]).toBe("");
  });

  it("gives up the release after 3 s when the API server hangs", async () => {
    const client = connect();
    const only = await start("only", client);
    client.fault = () => "hang";
    void only.stop();
    expect(await until(() => only.hasStopped, 10)).toBeLessThanOrEqual(3.1);
  });

  it("releases again when a renewal came in between", async () => {
    const client = connect();
    const only = await start("only", client);
    let isFirst = true;
    client.fault = ({ method }) => {
      if (method === "PUT" && isFirst) {
        isFirst = false;
        edit({ renewTime: "2027-01-15T08:00:01.000000Z" });
      }
      return undefined;
    };
    await only.stop();
    expect(specNow()["holderIdentity"]).toBe("");
  });
});

describe("a leader that is gone without a word", () => {
  it("is followed within 18 s by one that watched", async () => {
    const client = connect();
    const first = await start("first", client);
    const second = await start("second", connect());
    await clock.advance(30);
    client.fault = () => "unreachable";
    const passed = await until(() => second.isAtWork, 30);
    expect(passed).toBeLessThanOrEqual(18);
    expect(passed).toBeGreaterThanOrEqual(13);
    expect(first.mayWrite()).toBe(false);
  });

  it("is followed within 18 s also where no watch is allowed", async () => {
    const client = connect();
    await start("first", client);
    const blind = connect();
    blind.fault = ({ isWatch }) => (isWatch ? { status: 403 } : undefined);
    const second = await start("second", blind);
    await clock.advance(31);
    client.fault = () => "unreachable";
    expect(await until(() => second.isAtWork, 30)).toBeLessThanOrEqual(18);
  });

  it("is followed by one candidate of five", async () => {
    const client = connect();
    await start("first", client);
    const others: Candidate[] = [];
    for (let index = 0; index < 5; index++)
      others.push(await start(`other-${index}`, connect(), { seed: index * 31 + 5 }));
    await clock.advance(10);
    client.fault = () => "unreachable";
    await clock.advance(120);
    expect(others.filter((one) => one.terms.length > 0)).toHaveLength(1);
    expect(others.filter((one) => one.isAtWork)).toHaveLength(1);
  });
});

describe("two that start at the same time", () => {
  it("try both; one wins and the other has nothing to report", async () => {
    const clients = [connect(), connect()] as const;
    for (const client of clients) client.fault = ({ isWatch }) => (isWatch ? undefined : { before: 50 });
    const both = [
      startCandidate({ client: clients[0], clock, identity: "a" }),
      startCandidate({ client: clients[1], clock, identity: "b" }),
    ];
    running.push(...both);
    await clock.advance(60);
    expect(clients.map((client) => client.count("POST"))).toEqual([1, 1]);
    expect(both.filter((one) => one.isAtWork)).toHaveLength(1);
    expect(both.flatMap((one) => one.errors)).toEqual([]);
  });
});

describe("a follower", () => {
  it("asks nothing for ten minutes beside its watch", async () => {
    await start("first", connect());
    const client = connect();
    const second = await start("second", client);
    const from = client.requests.length;
    await clock.advance(600);
    expect(sentSince(client, from)).toEqual([]);
    expect(second.terms).toEqual([]);
    expect(second.states).toEqual([{ isLeader: false, holder: "first" }]);
  });

  it("lists anew and watches on when its watch breaks", async () => {
    await start("first", connect());
    const client = connect();
    await start("second", client);
    await clock.advance(10);
    const from = client.requests.length;
    client.breakWatches();
    await clock.advance(60);
    expect(sentSince(client, from)).toEqual(["GET", "WATCH"]);
  });

  it("reads before it takes: a watch that fell silent costs no refused write, and is opened anew", async () => {
    await start("first", connect());
    const client = connect();
    const second = await start("second", client);
    await clock.advance(10);
    client.deafenWatches();
    const from = client.requests.length;
    await clock.advance(16);
    expect(sentSince(client, from)).toEqual(["GET", "GET", "WATCH"]);
    expect(second.terms).toEqual([]);
  });

  it("learns nothing from a watch that lags behind its own win", async () => {
    const first = await start("first", connect());
    const client = connect();
    const second = await start("second", client);
    client.deafenWatches();
    await clock.advance(6);
    await first.stop();
    expect(await until(() => second.isAtWork, 20)).toBeLessThanOrEqual(18);
    client.deafenWatches(false);
    await clock.advance(10);
    expect(second.terms).toHaveLength(1);
    expect(second.isAtWork).toBe(true);
  });

  it("polls every 2 to 2.4 s where no watch is allowed", async () => {
    await start("first", connect());
    const client = connect();
    client.fault = ({ isWatch }) => (isWatch ? { status: 403 } : undefined);
    await start("second", client);
    const from = client.count("GET");
    await clock.advance(120);
    expect(client.count("GET") - from).toBeGreaterThanOrEqual(49);
    expect(client.count("GET") - from).toBeLessThanOrEqual(60);
  });

  it("waits as long as the holder asks for, when that is longer", async () => {
    server.put(LEASE.namespace, LEASE.name, { spec: { holderIdentity: "x", leaseDurationSeconds: 40 } });
    const only = await start("only", connect());
    expect(await until(() => only.isAtWork, 60)).toBeGreaterThanOrEqual(40);
    expect(only.isAtWork).toBe(true);
  });

  it("waits its own duration where the Lease names a shorter one", async () => {
    server.put(LEASE.namespace, LEASE.name, { spec: { holderIdentity: "x", leaseDurationSeconds: 1 } });
    const only = await start("only", connect());
    expect(await until(() => only.isAtWork, 60)).toBeGreaterThanOrEqual(15);
  });

  it("does not count a new label as a sign of life", async () => {
    server.put(LEASE.namespace, LEASE.name, { spec: { holderIdentity: "x", leaseDurationSeconds: 15 } });
    const only = await start("only", connect());
    for (let second = 0; second < 16; second++) {
      server.put(LEASE.namespace, LEASE.name, { ...lease(), metadata: { labels: { n: String(second) } } });
      await clock.advance(1);
    }
    expect(only.isAtWork).toBe(true);
  });
});

describe("a third party", () => {
  it("that names another holder ends the term at once", async () => {
    const only = await start("only", connect());
    await clock.advance(3);
    edit({ holderIdentity: "other" });
    await settle();
    expect(only.terms[0]?.signal.aborted).toBe(true);
    expect(only.mayWrite()).toBe(false);
    expect(only.states.at(-1)).toEqual({ isLeader: false, holder: "other" });
  });

  it("is noticed at the next renewal where no watch is allowed, and nothing is overwritten", async () => {
    const client = connect();
    client.fault = ({ isWatch, query }) =>
      isWatch || query?.["fieldSelector"] !== undefined ? { status: 403 } : undefined;
    const only = await start("only", client);
    await clock.advance(5);
    edit({ holderIdentity: "other" });
    await clock.advance(2);
    expect(only.mayWrite()).toBe(false);
    expect(specNow()["holderIdentity"]).toBe("other");
    const from = client.requests.length;
    await clock.advance(10);
    expect(sentSince(client, from)).not.toContain("PUT");
  });

  it("that empties the holder ends the term; someone leads again within 3 s", async () => {
    const only = await start("only", connect());
    await clock.advance(3);
    edit({ holderIdentity: "" });
    await settle();
    expect(only.terms[0]?.signal.aborted).toBe(true);
    expect(await until(() => only.isAtWork, 10)).toBeLessThanOrEqual(3);
    expect(only.terms).toHaveLength(2);
  });

  it("that deletes the Lease changes no leader: it is put back at once", async () => {
    const client = connect();
    const first = await start("first", client);
    const second = await start("second", connect());
    await clock.advance(5);
    const from = client.requests.length;
    server.delete(LEASE.namespace, LEASE.name);
    await settle();
    expect(specNow()["holderIdentity"]).toBe("first");
    await clock.advance(60);
    expect(specNow()["holderIdentity"]).toBe("first");
    expect(first.terms).toHaveLength(1);
    expect(second.terms).toEqual([]);
    expect(sentSince(client, from)[0]).toBe("POST");
    expect(first.mayWrite()).toBe(true);
  });

  it("that deletes the Lease is noticed at the next renewal where no watch is allowed", async () => {
    const client = connect();
    client.fault = ({ isWatch, query }) =>
      isWatch || query?.["fieldSelector"] !== undefined ? { status: 403 } : undefined;
    const first = await start("first", client);
    await clock.advance(5);
    server.delete(LEASE.namespace, LEASE.name);
    await clock.advance(2);
    expect(specNow()["holderIdentity"]).toBe("first");
    expect(first.terms).toHaveLength(1);
  });

  it("that deletes the Lease of a dead leader is no reason to take it before its time", async () => {
    const client = connect();
    const first = await start("first", client);
    const second = await start("second", connect());
    await clock.advance(4.1);
    client.fault = () => "unreachable";
    client.breakWatches();
    server.delete(LEASE.namespace, LEASE.name);
    while (!second.isAtWork) {
      expect(first.mayWrite() && second.mayWrite()).toBe(false);
      await clock.advance(0.5);
    }
    expect(first.mayWrite()).toBe(false);
  });
});

describe("a leader cut off from the API server", () => {
  it.each([
    ["refuses", { status: 503 }],
    ["throttles", { status: 429 }],
    ["hangs", "hang"],
    ["is unreachable", "unreachable"],
  ] as const)("leads on for 10 s and no longer when the server %s", async (_, fault) => {
    const client = connect();
    const only = await start("only", client);
    await clock.advance(4.5);
    client.fault = () => fault;
    client.breakWatches();
    await clock.advance(9.4);
    expect(only.isAtWork).toBe(true);
    await clock.advance(0.2);
    expect(only.isAtWork).toBe(false);
    expect(only.terms[0]?.signal.aborted).toBe(true);
    expect(only.states.at(-1)?.isLeader).toBe(false);
  });

  it("counts from when the last good renewal was sent, not from its answer", async () => {
    const client = connect();
    const only = await start("only", client);
    client.fault = ({ method }) => (method === "PUT" ? { after: 4000 } : undefined);
    await clock.advance(5.9);
    client.fault = () => "unreachable";
    await clock.advance(5.9);
    expect(only.mayWrite()).toBe(true);
    await clock.advance(0.4);
    expect(only.mayWrite()).toBe(false);
  });

  it("counts from when it sent the request that won, not from its answer", async () => {
    const client = connect();
    client.fault = ({ method }) => (method === "POST" ? { after: 4000 } : undefined);
    const only = await start("only", client);
    await clock.advance(3.9);
    client.fault = () => "unreachable";
    await clock.advance(5.9);
    expect(only.mayWrite()).toBe(true);
    await clock.advance(0.4);
    expect(only.mayWrite()).toBe(false);
  });

  it("survives failures that are shorter than the deadline", async () => {
    const client = connect();
    const only = await start("only", client);
    await clock.advance(4.5);
    client.fault = () => "hang";
    await clock.advance(6.4);
    client.fault = () => undefined;
    await clock.advance(60);
    expect(only.terms).toHaveLength(1);
    expect(only.mayWrite()).toBe(true);
  });

  it("takes a renewal whose answer was lost for its own", async () => {
    const client = connect();
    const only = await start("only", client);
    client.fault = ({ method }) => (method === "PUT" ? "lost" : undefined);
    await clock.advance(2);
    client.fault = () => undefined;
    await clock.advance(30);
    expect(only.terms).toHaveLength(1);
    expect(only.mayWrite()).toBe(true);
  });

  it("leads again after five minutes, having asked at a calm pace", async () => {
    const client = connect();
    const only = await start("only", client);
    await clock.advance(4);
    client.fault = () => ({ status: 503 });
    client.breakWatches();
    const from = client.requests.length;
    await clock.advance(300);
    expect(client.requests.length - from).toBeLessThanOrEqual(150);
    client.fault = () => undefined;
    expect(await until(() => only.isAtWork, 30)).toBeLessThanOrEqual(10);
    expect(only.terms).toHaveLength(2);
    await clock.advance(60);
    expect(only.terms).toHaveLength(2);
    // It never was another's.
    expect(specNow()).toMatchObject({ holderIdentity: "only", acquireTime: "2027-01-15T08:00:00.000000Z" });
  });

  it("does not compete again before the work has ended", async () => {
    const client = connect();
    const only = await start("only", client, { drain: 30_000 });
    client.fault = () => "unreachable";
    await clock.advance(12);
    client.fault = () => undefined;
    await clock.advance(20);
    expect(only.terms).toHaveLength(1);
    await clock.advance(10);
    expect(only.terms).toHaveLength(2);
  });
});

describe("the fence", () => {
  it("throws ABORTED, and ends the term, after the process stood still, before any timer has fired", async () => {
    const only = await start("only", connect());
    clock.jump(10.1);
    const term = only.terms[0] as Term;
    expect(await codeOf((async () => term.fence())())).toBe("ABORTED");
    expect(term.signal.aborted).toBe(true);
    expect(only.states.at(-1)?.isLeader).toBe(false);
  });

  it("lets writes through until then", async () => {
    const only = await start("only", connect());
    clock.jump(9.9);
    expect(only.mayWrite()).toBe(true);
  });

  it("closes after a suspend that only the wall clock shows", async () => {
    const suspended = Object.create(clock) as FakeClock;
    let slept = 0;
    suspended.now = () => (clock.now() + slept) as ReturnType<FakeClock["now"]>;
    suspended.monotonic = () => clock.monotonic();
    suspended.sleep = clock.sleep.bind(clock);
    const only = await start("only", connect(), { clock: suspended });
    slept = 10;
    expect(only.mayWrite()).toBe(true);
    slept = 11;
    expect(only.mayWrite()).toBe(false);
  });

  it("does not open again for a renewal whose answer came too late", async () => {
    const client = connect();
    const only = await start("only", client);
    await clock.advance(1.9);
    client.fault = ({ method }) => (method === "PUT" ? { before: 0, after: 3000 } : undefined);
    await clock.advance(0.2);
    clock.jump(12);
    await clock.advance(5);
    expect(only.terms[0]?.signal.aborted).toBe(true);
    expect(only.terms).toHaveLength(2);
  });

  it("sends no renewal after its time, so that another is not kept waiting", async () => {
    const client = connect();
    await start("only", client);
    await clock.advance(1);
    const from = client.requests.length;
    clock.jump(12);
    await settle();
    await clock.advance(0.1);
    expect(sentSince(client, from)[0]).not.toBe("PUT");
  });

  it("opens for no one whose winning answer came too late", async () => {
    const client = connect();
    client.fault = ({ method }) => (method === "POST" ? { after: 4000 } : undefined);
    const only = await start("only", client);
    clock.jump(10.5);
    await clock.advance(0);
    await settle();
    expect(only.terms.filter((term) => term.signal.aborted)).toEqual([]);
  });
});

describe("work that ends by itself", () => {
  it("gives up the Lease, tells of the error, and competes again after the others", async () => {
    const failure = new Error("cannot lead");
    const first = await start("first", connect(), {
      lead: async () => {
        await clock.sleep(milliseconds(1000), new AbortController().signal);
        throw failure;
      },
    });
    const second = await start("second", connect());
    await clock.advance(5);
    expect(first.errors).toEqual([failure]);
    expect(second.isAtWork).toBe(true);
    expect(first.mayWrite()).toBe(false);
    expect(first.terms).toHaveLength(1);
  });

  it("is tried again at a calm pace where there is no other", async () => {
    const only = await start("only", connect(), { lead: async () => Promise.reject(new Error("no")) });
    await clock.advance(60);
    expect(only.terms.length).toBeGreaterThan(10);
    expect(only.terms.length).toBeLessThanOrEqual(31);
  });
});

describe("LeaderElection", () => {
  it.each([
    [10_000, 10_000, 2000],
    [15_000, 2400, 2000],
  ])("refuses times that do not fit each other: %d, %d, %d", (leaseDuration, renewDeadline, retryPeriod) => {
    const timing = {
      leaseDuration: milliseconds(leaseDuration),
      renewDeadline: milliseconds(renewDeadline),
      retryPeriod: milliseconds(retryPeriod),
    };
    const options = { client: connect(), clock, random: fakeRandom(), ...LEASE, identity: "x", timing };
    expect(() => new LeaderElection(options)).toThrow(TypeError);
  });

  it("uses paths and a field manager that the API server knows", async () => {
    const client = connect();
    await start("only", client);
    await clock.advance(2);
    const puts = client.requests.filter((one) => one.method === "PUT");
    expect(puts[0]?.path).toBe(objectPath(LEASES, LEASE));
    expect(puts[0]?.query).toEqual({ fieldManager: "meshid" });
  });
});
