/**
 * The files of the identities directory.
 */

import { readdirSync, realpathSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import type { SourceProblem } from "./documents.ts";
import { errnoOf } from "./files.ts";

interface FoundFile {
  /** Relative to the identities directory. */
  readonly file: string;
  readonly path: string;
  /** Another content, another signature. */
  readonly signature: string;
}

export interface Walk {
  readonly files: readonly FoundFile[];
  readonly directories: readonly string[];
  readonly problems: readonly SourceProblem[];
  /** Directories (relative) that could not be listed: what lies below them is unknown, not gone. */
  readonly unreadable: readonly string[];
}

const DOCUMENT = /\.(yaml|yml|json)$/;
const MAX_FILES = 200_000;
/** Entries looked at without letting others run. */
const CHUNK = 200;

/** Walks `root`, links followed, each real directory once. Throws what the system throws when `root` cannot be listed. */
export async function walk(root: string): Promise<Walk> {
  const found = {
    files: [] as FoundFile[],
    directories: [] as string[],
    problems: [] as SourceProblem[],
    unreadable: [] as string[],
  };
  const seen = new Set<string>();
  let looked = 0;
  const visit = async (directory: string, isRoot: boolean): Promise<void> => {
    const shown = relative(root, directory);
    try {
      const real = realpathSync(directory);
      if (seen.has(real)) return;
      seen.add(real);
      found.directories.push(directory);
      // In the order of names, so that which of two twins comes first does not depend on the disk.
      for (const name of readdirSync(directory).sort()) {
        await entry(directory, name);
        if (++looked % CHUNK === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    } catch (error) {
      if (isRoot) throw error;
      found.unreadable.push(shown);
      found.problems.push({ file: shown, message: `cannot be read (${errnoOf(error) ?? "failed"})` });
    }
  };
  const entry = async (directory: string, name: string): Promise<void> => {
    // Hidden files are what editors and volumes keep for themselves.
    if (name.startsWith(".")) return;
    const path = join(directory, name);
    const file = relative(root, path);
    try {
      const stat = statSync(path);
      if (stat.isDirectory()) return await visit(path, false);
      if (!DOCUMENT.test(name) || found.files.length >= MAX_FILES) return;
      const signature = `${stat.ino}:${stat.size}:${stat.mtimeMs}:${stat.ctimeMs}`;
      if (stat.isFile()) found.files.push({ file, path, signature });
    } catch (error) {
      // A link to nowhere may have been one to a directory.
      found.unreadable.push(file);
      if (!DOCUMENT.test(name)) return;
      const reason = errnoOf(error) === "ELOOP" ? "a loop of links" : (errnoOf(error) ?? "failed");
      found.problems.push({ file, message: `cannot be read (${reason})` });
    }
  };
  await visit(root, true);
  return found;
}
