import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { namespaceOf, type Priority, WorkQueue } from "../../../src/controller/work-queue.ts";
import { milliseconds, seconds } from "../../../src/core/brand.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";
import { fakeRandom } from "../../support/fake-random.ts";

const routine = (deadline: number): Priority => ({ urgency: "Routine", deadline: seconds(deadline) });
const urgent = (deadline: number): Priority => ({ urgency: "Urgent", deadline: seconds(deadline) });

function makeQueue(
  priorities: Record<string, Priority>,
  clock: FakeClock,
  maxInFlightPerNamespace = 100,
): WorkQueue {
  return new WorkQueue({
    clock,
    random: fakeRandom(),
    maxInFlightPerNamespace,
    backoff: { base: milliseconds(1000), cap: milliseconds(300_000) },
    priorityOf: (key) => priorities[key] ?? routine(0),
  });
}

describe("WorkQueue", () => {
  let clock: FakeClock;
  let stop: AbortController;

  beforeEach(() => {
    clock = new FakeClock();
    stop = new AbortController();
  });

  afterEach(() => stop.abort());

  const takeAll = async (queue: WorkQueue): Promise<string[]> => {
    const taken: string[] = [];
    while (queue.depth > 0) {
      const key = await queue.take(stop.signal);
      if (key !== undefined) taken.push(key);
    }
    return taken;
  };

  it("gives the soonest deadline of a namespace first", async () => {
    const queue = makeQueue({ "a/late": routine(30), "a/soon": routine(10), "a/next": routine(20) }, clock);
    for (const key of ["a/late", "a/soon", "a/next"]) queue.add(key);
    expect(await takeAll(queue)).toEqual(["a/soon", "a/next", "a/late"]);
  });

  it("spreads keys over the seconds in their order, and none is lost", async () => {
    const queue = makeQueue({}, clock);
    const keys = Array.from({ length: 25 }, (_, index) => `a/${String(index).padStart(2, "0")}`);
    void queue.run(stop.signal);
    queue.addSpread(keys, 10);
    expect(await takeAll(queue)).toEqual(keys.slice(0, 10));
    await clock.advance(1);
    expect(await takeAll(queue)).toEqual(keys.slice(10, 20));
    await clock.advance(1);
    expect(await takeAll(queue)).toEqual(keys.slice(20));
    expect(queue.delayed).toBe(0);
  });

  it("keeps one entry for each key that is put off, and not one for each time", async () => {
    const queue = makeQueue({}, clock);
    queue.addAt("a/once", seconds(clock.now() + 5));
    for (let times = 0; times < 5000; times++) {
      queue.add("a/often");
      expect(await queue.take(stop.signal)).toBe("a/often");
      queue.addAt("a/often", seconds(clock.now() + 70_000 + times));
      queue.done("a/often");
    }
    expect(queue.delayed).toBeLessThan(1100);
    void queue.run(stop.signal);
    await clock.advance(6);
    expect(await takeAll(queue)).toEqual(["a/once"]);
    await clock.advance(80_000);
    expect(await takeAll(queue)).toEqual(["a/often"]);
  });

  it("goes round over namespaces, however many keys one of them has", async () => {
    const queue = makeQueue({}, clock);
    for (const key of ["a/1", "a/2", "a/3", "a/4", "b/1", "c/1"]) queue.add(key);
    expect((await takeAll(queue)).slice(0, 3).map(namespaceOf)).toEqual(["a", "b", "c"]);
  });

  it("gives urgent keys of any namespace before routine ones", async () => {
    const queue = makeQueue({ "a/renewal": routine(1), "b/first": urgent(900) }, clock);
    queue.add("a/renewal");
    queue.add("b/first");
    expect(await takeAll(queue)).toEqual(["b/first", "a/renewal"]);
  });

  it("gives a key once, however often it is added", async () => {
    const queue = makeQueue({}, clock);
    for (let count = 0; count < 5; count++) queue.add("a/1");
    expect(await takeAll(queue)).toEqual(["a/1"]);
  });

  it("takes a waiting key up again with a better priority", async () => {
    const priorities: Record<string, Priority> = { "a/1": routine(50), "a/2": routine(40) };
    const queue = makeQueue(priorities, clock);
    queue.add("a/1");
    queue.add("a/2");
    priorities["a/1"] = urgent(50);
    queue.add("a/1");
    expect(await takeAll(queue)).toEqual(["a/1", "a/2"]);
  });

  it("never gives a key that is in work, and gives it once more when it was added meanwhile", async () => {
    const queue = makeQueue({}, clock);
    queue.add("a/1");
    await queue.take(stop.signal);
    queue.add("a/1");
    expect(queue.depth).toBe(0);
    queue.done("a/1");
    expect(await queue.take(stop.signal)).toBe("a/1");
  });

  it("holds a namespace to its share of what is in work, and goes on with others", async () => {
    const queue = makeQueue({}, clock, 2);
    for (const key of ["a/1", "a/2", "a/3", "b/1"]) queue.add(key);
    const taken = [
      await queue.take(stop.signal),
      await queue.take(stop.signal),
      await queue.take(stop.signal),
    ];
    expect(taken.map(String).toSorted((a, b) => (a < b ? -1 : 1))).toEqual(["a/1", "a/2", "b/1"]);
    let third: string | undefined;
    const takeThird = async (): Promise<void> => {
      third = await queue.take(stop.signal);
    };
    void takeThird();
    await settle();
    expect(third).toBeUndefined();
    queue.done("a/1");
    await settle();
    expect(third).toBe("a/3");
  });

  it("makes a delayed key ready at its instant and not before", async () => {
    const queue = makeQueue({}, clock);
    void queue.run(stop.signal);
    queue.addAt("a/1", seconds(clock.now() + 100));
    await clock.advance(99);
    expect(queue.depth).toBe(0);
    await clock.advance(1);
    expect(queue.depth).toBe(1);
  });

  it("keeps the earliest of several instants of a key", async () => {
    const queue = makeQueue({}, clock);
    void queue.run(stop.signal);
    queue.addAt("a/1", seconds(clock.now() + 100));
    queue.addAt("a/1", seconds(clock.now() + 10));
    queue.addAt("a/1", seconds(clock.now() + 50));
    await clock.advance(10);
    expect(await takeAll(queue)).toEqual(["a/1"]);
    queue.done("a/1");
    await clock.advance(200);
    expect(queue.depth).toBe(0);
  });

  it("makes a key ready within a minute after the machine was asleep beyond its instant", async () => {
    const queue = makeQueue({}, clock);
    void queue.run(stop.signal);
    queue.addAt("a/1", seconds(clock.now() + 86_400));
    await settle();
    clock.shift(72_000);
    await clock.advance(60);
    expect(queue.depth).toBe(0);
    clock.shift(14_400);
    await clock.advance(60);
    expect(queue.depth).toBe(1);
  });

  it("waits longer after each failure, and no longer after a success", async () => {
    const queue = makeQueue({}, clock);
    void queue.run(stop.signal);
    const waits: number[] = [];
    for (let failure = 0; failure < 4; failure++) {
      const start = clock.now();
      queue.addRateLimited("a/1");
      while (queue.depth === 0) await clock.advance(1);
      waits.push(clock.now() - start);
      await takeAll(queue);
      queue.done("a/1");
    }
    expect(waits.toSorted((a, b) => a - b)).toEqual(waits);
    expect(waits.at(-1)).toBeGreaterThan(3);
    queue.forget("a/1");
    expect(queue.failuresOf("a/1")).toBe(0);
  });

  it("loses no key and repeats none, whatever the order of adds and dones", async () => {
    const keys = fc.constantFrom("a/1", "a/2", "b/1", "c/1", "c/2");
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.boolean(), keys), { maxLength: 60 }), async (moves) => {
        const queue = makeQueue({}, clock, 2);
        const owed = new Set<string>();
        const inWork = new Set<string>();
        const take = async (): Promise<void> => {
          const key = (await queue.take(AbortSignal.timeout(5))) ?? "";
          expect(inWork.has(key)).toBe(false);
          inWork.add(key);
          owed.delete(key);
        };
        for (const [isAdd, key] of moves) {
          if (isAdd) {
            queue.add(key);
            owed.add(key);
          } else if (inWork.delete(key)) queue.done(key);
          else if (queue.depth > 0 && inWork.size === 0) await take();
        }
        for (const key of inWork) queue.done(key);
        inWork.clear();
        while (queue.depth > 0) {
          const key = (await queue.take(stop.signal)) ?? "";
          owed.delete(key);
          queue.done(key);
        }
        expect([...owed]).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });
});
