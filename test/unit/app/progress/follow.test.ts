import { describe, expect, it } from "@jest/globals";
import { follow, type Progress, timeoutOf } from "../../../../src/app/progress/follow.ts";
import { milliseconds, seconds } from "../../../../src/core/brand.ts";
import { OperatorError } from "../../../../src/core/errors.ts";
import { testIo } from "../../../support/cli-io.ts";

function steps(...all: readonly (Progress | Error)[]): () => Promise<Progress> {
  let index = 0;
  return async () => {
    const next = all[Math.min(index++, all.length - 1)];
    if (next instanceof Error) throw next;
    return next ?? { isDone: false, text: "" };
  };
}

const waits: Progress = { isDone: false, text: "waits" };
const done: Progress = { isDone: true, text: "done" };
const away = new OperatorError("CLUSTER_UNREACHABLE", "the API server is away");

describe("follow", () => {
  it("tells each change once and ends when it is done", async () => {
    const { io, told, slept } = testIo();
    expect(await follow(steps(waits, waits, waits, done), seconds(60), io)).toEqual({
      progress: done,
      isInterrupted: false,
    });
    expect(told).toEqual(["0s: waits\n", "1s: done\n"]);
    expect(slept()).toBe(1500);
  });

  it("ends at the deadline with what it saw last", async () => {
    const { io, slept } = testIo();
    expect((await follow(steps(waits), seconds(5), io)).progress).toBe(waits);
    expect(slept()).toBe(5000);
  });

  it("ends where waiting longer is of no use", async () => {
    const { io, slept } = testIo();
    const lost: Progress = { isDone: false, text: "nobody is there", isHopeless: true };
    expect((await follow(steps(waits, lost, waits), seconds(60), io)).progress).toBe(lost);
    expect(slept()).toBe(500);
  });

  it("goes on while the API server is away, and fails where it is at the deadline", async () => {
    const { io, told } = testIo();
    expect((await follow(steps(waits, away, away, done), seconds(60), io)).progress).toBe(done);
    expect(told.join("")).toBe("0s: waits\n0s: the API server is away\n1s: done\n");
    await expect(follow(steps(waits, away), seconds(5), testIo().io)).rejects.toBe(away);
  });

  it("fails at once for any other error, and listens no longer", async () => {
    const { io, slept, listening } = testIo();
    const gone = new OperatorError("NOT_FOUND", "deleted meanwhile");
    await expect(follow(steps(gone), seconds(60), io)).rejects.toBe(gone);
    expect([slept(), listening()]).toEqual([0, 0]);
  });

  it("ends with what it saw last when it is interrupted between two looks", async () => {
    const test = testIo({ onSleep: (slept) => (slept >= 2000 ? test.interrupt() : undefined) });
    const end = await follow(steps(waits), seconds(60), test.io);
    expect(end).toEqual({ progress: waits, isInterrupted: true });
    expect([test.listening(), test.slept()]).toEqual([0, 2000]);
  });

  it("ends when it is interrupted in a look that gets no answer", async () => {
    const { io, interrupt } = testIo();
    let looks = 0;
    const look = (): Promise<Progress> => {
      if (looks++ === 0) return Promise.resolve(waits);
      setImmediate(interrupt);
      return new Promise(() => {});
    };
    expect(await follow(look, seconds(60), io)).toEqual({ progress: waits, isInterrupted: true });
  });

  it("looks seldom where a look takes long", async () => {
    const { io, slept } = testIo();
    const { signal } = new AbortController();
    let looks = 0;
    const look = async (): Promise<Progress> => {
      looks++;
      await io.clock.sleep(milliseconds(2000), signal);
      return waits;
    };
    await follow(look, seconds(60), io);
    expect(looks).toBeLessThanOrEqual(7);
    expect(slept()).toBeGreaterThanOrEqual(60_000);
  });
});

describe("timeoutOf", () => {
  it("takes Go's durations, and names the flag of another", () => {
    const options = (value: string) => new Map([["timeout", { from: "--timeout", value }]]);
    expect(timeoutOf(options("1h30m"), seconds(60))).toBe(5400);
    expect(timeoutOf(new Map(), seconds(60))).toBe(60);
    expect(() => timeoutOf(options("2 days"), seconds(60))).toThrow('--timeout: "2 days" is not a duration');
  });
});
