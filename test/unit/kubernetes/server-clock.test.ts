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

function compare(machine: TwoClocks): {
  readonly server: ServerClock;
  readonly told: (string | undefined)[];
} {
  const told: (string | undefined)[] = [];
  const server = new ServerClock({ clock: machine, onChange: (fault) => told.push(fault?.message) });
  return { server, told };
}

describe("ServerClock", () => {
  it("gives the machine's time while the server has said nothing, or something else than a time", () => {
    const machine = new TwoClocks();
    const { server, told } = compare(machine);
    for (const date of [undefined, "", "noon"]) server.heard(date);
    machine.wall += 86_400;
    expect(server.guarded().now()).toBe(NOON + 86_400);
    expect(told).toEqual([]);
  });

  it.each([
    ["ahead", 1],
    ["behind", -1],
  ])("refuses a time that is more than a minute %s, and gives it again once the clock is set", (_, sign) => {
    const machine = new TwoClocks();
    const { server } = compare(machine);
    const clock = server.guarded();
    server.heard(dateOf(NOON));
    machine.pass(10_000);
    expect(clock.now()).toBe(NOON + 10_000);
    machine.wall += sign * 60;
    expect(clock.now()).toBe(NOON + 10_000 + sign * 60);
    machine.wall += sign;
    expect(() => clock.now()).toThrow(expect.objectContaining({ code: "CLOCK_SKEW", retryable: true }));
    machine.wall += sign * 86_400;
    expect(() => clock.now()).toThrow("clock");
    machine.wall -= sign * 86_461;
    expect(clock.now()).toBe(NOON + 10_000);
  });

  it("is told by the server alone that a clock was wrong from the start", () => {
    const machine = new TwoClocks();
    const { server, told } = compare(machine);
    machine.wall -= 3600;
    server.heard(dateOf(NOON));
    expect(told).toHaveLength(1);
    expect(server.fault()?.code).toBe("CLOCK_SKEW");
  });

  it("says both times, once, and the same again as long as they stay as far apart", () => {
    const machine = new TwoClocks();
    const { server, told } = compare(machine);
    machine.wall += 3600;
    server.heard(dateOf(NOON));
    const first = server.fault()?.message;
    expect(first).toBe(
      "the clock of this machine said 2027-01-15T09:00:00Z when that of the API server said 2027-01-15T08:00:00Z: set the one that is wrong",
    );
    machine.pass(600);
    server.heard(dateOf(NOON + 600));
    expect(server.fault()?.message).toBe(first);
    machine.wall += 86_400;
    expect(server.fault()?.message).toContain("said 2027-01-16T09:10:00Z");
    machine.wall -= 90_000;
    expect(server.fault()).toBeUndefined();
    server.heard(dateOf(NOON + 600));
    expect(told).toEqual([first, undefined]);
  });
});
