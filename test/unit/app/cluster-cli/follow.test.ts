import { describe, expect, it } from "@jest/globals";
import { follow, type Progress, timeoutOf } from "../../../../src/app/cluster-cli/follow.ts";
import { rotationProgress } from "../../../../src/app/cluster-cli/rotate.ts";
import type { Io } from "../../../../src/app/io.ts";
import { milliseconds, seconds } from "../../../../src/core/brand.ts";
import { OperatorError } from "../../../../src/core/errors.ts";
import { systemRandom } from "../../../../src/core/random.ts";
import type { TrustDomainObject } from "../../../../src/registration/service-identity.ts";
import { NOW } from "../../../support/cli.ts";
import { condition, slot, trustDomain } from "../../../support/doctor-facts.ts";

/** Time passes by sleeping only. */
function makeIo(): { readonly io: Io; readonly told: string[]; readonly slept: () => number } {
  let now = 0;
  const told: string[] = [];
  const io: Io = {
    stdout: { write: () => {} },
    stderr: { write: (text) => told.push(text) },
    isTTY: false,
    isErrorTTY: false,
    env: {},
    clock: {
      now: () => NOW,
      monotonic: () => milliseconds(now),
      sleep: (length) => {
        now += length;
        return Promise.resolve();
      },
    },
    random: systemRandom,
  };
  return { io, told, slept: () => now };
}

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
    const { io, told, slept } = makeIo();
    expect(await follow(steps(waits, waits, waits, done), seconds(60), io)).toBe(done);
    expect(told).toEqual(["0s: waits\n", "1s: done\n"]);
    expect(slept()).toBe(1500);
  });

  it("ends at the deadline with what it saw last", async () => {
    const { io, slept } = makeIo();
    expect(await follow(steps(waits), seconds(5), io)).toBe(waits);
    expect(slept()).toBe(5000);
  });

  it("goes on while the API server is away, and fails where it is at the deadline", async () => {
    const { io, told } = makeIo();
    expect(await follow(steps(waits, away, away, done), seconds(60), io)).toBe(done);
    expect(told.join("")).toBe("0s: waits\n0s: the API server is away\n1s: done\n");
    await expect(follow(steps(waits, away), seconds(5), makeIo().io)).rejects.toBe(away);
  });

  it("fails at once for any other error", async () => {
    const { io, slept } = makeIo();
    const gone = new OperatorError("NOT_FOUND", "deleted meanwhile");
    await expect(follow(steps(gone), seconds(60), io)).rejects.toBe(gone);
    expect(slept()).toBe(0);
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

describe("rotationProgress", () => {
  const before = trustDomain();
  const rotation = { word: "issuing", kind: "Issuing", id: "now" } as const;
  const honoured = { lastManualRotation: { issuing: "now" } };
  const next = slot("Issuing", { keyID: "issuing-2", state: "Prepared", waitingFor: "until 10:30" });
  const active = slot("Issuing", { keyID: "issuing-2" });
  const retired = slot("Issuing", { state: "Retired" });

  it.each<[what: string, after: TrustDomainObject, isDone: boolean, text: string]>([
    ["nobody has taken up", before, false, "the controller has not taken it up yet"],
    [
      "was taken up",
      trustDomain(honoured),
      false,
      "taken up; the new key is being made, or waits for the root's",
    ],
    [
      "has a key that is published",
      trustDomain({ ...honoured, authorities: [slot("Issuing"), next] }),
      false,
      "new key issuing-2, not used yet: until 10:30",
    ],
    [
      "is done",
      trustDomain({ ...honoured, authorities: [active, retired] }),
      true,
      "key issuing-2 signs now",
    ],
    [
      "another rotation overtook",
      trustDomain({ authorities: [active, retired] }),
      false,
      "the controller has not taken it up yet",
    ],
    [
      "cannot go on",
      trustDomain({ ...honoured, conditions: [condition("AuthorityReady", "False", "ClockSkew", "set it")] }),
      false,
      "AuthorityReady is False: ClockSkew: set it",
    ],
  ])("says where a request stands that %s", (_, after, isDone, text) => {
    const progress = rotationProgress(before, after, rotation);
    expect(progress.isDone).toBe(isDone);
    expect(progress.text).toContain(text);
  });
});
