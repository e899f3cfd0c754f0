import { type Milliseconds, milliseconds, type Seconds, seconds } from "../../src/core/brand.ts";
import type { Clock } from "../../src/core/clock.ts";

interface Sleeper {
  readonly until: number;
  readonly wake: () => void;
}

/** A clock that stands still until the test moves it. */
export class FakeClock implements Clock {
  #now: number;
  /** By how much the wall clock is ahead of what timers have seen. */
  #ahead = 0;
  #sleepers: Sleeper[] = [];

  constructor(now = 1_800_000_000) {
    this.#now = now;
  }

  now(): Seconds {
    return seconds(Math.floor(this.#now + this.#ahead));
  }

  monotonic(): Milliseconds {
    return milliseconds(this.#now * 1000);
  }

  sleep(length: Milliseconds, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const sleeper: Sleeper = { until: this.#now + length / 1000, wake: resolve };
      this.#sleepers.push(sleeper);
      signal.addEventListener("abort", () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        resolve();
      });
    });
  }

  /** Moves time on by whole seconds, waking sleepers in order, and lets what they started settle. */
  async advance(length: number): Promise<void> {
    const end = this.#now + length;
    for (;;) {
      await settle();
      const next = this.#sleepers.toSorted((a, b) => a.until - b.until)[0];
      if (next === undefined || next.until > end) break;
      this.#now = Math.max(this.#now, next.until);
      this.#sleepers = this.#sleepers.filter((other) => other !== next);
      next.wake();
    }
    this.#now = end;
    await settle();
  }

  /** Moves the wall clock alone, as a step does and a machine that was asleep: timers go on where they were. */
  shift(by: number): void {
    this.#ahead += by;
  }

  /** Sets the wall clock without waking anyone: a clock step. */
  jump(by: number): void {
    this.#now += by;
  }
}

/** Lets every promise that can resolve do so. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 20; round++) await new Promise((resolve) => setImmediate(resolve));
}
