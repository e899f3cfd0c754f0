import { describe, expect, it } from "@jest/globals";
import { type ControllerReport, type Reconciler, runController } from "../../../src/controller/controller.ts";
import { WorkQueue } from "../../../src/controller/work-queue.ts";
import { milliseconds, seconds } from "../../../src/core/brand.ts";
import { type Clock, systemClock } from "../../../src/core/clock.ts";
import { OperatorError } from "../../../src/core/errors.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";
import { fakeRandom } from "../../support/fake-random.ts";

interface Running extends AsyncDisposable {
  readonly queue: WorkQueue;
  readonly reports: readonly ControllerReport[];
}

function run(clock: Clock, reconcile: Reconciler["reconcile"], workers = 1): Running {
  const queue = new WorkQueue({
    clock,
    random: fakeRandom(),
    maxInFlightPerNamespace: 100,
    backoff: { base: milliseconds(1000), cap: milliseconds(300_000) },
    priorityOf: () => ({ urgency: "Routine", deadline: seconds(0) }),
  });
  const reports: ControllerReport[] = [];
  const stop = new AbortController();
  const report = (one: ControllerReport): void => void reports.push(one);
  const options = { name: "test", queue, reconciler: { reconcile }, workers, clock, report };
  const running = runController({ ...options, working: stop.signal }, stop.signal);
  return {
    queue,
    reports,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
    },
  };
}

describe("runController", () => {
  it("tries again after a back-off what may pass, and after ten minutes what will not by itself", async () => {
    const clock = new FakeClock();
    const errors = new Map([
      ["shop/busy", new OperatorError("STORAGE_FAILED", "busy", { retryable: true })],
      ["shop/refused", new OperatorError("STORAGE_FAILED", "refused")],
    ]);
    await using one = run(clock, async (key) => {
      throw errors.get(key) ?? new TypeError("no such key");
    });
    for (const key of errors.keys()) one.queue.add(key);
    await settle();
    expect(one.reports.map(({ key, result }) => `${key} ${result}`)).toEqual([
      "shop/busy error",
      "shop/refused terminal_error",
    ]);
    const tries = (key: string): number => one.reports.filter((report) => report.key === key).length;
    await clock.advance(599);
    expect(tries("shop/busy")).toBeGreaterThan(5);
    expect(tries("shop/refused")).toBe(1);
    await clock.advance(2);
    expect(tries("shop/refused")).toBe(2);
  });

  it("lets others run while it works on many keys that wait for nothing", async () => {
    const until = (length: number): void => {
      for (const start = performance.now(); performance.now() - start < length; ) void 0;
    };
    await using one = run(
      systemClock,
      async () => {
        until(1);
        return {};
      },
      16,
    );
    let turns = 0;
    const count = (): void => {
      turns += 1;
      if (one.reports.length < 100) setImmediate(count);
    };
    for (let index = 0; index < 100; index++) one.queue.add(`shop/${index}`);
    setImmediate(count);
    while (one.reports.length < 100) await new Promise((resolve) => setImmediate(resolve));
    expect(turns).toBeGreaterThan(4);
  });
});
