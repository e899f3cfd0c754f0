import { type ChildProcess, spawn } from "node:child_process";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { lockHolder, lockState } from "../../../src/directory/lock.ts";
import { scratch } from "../../support/directory.ts";
import { detailsOf } from "../../support/errors.ts";

const LOCK_MODULE = new URL("../../../src/directory/lock.ts", import.meta.url).href;

/** Says `held` once it holds the lock and `released` once it gave it back; ends when its input does. */
const HOLDER = `
  const { lockState } = await import(${JSON.stringify(LOCK_MODULE)});
  const lock = lockState(process.argv[1]);
  process.stdout.write("held");
  process.stdin.once("data", () => {
    lock[Symbol.dispose]();
    process.stdout.write("released");
  });
`;

/** Another process with the lock on `stateDir`. */
async function holdElsewhere(stateDir: string): Promise<ChildProcess> {
  const flags = ["--disable-warning=ExperimentalWarning", "--input-type=module", "--eval", HOLDER];
  const env = { ...process.env, NODE_OPTIONS: "" };
  const child = spawn(process.execPath, [...flags, stateDir], { stdio: ["pipe", "pipe", "inherit"], env });
  await said(child, "held");
  return child;
}

function said(child: ChildProcess, word: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.stdout?.once("data", (chunk: Buffer) =>
      chunk.toString() === word ? resolve() : reject(new Error(`said ${chunk.toString()}`)),
    );
    child.once("exit", (code) => reject(new Error(`ended with ${code}`)));
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
}

describe("the lock on STATE", () => {
  let place: ReturnType<typeof scratch>;
  let holder: ChildProcess | undefined;

  beforeEach(() => {
    place = scratch();
    holder = undefined;
  });

  afterEach(async () => {
    if (holder !== undefined) await end(holder);
    place[Symbol.dispose]();
  });

  it("is refused while another process holds it, with that process's pid", async () => {
    holder = await holdElsewhere(place.dir);
    expect(() => lockState(place.dir)).toThrow(`held by pid ${holder.pid}`);
    expect(detailsOf(() => lockState(place.dir))).toMatchObject({
      code: "STATE_LOCKED",
      details: { pid: holder.pid },
    });
  });

  it("is free after a SIGKILL of the process that held it", async () => {
    holder = await holdElsewhere(place.dir);
    await end(holder);
    using lock = lockState(place.dir);
    expect(lock).toBeDefined();
  });

  it("is free once the other process gives it back, although that process lives on", async () => {
    holder = await holdElsewhere(place.dir);
    const released = said(holder, "released");
    holder.stdin?.write("go");
    await released;
    using lock = lockState(place.dir);
    expect(lock).toBeDefined();
    expect(holder.exitCode).toBeNull();
  });

  it("is not in the way of itself: given back, it can be taken again", () => {
    for (let round = 0; round < 3; round++) lockState(place.dir)[Symbol.dispose]();
    using lock = lockState(place.dir);
    lock[Symbol.dispose]();
    expect(lockHolder(place.dir)).toBeUndefined();
  });

  it.each([
    ["no word of a holder", undefined],
    ["a note of a process that is gone", '{"pid":4194304}'],
    ["a note of a living process that has no lock", JSON.stringify({ pid: process.pid })],
    ["a note that cannot be read", "{pid"],
  ])("is taken where a file was left with %s", (_, note) => {
    writeFileSync(join(place.dir, "lock"), "");
    if (note !== undefined) writeFileSync(join(place.dir, "holder.json"), note);
    using lock = lockState(place.dir);
    expect(lock).toBeDefined();
  });

  it("is refused to a second taker in one process", () => {
    using lock = lockState(place.dir);
    expect(lock).toBeDefined();
    expect(() => lockState(place.dir)).toThrow(`held by pid ${process.pid}`);
  });

  it("says that another holds it even where the note of the holder is gone", async () => {
    holder = await holdElsewhere(place.dir);
    writeFileSync(join(place.dir, "holder.json"), "");
    expect(() => lockState(place.dir)).toThrow("held by another process");
  });

  it("keeps its file to its owner and leaves no database files beside it", () => {
    using lock = lockState(place.dir);
    expect(lock).toBeDefined();
    expect(statSync(join(place.dir, "lock")).mode & 0o777).toBe(0o600);
    expect(statSync(join(place.dir, "holder.json")).mode & 0o777).toBe(0o600);
  });

  it("refuses a directory that is not there as a wrong configuration that names it", () => {
    const attempt = detailsOf(() => lockState(join(place.dir, "none")));
    expect(attempt).toMatchObject({
      code: "INVALID_CONFIGURATION",
      details: { path: join(place.dir, "none/lock") },
    });
  });
});

describe("lockHolder", () => {
  it("tells the pid of the process that holds the state, and nothing once it is gone", async () => {
    using place = scratch();
    expect(lockHolder(place.dir)).toBeUndefined();
    const holder = await holdElsewhere(place.dir);
    try {
      expect(lockHolder(place.dir)).toBe(holder.pid);
    } finally {
      await end(holder);
    }
    expect(lockHolder(place.dir)).toBeUndefined();
  });

  it("asks without taking: the lock is free afterwards", () => {
    using place = scratch();
    writeFileSync(join(place.dir, "holder.json"), JSON.stringify({ pid: process.pid }));
    expect(lockHolder(place.dir)).toBeUndefined();
    using lock = lockState(place.dir);
    expect(lock).toBeDefined();
  });
});
