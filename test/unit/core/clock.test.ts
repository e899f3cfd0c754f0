import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { milliseconds, seconds } from "../../../src/core/brand.ts";
import { parseRfc3339, sleepUntil, systemClock, throwIfAborted, toRfc3339 } from "../../../src/core/clock.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";

describe("instants", () => {
  it("are written as Kubernetes writes them, and read back", () => {
    expect(toRfc3339(seconds(1_795_514_400))).toBe("2026-11-24T10:00:00Z");
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 253_402_300_799 }), (instant) => {
        expect(parseRfc3339(toRfc3339(seconds(instant)))).toBe(instant);
      }),
    );
  });

  it.each([
    ["2026-11-24T10:00:00.999Z", 1_795_514_400],
    ["2026-11-24T11:00:00+01:00", 1_795_514_400],
    ["2026-11-24", undefined],
    ["2026-13-24T10:00:00Z", undefined],
    ["2026-11-24T10:00:00", undefined],
    ["tomorrow", undefined],
    ["", undefined],
  ])("%s is %p", (text, expected) => {
    expect(parseRfc3339(text)).toBe(expected);
  });
});

describe("systemClock.sleep", () => {
  const never = new AbortController().signal;

  it("ends at once, without an error, when it is told to stop, before or meanwhile", async () => {
    const started = systemClock.monotonic();
    await systemClock.sleep(milliseconds(60_000), AbortSignal.abort());
    const stop = new AbortController();
    const sleeping = systemClock.sleep(milliseconds(60_000), stop.signal);
    stop.abort();
    await sleeping;
    expect(systemClock.monotonic() - started).toBeLessThan(10_000);
  });

  it("ends at once for a time that has passed", async () => {
    const started = systemClock.monotonic();
    await systemClock.sleep(milliseconds(-5), never);
    expect(systemClock.monotonic() - started).toBeLessThan(10_000);
  });

  it("does not end at once for a time that no timer can hold", async () => {
    const stop = new AbortController();
    const over = systemClock.sleep(milliseconds(30 * 86_400_000), stop.signal).then(() => "over");
    const later = systemClock.sleep(milliseconds(50), never).then(() => "later");
    expect(await Promise.race([over, later])).toBe("later");
    stop.abort();
    await over;
  });
});

describe("sleepUntil", () => {
  const never = new AbortController().signal;

  it("ends at the instant and not before", async () => {
    const clock = new FakeClock();
    let isOver = false;
    void sleepUntil(clock, seconds(clock.now() + 200), never).then(() => (isOver = true));
    await clock.advance(199);
    expect(isOver).toBe(false);
    await clock.advance(1);
    expect(isOver).toBe(true);
  });

  it("ends within a minute after the machine was asleep beyond the instant", async () => {
    const clock = new FakeClock();
    let isOver = false;
    void sleepUntil(clock, seconds(clock.now() + 36_000), never).then(() => (isOver = true));
    await settle();
    clock.shift(72_000);
    await clock.advance(60);
    expect(isOver).toBe(true);
  });

  it("ends within a minute after the clock was put back", async () => {
    const clock = new FakeClock();
    let isOver = false;
    void sleepUntil(clock, seconds(clock.now() + 36_000), never).then(() => (isOver = true));
    await clock.advance(600);
    expect(isOver).toBe(false);
    clock.shift(-86_400);
    await clock.advance(60);
    expect(isOver).toBe(true);
  });

  it("ends when it is told to stop, and for an instant that has passed", async () => {
    const clock = new FakeClock();
    const stop = new AbortController();
    const sleeping = sleepUntil(clock, seconds(clock.now() + 200), stop.signal);
    stop.abort();
    await sleeping;
    await sleepUntil(clock, clock.now(), never);
  });
});

describe("throwIfAborted", () => {
  it("throws ABORTED with the reason, and only then", () => {
    throwIfAborted(new AbortController().signal);
    expect(() => throwIfAborted(AbortSignal.abort("enough"))).toThrow(
      expect.objectContaining({ code: "ABORTED", cause: "enough" }),
    );
  });
});
