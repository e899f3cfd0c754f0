import { beforeEach, describe, expect, it } from "@jest/globals";
import { Claims } from "../../../src/controller/claims.ts";
import { OperatorError } from "../../../src/core/errors.ts";
import { FakeWorld } from "../../support/fake-ports.ts";

class MemoryHolders {
  stored: ReadonlyMap<string, string> = new Map();
  saves = 0;
  failing = false;

  async load(): Promise<ReadonlyMap<string, string>> {
    return this.stored;
  }
  async save(holders: ReadonlyMap<string, string>): Promise<void> {
    if (this.failing) throw new OperatorError("STORAGE_FAILED", "the disk is full", { retryable: true });
    this.saves++;
    this.stored = holders;
  }
}

describe("Claims", () => {
  let world: FakeWorld;
  let store: MemoryHolders;
  let claims: Claims;

  beforeEach(() => {
    world = new FakeWorld();
    store = new MemoryHolders();
    claims = new Claims(world, store);
  });

  const at = (hour: number): { creationTimestamp: string } => ({
    creationTimestamp: `2027-01-01T0${hour}:00:00Z`,
  });
  const conflict = (name: string): string | undefined => claims.otherHolder(`shop/${name}`);

  it("gives an account to the oldest, and on record before anyone is told", async () => {
    world.want("young", { serviceAccountName: "pay" }, at(2));
    world.want("old", { serviceAccountName: "pay" }, at(1));
    await claims.open();
    expect([conflict("young"), conflict("old")]).toEqual(["shop/old", undefined]);
    expect([...store.stored]).toEqual([["shop/pay", "old-uid"]]);
  });

  it("leaves it with who is on record, however old a newcomer says that it is", async () => {
    world.want("a", { serviceAccountName: "pay" }, at(5));
    await claims.open();
    world.want("b", { serviceAccountName: "pay" }, at(1));
    expect(await claims.update(["shop/b"])).toEqual(expect.arrayContaining(["shop/a", "shop/b"]));
    expect([conflict("a"), conflict("b")]).toEqual([undefined, "shop/a"]);
  });

  it("hands it on when the holder goes or asks for another, and names who has to be looked at again", async () => {
    world.want("a", { serviceAccountName: "pay" }, at(1));
    world.want("b", { serviceAccountName: "pay" }, at(2));
    world.want("c", { serviceAccountName: "pay" }, at(3));
    await claims.open();
    world.wanted.delete("shop/a");
    expect(await claims.update(["shop/a"])).toEqual(expect.arrayContaining(["shop/b", "shop/c"]));
    expect([conflict("b"), conflict("c")]).toEqual([undefined, "shop/b"]);
    world.want("b", { serviceAccountName: "other" }, at(2));
    expect(await claims.update(["shop/b"])).toContain("shop/c");
    expect([conflict("b"), conflict("c")]).toEqual([undefined, undefined]);
  });

  it("does not take a new object of the same name for the one that it replaces", async () => {
    world.want("a", { serviceAccountName: "pay" }, at(1));
    world.want("b", { serviceAccountName: "pay" }, at(2));
    await claims.open();
    world.want("a", { serviceAccountName: "pay" }, { uid: "a-again", ...at(3) });
    await claims.update(["shop/a"]);
    expect([conflict("a"), conflict("b")]).toEqual(["shop/b", undefined]);
  });

  it("changes nothing when the record could not be saved", async () => {
    world.want("a", {}, at(1));
    await claims.open();
    world.want("b", { serviceAccountName: "a" }, at(2));
    world.wanted.delete("shop/a");
    store.failing = true;
    await expect(claims.update(["shop/a", "shop/b"])).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    expect([...store.stored]).toEqual([["shop/a", "a-uid"]]);
    store.failing = false;
    await claims.update(["shop/a", "shop/b"]);
    expect(conflict("b")).toBeUndefined();
  });

  it("hands on what was left when the record could not be saved, once it can", async () => {
    world.want("a", { serviceAccountName: "pay" }, at(1));
    world.want("b", { serviceAccountName: "pay" }, at(2));
    await claims.open();
    world.wanted.delete("shop/a");
    store.failing = true;
    await expect(claims.update(["shop/a"])).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    store.failing = false;
    expect(await claims.update(["shop/a"])).toEqual(["shop/a", "shop/b"]);
    expect([...store.stored]).toEqual([["shop/pay", "b-uid"]]);
  });

  it("saves nothing when nothing moved", async () => {
    world.want("a", {}, at(1));
    await claims.open();
    for (let times = 0; times < 3; times++) await claims.update(["shop/a"]);
    expect(store.saves).toBe(1);
  });

  it("keeps nothing of accounts and namespaces that nobody claims any more", async () => {
    const bare = new Claims(world, undefined);
    for (let times = 0; times < 10; times++) {
      world.want("a", { serviceAccountName: `account-${times}` });
      await bare.update(["shop/a"]);
    }
    world.wanted.clear();
    await bare.update(["shop/a"]);
    expect(bare.size).toBe(0);
  });

  it("bounds a namespace by age, and lets one in when another goes", async () => {
    for (const [index, name] of ["a", "b", "c"].entries()) world.want(name, {}, at(index));
    await claims.open();
    const beyond = (): readonly string[] =>
      ["a", "b", "c"].filter((name) => claims.exceeds(`shop/${name}`, 2));
    expect(beyond()).toEqual(["c"]);
    world.wanted.delete("shop/a");
    await claims.update(["shop/a"]);
    expect(beyond()).toEqual([]);
  });

  it("has one looked at again whose place a later one takes, which comes first by its name in the same second", async () => {
    for (const name of ["b", "c"]) world.want(name, {}, at(0));
    await claims.open();
    expect(["b", "c"].filter((name) => claims.exceeds(`shop/${name}`, 2))).toEqual([]);
    world.want("a", {}, at(0));
    expect([...(await claims.update(["shop/a"]))].sort()).toEqual(["shop/a", "shop/c"]);
    expect(["a", "b", "c"].filter((name) => claims.exceeds(`shop/${name}`, 2))).toEqual(["c"]);
    // Who knows it already is not told again.
    world.want("d", {}, at(1));
    expect(await claims.update(["shop/d"])).not.toContain("shop/c");
  });
});
