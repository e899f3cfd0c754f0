/**
 * A file system of its own that a test can fill to the last byte.
 */

import { execFileSync } from "node:child_process";
import { closeSync, fsyncSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface SmallDisk extends Disposable {
  readonly path: string;
  /** Leaves no space. */
  fill(): void;
  /** Gives back what `fill` took. */
  free(): void;
}

const SIZE = "512k";

/** Mounts a small tmpfs at `path`. Throws what `mount` says where that is not permitted. */
export function mountSmallDisk(path: string): SmallDisk {
  mkdirSync(path);
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${SIZE},mode=0700`, "tmpfs", path], { stdio: "pipe" });
  const ballast = join(path, "ballast");
  return {
    path,
    fill: () => {
      // A part of a block may be left after the first refusal of a larger write.
      for (const size of [4096, 1]) fillWith(ballast, Buffer.alloc(size, 0x78));
    },
    free: () => rmSync(ballast, { force: true }),
    [Symbol.dispose]: () => void execFileSync("umount", ["--lazy", path], { stdio: "pipe" }),
  };
}

/** Whether this user may mount. */
export function mayMount(): boolean {
  const scratch = mkdtempSync(join(tmpdir(), "meshid-mount-"));
  try {
    mountSmallDisk(join(scratch, "disk"))[Symbol.dispose]();
    return true;
  } catch {
    return false;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function fillWith(path: string, chunk: Uint8Array): void {
  const file = openSync(path, "a");
  try {
    for (;;) writeSync(file, chunk);
  } catch (error) {
    if (!(typeof error === "object" && error !== null && "code" in error && error.code === "ENOSPC"))
      throw error;
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
