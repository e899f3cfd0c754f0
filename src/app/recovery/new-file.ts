/**
 * A file that was not there before: whole or not at all, for its owner alone, and never in place of another.
 */

import {
  closeSync,
  fchmodSync,
  fsyncSync,
  linkSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { invalidInput } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import { errnoOf, storing, syncDirectory } from "../../directory/files.ts";

export interface NewFileDeps {
  readonly random: Random;
  /** Makes a hard link. */
  readonly link?: (from: string, to: string) => void;
}

/** Of file systems without hard links, as on many a memory stick. */
const NO_LINKS: ReadonlySet<string | undefined> = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

/**
 * Durable when it returns. A link at `path` counts as a file, wherever it leads. Whether others may read it all the same:
 * some file systems keep no permissions.
 * @throws INVALID_INPUT where something is there already; STORAGE_FAILED.
 */
export function writeNewFile(
  path: string,
  content: string,
  { random, link = linkSync }: NewFileDeps,
): { readonly isOpen: boolean } {
  const full = resolve(path);
  const directory = dirname(full);
  const name = `.${basename(full)}.${Buffer.from(random.bytes(8)).toString("hex")}`;
  const temporary = join(directory, name);
  return storing("writing", full, () => {
    try {
      create(temporary, content);
      if (!isLinked(link, temporary, full)) create(full, content);
    } catch (cause) {
      if (errnoOf(cause) !== "EEXIST") throw cause;
      throw invalidInput("FILE", `${path} is there already, and is not overwritten`, "a name that is free");
    } finally {
      rmSync(temporary, { force: true });
    }
    syncDirectory(directory);
    return { isOpen: (statSync(full).mode & 0o077) !== 0 };
  });
}

/**
 * A hard link is made only where nothing is, and shows the whole file at once; a rename would replace what is there. False
 * where there are no links: then a crash can leave a part of the file, which its checksum tells.
 */
function isLinked(link: NonNullable<NewFileDeps["link"]>, from: string, to: string): boolean {
  try {
    link(from, to);
    return true;
  } catch (error) {
    if (NO_LINKS.has(errnoOf(error))) return false;
    throw error;
  }
}

function create(path: string, content: string): void {
  const file = openSync(path, "wx", 0o600);
  try {
    fchmodSync(file, 0o600);
    writeFileSync(file, content);
    fsyncSync(file);
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
}
