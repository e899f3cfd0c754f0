import { describe, expect, it } from "@jest/globals";
import { OperatorError } from "../../../src/core/errors.ts";
import { KubeApiError } from "../../../src/kubernetes/errors.ts";
import { Reflector, type Sink } from "../../../src/kubernetes/reflector.ts";
import { SECRETS } from "../../../src/kubernetes/resources.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";
import { fakeRandom } from "../../support/fake-random.ts";
import {
  type Answer,
  listOf,
  objectOf,
  ScriptedClient,
  type Stream,
} from "../../support/kubernetes/scripted.ts";

const GONE = new KubeApiError(410, "Expired", "too old resource version");
const BROKEN = new OperatorError("STORAGE_FAILED", "no answer", {
  retryable: true,
  details: { errno: "ECONNRESET" },
});
const EMPTY = listOf(10, []);

interface Followed extends AsyncDisposable {
  readonly client: ScriptedClient;
  readonly clock: FakeClock;
  readonly told: readonly string[];
  readonly reflector: Reflector;
}

function follow(
  answers: readonly Answer[],
  streams: readonly (Stream | Error)[],
  sink: Partial<Sink> = {},
): Followed {
  const client = new ScriptedClient(answers, streams);
  const clock = new FakeClock();
  const told: string[] = [];
  const reflector = new Reflector({
    client,
    clock,
    random: fakeRandom(),
    resource: SECRETS,
    labelSelector: "app.kubernetes.io/managed-by=meshid",
    sink: {
      set: ({ metadata }) => told.push(`set ${metadata.name} ${metadata.resourceVersion}`),
      remove: ({ metadata }) => told.push(`remove ${metadata.name} ${metadata.resourceVersion}`),
      retain: (keys, version) => told.push(`retain ${[...keys].join()} at ${version}`),
      ...sink,
    },
    onRelist: (reason) => told.push(`listed ${reason}`),
    onError: (error) => told.push(`error ${(error as Error).message}`),
  });
  const stop = new AbortController();
  const running = reflector.run(stop.signal);
  return {
    client,
    clock,
    told,
    reflector,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
    },
  };
}

describe("Reflector", () => {
  it("takes pages together as one list, and tells what is gone with the list's own version", async () => {
    const pages = [listOf(10, [objectOf("a", 5)], "next"), listOf(10, [objectOf("b", 6)])];
    await using one = follow(pages, []);
    await one.reflector.synced;
    expect(one.told).toEqual(["set a 5", "set b 6", "retain shop/a,shop/b at 10", "listed Start"]);
    expect(one.client.requests.map(({ query }) => query?.["continue"])).toEqual([undefined, "next"]);
    await settle();
    expect(one.client.watches[0]?.query).toMatchObject({
      resourceVersion: "10",
      allowWatchBookmarks: "true",
      labelSelector: "app.kubernetes.io/managed-by=meshid",
    });
  });

  it("asks for fewer objects at once where they are too large together, and for more again later", async () => {
    const tooLarge = new OperatorError("STORAGE_FAILED", "an answer of more than 16777216 bytes", {
      retryable: true,
      details: { errno: "TOO_LARGE" },
    });
    const answers = [
      tooLarge,
      tooLarge,
      listOf(10, [objectOf("a", 5)], "next"),
      listOf(10, [objectOf("b", 6)]),
    ];
    await using one = follow(answers, []);
    await one.reflector.synced;
    expect(one.told).toEqual(["set a 5", "set b 6", "retain shop/a,shop/b at 10", "listed Start"]);
    expect(one.client.requests.map(({ query }) => query?.["limit"])).toEqual(["250", "32", "4", "8"]);
  });

  it("opens each watch for a time of its own between five and ten minutes", async () => {
    const clean: Stream = { events: [] };
    await using one = follow([EMPTY], [clean, clean, clean]);
    await one.clock.advance(30);
    const times = one.client.watches.map(({ query }) => Number(query?.["timeoutSeconds"]));
    expect(times).toHaveLength(4);
    expect(times.filter((time) => time < 300 || time > 600)).toEqual([]);
    expect(new Set(times).size).toBeGreaterThan(1);
  });

  it.each([
    ["as the answer to the watch", GONE],
    ["as an event of the watch", { events: [{ type: "ERROR", object: { code: 410, reason: "Gone" } }] }],
    ["as an event that has only a reason", { events: [{ type: "ERROR", object: { reason: "Expired" } }] }],
    ["as the end of the watch", { events: [{ type: "ADDED", object: objectOf("a", 11) }], end: GONE }],
  ] as const)("lists anew after a 410 %s, without a complaint", async (_, stream) => {
    await using one = follow([EMPTY, listOf(20, [])], [stream]);
    await one.clock.advance(2);
    expect(one.told.filter((line) => !line.startsWith("set"))).toEqual([
      "retain  at 10",
      "listed Start",
      "retain  at 20",
      "listed Expired",
    ]);
    expect(one.client.watches.at(-1)?.query?.["resourceVersion"]).toBe("20");
  });

  it("lists anew when the server was restored to an earlier state", async () => {
    const ahead = new KubeApiError(504, "Timeout", "Too large resource version: 99, current: 50");
    await using one = follow([EMPTY, listOf(5, [])], [ahead]);
    await one.clock.advance(2);
    expect(one.told).toContain("listed Unknown");
    expect(one.client.watches.at(-1)?.query?.["resourceVersion"]).toBe("5");
  });

  it("goes on from the last event or bookmark when the connection breaks", async () => {
    const bookmark = { type: "BOOKMARK", object: objectOf("", 44) } as const;
    const deleted = { type: "DELETED", object: objectOf("a", 43) } as const;
    await using one = follow(
      [EMPTY],
      [
        { events: [deleted, bookmark], end: BROKEN },
        { events: [], end: BROKEN },
      ],
    );
    await one.clock.advance(5);
    expect(one.client.watches.map(({ query }) => query?.["resourceVersion"])).toEqual(["10", "44", "44"]);
    expect(one.told.filter((line) => line.startsWith("remove"))).toEqual(["remove a 43"]);
    expect(one.client.requests).toHaveLength(1);
  });

  it("never gives up: it waits longer each time, at most 30 s where the server answers", async () => {
    const failing = new KubeApiError(500, "InternalError", "etcdserver: no leader");
    await using one = follow([failing], []);
    const at: number[] = [];
    for (let second = 0; second < 600; second++) {
      await one.clock.advance(1);
      if (one.client.requests.length > at.length) at.push(second);
    }
    const pauses = at.slice(1).map((time, index) => time - at[index]!);
    expect(pauses.length).toBeGreaterThan(20);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(31);
    expect(pauses.slice(8).every((pause) => pause >= 14)).toBe(true);
  });

  it("asks a server that does not answer at all every 8 s at least, so that an end of the outage is noticed soon", async () => {
    await using one = follow([BROKEN], []);
    await one.clock.advance(120);
    const before = one.client.requests.length;
    await one.clock.advance(80);
    expect(one.client.requests.length - before).toBeGreaterThanOrEqual(10);
    expect(one.client.requests.length - before).toBeLessThan(25);
  });

  it("waits as long as the server asks for", async () => {
    const busy = new KubeApiError(429, "TooManyRequests", "too many requests", 20);
    await using one = follow([busy, EMPTY], []);
    await one.clock.advance(19);
    expect(one.client.requests).toHaveLength(1);
    await one.clock.advance(2);
    expect(one.client.requests).toHaveLength(2);
  });

  it("takes watches that end at once for failures, and one that lasted for none", async () => {
    const short: Stream = { events: [] };
    await using one = follow(
      [EMPTY],
      Array.from({ length: 50 }, () => short),
    );
    await one.clock.advance(100);
    expect(one.client.watches.length).toBeLessThan(12);
    expect(one.client.requests).toHaveLength(1);
  });

  it("says of a kind that is not there that there is none, and looks for it every 10 to 15 s", async () => {
    const absent = new KubeApiError(404, "NotFound", "the server could not find the requested resource");
    const told: string[] = [];
    await using one = follow([absent, absent, absent, EMPTY], [], { absent: () => void told.push("absent") });
    await one.reflector.synced;
    await one.clock.advance(9);
    expect([one.client.requests.length, told]).toEqual([1, ["absent"]]);
    await one.clock.advance(50);
    expect(told).toHaveLength(3);
    expect(one.told).toEqual(["retain  at 10", "listed Absent"]);
  });

  it("keeps nothing of a kind that is gone", async () => {
    const absent = new KubeApiError(404, "NotFound", "the server could not find the requested resource");
    await using one = follow([listOf(10, [objectOf("a", 5)]), absent], [absent]);
    await one.clock.advance(1);
    expect(one.told.at(-1)).toMatch(/^retain {2}at \d{19,}$/);
  });

  it("goes on when one object cannot be taken up", async () => {
    const seen: string[] = [];
    const sink: Partial<Sink> = {
      set: ({ metadata }) => {
        if (metadata.name === "bad") throw new RangeError("invalid time value");
        seen.push(metadata.name);
      },
    };
    const added = (name: string, version: number) =>
      ({ type: "ADDED", object: objectOf(name, version) }) as const;
    const items = [objectOf("bad", 5), objectOf("a", 6)];
    await using one = follow(
      [listOf(10, items)],
      [{ events: [added("bad", 11), added("b", 12)], end: BROKEN }],
      sink,
    );
    await one.clock.advance(2);
    expect(seen).toEqual(["a", "b"]);
    expect(one.told.filter((line) => line.startsWith("error"))).toHaveLength(2);
    expect(one.client.watches.at(-1)?.query?.["resourceVersion"]).toBe("12");
  });

  it("is silent as long as the server is", async () => {
    await using one = follow([EMPTY], []);
    await one.clock.advance(70);
    expect(one.reflector.silence).toBe(70_000);
  });

  it("is not silent where the server says time and again that it does not know the kind", async () => {
    await using one = follow([new KubeApiError(404, "NotFound", "no such kind")], []);
    await one.clock.advance(70);
    expect(one.reflector.silence).toBeLessThanOrEqual(15_000);
  });
});
