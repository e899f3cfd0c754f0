import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * One place for all that the bench writes, removed at its end and not before: an ext4 without a journal looks at every
 * inode that was deleted within the last minutes before it takes a fresh one, so that what comes after a removal would seem slow.
 */
export interface Scratch extends AsyncDisposable {
  /** A fresh directory. */
  make(): Promise<string>;
}

export async function makeScratch(): Promise<Scratch> {
  const root = await mkdtemp(join(tmpdir(), "meshid-bench-"));
  let count = 0;
  return {
    make: async () => {
      const path = join(root, String(count++));
      await mkdir(path);
      return path;
    },
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}
