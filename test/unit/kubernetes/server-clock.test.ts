import { describe, expect, it } from "@jest/globals";
import { type Milliseconds, milliseconds, type Seconds, seconds } from "../../../src/core/brand.ts";
import type { Clock } from "../../../src/core/clock.ts";
import { ServerClock } from "../../../src/kubernetes/server-clock.ts";

const NOON = 1_800_000_000;

class TwoClocks implements Clock {
  wall = NOON;
  passed = 0;
  now(): Seconds {
    return seconds(this.wall);
  }
  monotonic(): Milliseconds {
    return milliseconds(5000 + this.passed * 1000);
  }
  async sleep(): Promise<void> {}
  pass(length: number): void {
    this.wall += length;
    this.passed += length;
  }
}

const dateOf = (instant: number): string => new Date(instant * 1000).toUTCString();

describe("ServerClock", () => {
  it("gives the machine's time while the server has said nothing, or something else than a time", () => {
    const machine = new TwoClocks();
    const server = new ServerClock(machine);
    for (const date of [undefined, "", "noon"]) server.heard(date);
    machine.wall += 86_400;
    expect(server.guarded().now()).toBe(NOON + 86_400);
  });

  it("refuses a time that is more than five minutes ahead, and gives it again once the clock is set", () => {
    const machine = new TwoClocks();
    const server = new ServerClock(machine);
    const clock = server.guarded();
    server.heard(dateOf(NOON));
    machine.pass(10_000);
    expect(clock.now()).toBe(NOON + 10_000);
    machine.wall += 300;
    expect(clock.now()).toBe(NOON + 10_300);
    machine.wall += 86_400;
    expect(() => clock.now()).toThrow(
      /the clock says 2027-01-16.*API server 2027-01-15.*: set the one that is wrong/,
    );
    machine.wall -= 86_700;
    expect(clock.now()).toBe(NOON + 10_000);
  });

  it("leaves a clock that is behind to the journal", () => {
    const machine = new TwoClocks();
    const server = new ServerClock(machine);
    server.heard(dateOf(NOON));
    machine.wall -= 86_400;
    expect(server.guarded().now()).toBe(NOON - 86_400);
  });
});
