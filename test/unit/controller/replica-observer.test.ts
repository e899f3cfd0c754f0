import { beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import type { Observation } from "../../../src/authority/rotation-plan.ts";
import type { Slot } from "../../../src/authority/slot.ts";
import type { ReplicaEndpoint } from "../../../src/controller/ports.ts";
import { Refusals } from "../../../src/controller/refusals.ts";
import { withReplicas } from "../../../src/controller/replica-observer.ts";
import { OperatorError } from "../../../src/core/errors.ts";
import { POLICY, START } from "../../support/authority-fakes.ts";
import { codeOf } from "../../support/errors.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { openAuthority } from "../../support/open-authority.ts";

interface Served {
  readonly bundleJson: string;
  readonly jwksJson: string;
}

const SECRET = "Secret shop/payments-tls";

describe("an observer with the replicas of meshid", () => {
  /** What was published before the rotation, and since. */
  let [old, current]: readonly (Served | undefined)[] = [];
  let slots: readonly Slot[] = [];
  let prepared: readonly Slot[] = [];
  let served: Map<string, () => Served | undefined>;
  let listing: () => Promise<readonly ReplicaEndpoint[]>;
  let refusals: Refusals;
  let atOnce: number;
  /** How many were asked. */
  let asked: number;
  let stop: AbortController;

  beforeAll(async () => {
    const { authority } = await openAuthority(4);
    const before = authority.view();
    await authority.step(undefined, { Root: "a", JWT: "a" }, new Set());
    const { bundleJson, jwksJson } = authority.view();
    old = { bundleJson: before.bundleJson, jwksJson: before.jwksJson };
    current = { bundleJson, jwksJson };
    slots = authority.view().slots;
    prepared = slots.filter(({ state }) => state === "Prepared");
  });

  beforeEach(() => {
    refusals = new Refusals(new FakeClock(START));
    served = new Map([
      ["a", () => current],
      ["b", () => current],
    ]);
    listing = async () => [...served.keys()].map((name) => ({ name, address: "10.0.0.1", port: 8443 }));
    [atOnce, asked] = [0, 0];
    stop = new AbortController();
  });

  const look = (...lacking: readonly string[]): Promise<Observation> => {
    let running = 0;
    const others = {
      look: async (wanted: readonly Pick<Slot, "keyID">[]): Promise<Observation> => {
        return { lacking: new Map(wanted.map(({ keyID }) => [keyID, lacking])), consumers: 5 };
      },
    };
    const fetch = async ({ name }: ReplicaEndpoint): Promise<Served> => {
      asked += 1;
      atOnce = Math.max(atOnce, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      const found = served.get(name)?.();
      if (found !== undefined) return found;
      throw new OperatorError("STORAGE_FAILED", "https://10.0.0.1:8443: no answer within 3 s");
    };
    const endpoints = { place: "Service ops/meshid", list: () => listing() };
    const { trustDomain } = POLICY;
    const { signal } = stop;
    const documents = { fetch };
    return withReplicas(others, { endpoints, documents, trustDomain, refusals, signal }).look(prepared);
  };
  /** By kind of the keys that were looked for. */
  const lackingIn = ({ lacking }: Observation): unknown =>
    Object.fromEntries(prepared.map(({ kind, keyID }) => [kind, lacking.get(keyID)]));

  it("counts them beside all others, and finds nothing where each serves the new keys", async () => {
    const seen = await look(SECRET);
    expect([seen.consumers, lackingIn(seen)]).toEqual([7, { Root: [SECRET], JWT: [SECRET] }]);
    expect(refusals.size).toBe(0);
  });

  it("counts none where there is no such Service", async () => {
    served.clear();
    const seen = await look();
    expect([seen.consumers, lackingIn(seen)]).toEqual([5, { Root: [], JWT: [] }]);
  });

  it("names the one that serves what was published before, until it does not", async () => {
    served.set("b", () => old);
    expect(lackingIn(await look(SECRET))).toEqual({
      Root: [SECRET, "replica b"],
      JWT: [SECRET, "replica b"],
    });
    expect(refusals.of("replica b")?.why).toMatch(/^serves an old bundle, sequence \d+$/);
    served.set("b", () => current);
    expect(lackingIn(await look())).toEqual({ Root: [], JWT: [] });
    expect(refusals.size).toBe(0);
  });

  it("asks for a JWT key in both documents", async () => {
    served.set("a", (): Served | undefined => current && old && { ...current, jwksJson: old.jwksJson });
    served.set("b", (): Served | undefined => current && old && { ...current, bundleJson: old.bundleJson });
    expect(lackingIn(await look())).toEqual({ Root: ["replica b"], JWT: ["replica a", "replica b"] });
  });

  it.each<readonly [string, () => Served | undefined, RegExp]>([
    ["gives no answer", () => undefined, /no answer within 3 s/],
    ["serves what is no bundle", () => ({ bundleJson: "{}", jwksJson: '{"keys":[]}' }), /bundle.keys/],
    ["serves what is no JSON", () => ({ bundleJson: "<html>", jwksJson: "" }), /bundle/],
  ])("takes one that %s for one that lacks everything, and says why", async (_, answer, why) => {
    served.set("b", answer);
    expect(lackingIn(await look())).toEqual({ Root: ["replica b"], JWT: ["replica b"] });
    expect(refusals.of("replica b")?.why).toMatch(why);
  });

  it("waits for all of them where they cannot be listed, but not for ever where the right to do so is missing", async () => {
    const failed = (status: number): OperatorError =>
      new OperatorError("STORAGE_FAILED", "endpointslices is forbidden", { details: { status } });
    const all = "the replicas of Service ops/meshid";
    listing = () => Promise.reject(failed(503));
    expect(lackingIn(await look())).toEqual({ Root: [all], JWT: [all] });
    expect(refusals.size).toBe(0);
    listing = () => Promise.reject(failed(403));
    await look();
    expect(refusals.of(all)?.why).toContain("forbidden");
    listing = async () => [];
    expect(lackingIn(await look())).toEqual({ Root: [], JWT: [] });
  });

  it("ends with the process", async () => {
    const aborted = new OperatorError("ABORTED", "stopping");
    listing = () => Promise.reject(aborted);
    await expect(look()).rejects.toBe(aborted);
  });

  it.each([
    ["has its answer", () => current],
    ["has none", () => undefined],
  ])(
    "asks no further replica when it is told to stop while one %s, and blames none for it",
    async (_, answer) => {
      for (let index = 0; index < 30; index++) served.set(`r-${index}`, () => current);
      served.set("a", () => {
        stop.abort();
        return answer();
      });
      expect(await codeOf(look())).toBe("ABORTED");
      expect([asked, refusals.size]).toEqual([8, 0]);
    },
  );

  it("asks eight of many at once", async () => {
    for (let index = 0; index < 30; index++) served.set(`r-${index}`, () => current);
    expect((await look()).consumers).toBe(5 + 32);
    expect(atOnce).toBe(8);
  });
});
