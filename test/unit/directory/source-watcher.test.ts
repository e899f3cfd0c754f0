import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { milliseconds } from "../../../src/core/brand.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { SourceWatcher } from "../../../src/directory/source-watcher.ts";
import { NEVER, scratch } from "../../support/directory.ts";

/** Far longer than a notice takes, far shorter than the test's own limit. */
const LIMIT = milliseconds(10_000);
const QUIET = milliseconds(300);

describe("a source watcher", () => {
  let place: ReturnType<typeof scratch>;
  let watcher: SourceWatcher;

  beforeEach(() => {
    place = scratch();
    watcher = new SourceWatcher(systemClock);
    writeFileSync(join(place.dir, "a.yaml"), "one");
  });

  afterEach(() => {
    watcher.close();
    place[Symbol.dispose]();
  });

  const at = (path: string): string => join(place.dir, path);
  /** Whether the wait ended before its time; timers may be early by a little. */
  const noticed = async (limit: number = LIMIT): Promise<boolean> => {
    const begin = systemClock.monotonic();
    await watcher.untilTouched(milliseconds(limit), NEVER);
    return systemClock.monotonic() - begin < limit - 20;
  };
  /** Everything that was told before is over. */
  const calm = async (): Promise<void> => {
    while (await noticed(QUIET));
  };

  it.each<[what: string, act: () => void]>([
    ["a file that is written in place", () => writeFileSync(at("a.yaml"), "two")],
    [
      "an editor's write through a temporary file and a rename",
      () => {
        writeFileSync(at(".a.yaml.swp"), "two");
        renameSync(at(".a.yaml.swp"), at("a.yaml"));
      },
    ],
    ["a new file", () => writeFileSync(at("b.yaml"), "one")],
    ["a removed file", () => rmSync(at("a.yaml"))],
    ["a renamed file", () => renameSync(at("a.yaml"), at("c.yaml"))],
    ["a new sub-directory", () => mkdirSync(at("sub"))],
    [
      "a file that is removed and created again",
      () => {
        rmSync(at("a.yaml"));
        writeFileSync(at("a.yaml"), "two");
      },
    ],
  ])("notices %s at once", async (_, act) => {
    watcher.watch([place.dir]);
    await calm();
    const waiting = noticed();
    act();
    expect(await waiting).toBe(true);
  });

  it("notices a file in a sub-directory once that is watched too", async () => {
    mkdirSync(at("sub"));
    watcher.watch([place.dir, at("sub")]);
    await calm();
    const waiting = noticed();
    writeFileSync(at("sub/b.yaml"), "one");
    expect(await waiting).toBe(true);
  });

  it("notices what came between two waits", async () => {
    watcher.watch([place.dir]);
    await calm();
    writeFileSync(at("b.yaml"), "one");
    await systemClock.sleep(QUIET, NEVER);
    expect(await noticed()).toBe(true);
  });

  it("takes several touches in a row as one", async () => {
    watcher.watch([place.dir]);
    await calm();
    const waiting = noticed();
    for (let round = 0; round < 5; round++) writeFileSync(at("a.yaml"), String(round));
    expect(await waiting).toBe(true);
    expect(await noticed(QUIET)).toBe(false);
  });

  it("follows the path to a directory that has taken the place of another", async () => {
    mkdirSync(at("sub"));
    watcher.watch([at("sub")]);
    renameSync(at("sub"), at("old"));
    mkdirSync(at("sub"));
    watcher.watch([at("sub")]);
    await calm();
    const waiting = noticed();
    writeFileSync(at("sub/b.yaml"), "one");
    expect(await waiting).toBe(true);
  });

  it("does not look at what it was told to watch no longer", async () => {
    mkdirSync(at("sub"));
    watcher.watch([place.dir, at("sub")]);
    watcher.watch([place.dir]);
    await calm();
    writeFileSync(at("sub/b.yaml"), "one");
    expect(await noticed(QUIET)).toBe(false);
  });

  it("waits no longer than it was told when nothing is touched, even with nothing to watch", async () => {
    watcher.watch([at("none")]);
    expect(await noticed(QUIET)).toBe(false);
  });

  it("ends its wait at once when it is told to stop", async () => {
    watcher.watch([place.dir]);
    const stop = new AbortController();
    const begin = systemClock.monotonic();
    const waiting = watcher.untilTouched(LIMIT, stop.signal);
    stop.abort();
    await waiting;
    expect(systemClock.monotonic() - begin).toBeLessThan(LIMIT);
  });
});
