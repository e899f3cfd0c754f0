import { lstatSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { writeNewFile } from "../../../src/app/recovery/new-file.ts";
import { isOperatorError, messageOf } from "../../../src/core/errors.ts";
import { systemRandom } from "../../../src/core/random.ts";
import { scratch } from "../../support/directory.ts";
import { mayMount, mountSmallDisk } from "../../support/small-disk.ts";

const itWithDisk = mayMount() ? it : it.skip;

/** As a file system without hard links answers. */
function noLinks(): never {
  throw Object.assign(new Error("EPERM: operation not permitted, link"), { code: "EPERM" });
}

const WAYS = [
  ["with hard links", { random: systemRandom }],
  ["without hard links", { random: systemRandom, link: noLinks }],
] as const;

function refusal(act: () => unknown): string {
  try {
    act();
    return "accepted";
  } catch (error) {
    if (!isOperatorError(error)) throw error;
    return `${error.code}: ${messageOf(error)}`;
  }
}

describe.each(WAYS)("a new file, %s", (_, deps) => {
  it("is whole and its owner's alone, with nothing left beside it", () => {
    using at = scratch();
    const path = join(at.dir, "file");
    expect(writeNewFile(path, "content", deps)).toEqual({ isOpen: false });
    expect(readFileSync(path, "utf8")).toBe("content");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(at.dir)).toEqual(["file"]);
  });

  it.each<[string, (path: string, dir: string) => void]>([
    ["a file", (path) => writeFileSync(path, "mine")],
    [
      "a link to a file",
      (path, dir) => {
        writeFileSync(join(dir, "target"), "mine");
        symlinkSync(join(dir, "target"), path);
      },
    ],
    ["a link to nowhere", (path, dir) => symlinkSync(join(dir, "target"), path)],
  ])("takes the place of nothing: %s", (__, put) => {
    using at = scratch();
    const path = join(at.dir, "file");
    put(path, at.dir);
    const before = [lstatSync(path).mode, readdirSync(at.dir)];
    expect(refusal(() => writeNewFile(path, "content", deps))).toMatch(/^INVALID_INPUT: .* is there already/);
    expect([lstatSync(path).mode, readdirSync(at.dir)]).toEqual(before);
    for (const name of readdirSync(at.dir))
      if (lstatSync(join(at.dir, name)).isFile())
        expect(readFileSync(join(at.dir, name), "utf8")).toBe("mine");
  });

  itWithDisk("is not there at all where there is no space for it", () => {
    using at = scratch();
    using disk = mountSmallDisk(join(at.dir, "disk"));
    disk.fill();
    expect(refusal(() => writeNewFile(join(disk.path, "file"), "x".repeat(9000), deps))).toMatch(
      /^STORAGE_FAILED: .*no space left/,
    );
    expect(readdirSync(disk.path)).toEqual(["ballast"]);
    rmSync(join(disk.path, "ballast"));
  });
});
