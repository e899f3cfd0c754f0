import { beforeEach, describe, expect, it } from "@jest/globals";
import { Authority } from "../../../src/authority/authority.ts";
import type { Slot } from "../../../src/authority/slot.ts";
import { OwnServerObserver } from "../../../src/controller/own-server.ts";
import type { Observer } from "../../../src/controller/ports.ts";
import { MemoryStores, POLICY, START } from "../../support/authority-fakes.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { fakeRandom } from "../../support/fake-random.ts";

const { propagation } = POLICY;

describe("an observer of local mode with what it serves itself", () => {
  let clock: FakeClock;
  let authority: Authority;
  let missing: readonly string[];
  const observer: Observer = {
    look: async (slots) => ({
      lacking: new Map(slots.map(({ keyID }) => [keyID, missing])),
      consumers: 3,
    }),
  };
  const afterStart = (): OwnServerObserver =>
    new OwnServerObserver({
      observer,
      clock,
      slots: () => authority.view().slots,
      propagation: () => propagation,
      startedAt: clock.now(),
    });
  const prepared = (): readonly Slot[] => authority.view().slots.filter(({ state }) => state === "Prepared");
  /** How many lack each prepared key. */
  const lackingOf = async (own: OwnServerObserver): Promise<readonly number[]> => {
    const { lacking } = await own.look(prepared());
    return prepared().map(({ keyID }) => lacking.get(keyID)?.length ?? 0);
  };

  beforeEach(async () => {
    const { journalStore, keyStore } = new MemoryStores();
    clock = new FakeClock(START);
    missing = [];
    authority = new Authority({ journalStore, keyStore, clock, random: fakeRandom(4), policy: () => POLICY });
    await authority.open();
  });

  it("lets a key that this process has published be used when those who hold files have it", async () => {
    const own = afterStart();
    await clock.advance(1);
    await authority.step(undefined, { Root: "a", JWT: "a" }, new Set());
    expect(prepared()).toHaveLength(2);
    expect(await lackingOf(own)).toEqual([0, 0]);
  });

  it("gives those who fetch it the propagation time again for a key that an earlier process had published", async () => {
    await authority.step(undefined, { Root: "a", JWT: "a" }, new Set());
    await clock.advance(10 * propagation);
    const own = afterStart();
    expect(await lackingOf(own)).toEqual([1, 1]);
    await clock.advance(propagation - 1);
    expect(await lackingOf(own)).toEqual([1, 1]);
    await clock.advance(1);
    expect(await lackingOf(own)).toEqual([0, 0]);
  });

  it("counts from the first look, when the server listens, and names since when", async () => {
    await authority.step(undefined, { JWT: "a" }, new Set());
    const own = afterStart();
    await clock.advance(propagation);
    const { lacking, consumers } = await own.look(prepared());
    expect([...lacking.values()].flat()).toEqual([expect.stringContaining("served again since 20")]);
    expect(consumers).toBe(4);
  });

  it("asks for nothing where a key is used already", async () => {
    await clock.advance(10);
    const own = afterStart();
    const slots = authority.view().slots;
    expect([...(await own.look(slots)).lacking.values()].flat()).toEqual([]);
  });

  it("keeps the names of those who hold files", async () => {
    await authority.step(undefined, { JWT: "a" }, new Set());
    missing = ["Secret shop/payments-jwt"];
    const own = afterStart();
    await clock.advance(propagation * 2);
    const [key] = prepared();
    await own.look(prepared());
    await clock.advance(propagation);
    expect((await own.look(prepared())).lacking.get(key!.keyID)).toEqual(missing);
  });
});
