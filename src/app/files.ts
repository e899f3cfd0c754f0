/**
 * Reading what a user points at: bounded, and with errors that name the path.
 */

import { createReadStream } from "node:fs";
import { open, readdir, readlink, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { OperatorError, quoted } from "../core/errors.ts";

export interface ReadLimit {
  /** Of whole MiB. */
  readonly bytes: number;
  /** What was expected in place of something larger. */
  readonly expected: string;
}

const MIB = 1_048_576;
/** No credential is larger. */
const DOCUMENT: ReadLimit = { bytes: MIB, expected: "a credential, a bundle or a document" };

export interface FileContent {
  readonly bytes: Uint8Array;
  /** Permission bits; undefined for standard input. */
  readonly mode: number | undefined;
}

/** Why a path cannot be read, in a person's words. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or directory",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EISDIR: "it is a directory",
  ENOTDIR: "a part of the path is not a directory",
  ELOOP: "its links go round in a circle",
  ENAMETOOLONG: "the name is too long",
  ENXIO: "it is a socket or a device",
};

/** `-` is standard input. @throws NOT_FOUND, STORAGE_FAILED, INVALID_INPUT (too large), each naming the path. */
export async function readBounded(path: string, limit: ReadLimit = DOCUMENT): Promise<FileContent> {
  return guarded(path, async () => {
    if (path === "-")
      return {
        bytes: await collect(path, createReadStream("", { fd: 0, autoClose: false }), limit),
        mode: undefined,
      };
    await using file = await open(path, "r");
    const { mode, size } = await file.stat();
    if (size > limit.bytes) throw tooLarge(path, limit);
    const bytes = await collect(path, file.createReadStream({ autoClose: false }), limit);
    return { bytes, mode: mode & 0o777 };
  });
}

async function collect(path: string, stream: AsyncIterable<unknown>, limit: ReadLimit): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of stream) {
    if (!(chunk instanceof Uint8Array)) continue;
    total += chunk.length;
    if (total > limit.bytes) throw tooLarge(path, limit);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** UTF-8 text of a file; undefined when there is none. @throws as `readBounded`, and INVALID_INPUT when it is not UTF-8. */
export async function readText(path: string): Promise<string | undefined> {
  let content: FileContent;
  try {
    content = await readBounded(path);
  } catch (error) {
    if (error instanceof OperatorError && error.code === "NOT_FOUND") return undefined;
    throw error;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(content.bytes);
  } catch (cause) {
    throw new OperatorError("INVALID_INPUT", `${path}: is not UTF-8 text`, { cause });
  }
}

export async function isDirectory(path: string): Promise<boolean> {
  if (path === "-") return false;
  return guarded(path, async () => (await stat(path)).isDirectory());
}

export interface Entry {
  readonly name: string;
  readonly isDirectory: boolean;
}

/**
 * Sorted by name; links to directories count as directories. Pipes, sockets and devices are left out: to read one may never
 * end. @throws NOT_FOUND, STORAGE_FAILED
 */
export async function listDirectory(path: string): Promise<readonly Entry[]> {
  return guarded(path, async () => {
    const entries = await readdir(path, { withFileTypes: true });
    const readable = entries.filter((each) => each.isFile() || each.isDirectory() || each.isSymbolicLink());
    const listed = readable.map(async (entry) => ({
      name: entry.name,
      isDirectory:
        entry.isDirectory() || (entry.isSymbolicLink() && (await pointsToDirectory(join(path, entry.name)))),
    }));
    return (await Promise.all(listed)).sort((a, b) => (a.name < b.name ? -1 : 1));
  });
}

/**
 * Where the files of a mounted Secret lie at this moment: `..data` resolved once, so that all that is read after is of one
 * revision. The directory itself where there is no `..data`.
 */
export async function resolveRevision(directory: string): Promise<string> {
  try {
    await readlink(join(directory, "..data"));
  } catch {
    return directory;
  }
  return guarded(directory, () => realpath(join(directory, "..data")));
}

async function pointsToDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    // A link to nowhere: whoever reads it hears so.
    return false;
  }
}

async function guarded<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof OperatorError) throw cause;
    const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "";
    const reason = REASONS[code] ?? `it cannot be read (${code})`;
    const isMissing = code === "ENOENT" || code === "ENOTDIR";
    throw new OperatorError(isMissing ? "NOT_FOUND" : "STORAGE_FAILED", `${name(path)}: ${reason}`, {
      cause,
    });
  }
}

function tooLarge(path: string, { bytes, expected }: ReadLimit): OperatorError {
  return new OperatorError(
    "INVALID_INPUT",
    `${name(path)}: is larger than ${bytes / MIB} MiB; expected ${expected}`,
  );
}

function name(path: string): string {
  return path === "-" ? "standard input" : /^[\x21-\x7e]+$/.test(path) ? path : quoted(path);
}
