import { describe, expect, it } from "@jest/globals";
import { KeyTurns } from "../../../src/controller/key-turns.ts";
import { codeOf } from "../../support/errors.ts";

const NEVER = new AbortController().signal;

/** Work that ends when it is told to, and what has begun so far. */
function workbench(): {
  readonly begun: string[];
  readonly end: Map<string, () => void>;
  readonly work: (name: string) => () => Promise<string>;
} {
  const begun: string[] = [];
  const end = new Map<string, () => void>();
  const work = (name: string) => (): Promise<string> => {
    begun.push(name);
    return new Promise((resolve) => end.set(name, () => resolve(name)));
  };
  return { begun, end, work };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("KeyTurns", () => {
  it("lets two namespaces work at once, and one namespace never twice", async () => {
    const { begun, work } = workbench();
    const turns = new KeyTurns(() => {});
    for (const name of ["a1", "a2", "b1", "c1"]) void turns.take(name.slice(0, 1), work(name), NEVER);
    await settled();
    expect(begun).toEqual(["a1", "b1"]);
  });

  it("goes round over the namespaces that wait, however many one of them wants", async () => {
    const { begun, end, work } = workbench();
    const turns = new KeyTurns(() => {});
    const all = ["a1", "a2", "a3", "b1", "c1", "a4"].map((name) =>
      turns.take(name.slice(0, 1), work(name), NEVER),
    );
    for (const name of ["a1", "b1", "a2", "c1", "a3", "a4"]) {
      await settled();
      end.get(name)?.();
    }
    expect(await Promise.all(all)).toEqual(["a1", "a2", "a3", "b1", "c1", "a4"]);
    expect(begun).toEqual(["a1", "b1", "a2", "c1", "a3", "a4"]);
  });

  it("sends away whom it cannot serve soon: one waits for each of four namespaces", () => {
    const { work } = workbench();
    const turns = new KeyTurns(() => {});
    expect(turns.sendsAway("a/1")).toBe(false);
    for (const name of ["a", "b"]) void turns.take(name, work(name), NEVER);
    expect([turns.sendsAway("a/2"), turns.sendsAway("c/1")]).toEqual([false, false]);
    for (const name of ["a", "c", "d", "e"]) void turns.take(name, work(`${name}2`), NEVER);
    expect(["a/3", "b/2", "c/2", "f/1"].map((key) => turns.sendsAway(key))).toEqual(Array(4).fill(true));
  });

  it("calls them back, the namespaces in turn, as others have been served", async () => {
    const { end, work } = workbench();
    const called: string[] = [];
    const turns = new KeyTurns((key) => called.push(key));
    for (const name of ["a1", "a2", "b1"]) void turns.take(name.slice(0, 1), work(name), NEVER);
    for (const key of ["a/3", "a/4", "a/3"]) expect(turns.sendsAway(key)).toBe(true);
    await settled();
    end.get("a1")?.();
    await settled();
    expect(called).toEqual(["a/3"]);
    end.get("b1")?.();
    await settled();
    expect(called).toEqual(["a/3", "a/4"]);
    end.get("a2")?.();
    await settled();
    expect(called).toEqual(["a/3", "a/4"]);
  });

  it("passes the turn on when work fails", async () => {
    const turns = new KeyTurns(() => {});
    await expect(turns.take("a", () => Promise.reject(new Error("no")), NEVER)).rejects.toThrow("no");
    expect(await turns.take("a", () => Promise.resolve("done"), NEVER)).toBe("done");
  });

  it("begins nothing for those whose turn comes after they were told to stop, and passes it on", async () => {
    const { begun, end, work } = workbench();
    const turns = new KeyTurns(() => {});
    const stop = new AbortController();
    for (const name of ["a1", "b1"]) void turns.take(name.slice(0, 1), work(name), stop.signal);
    const waiting = ["a2", "c1"].map((name) => codeOf(turns.take(name.slice(0, 1), work(name), stop.signal)));
    const other = turns.take("d", work("d1"), NEVER);
    stop.abort();
    await settled();
    end.get("a1")?.();
    expect(await Promise.all(waiting)).toEqual(["ABORTED", "ABORTED"]);
    await settled();
    end.get("d1")?.();
    expect([await other, begun]).toEqual(["d1", ["a1", "b1", "d1"]]);
  });
});
