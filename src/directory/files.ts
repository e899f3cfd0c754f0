/**
 * Small file operations with the guarantees that the rest of this folder builds on.
 */

import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { OperatorError } from "../core/errors.ts";

export interface WriteOptions {
  readonly mode: number;
  /** Whether the content must survive a power cut when the call returns. */
  readonly durable: boolean;
}

/** Readers see the old content or the new, never a part. @throws STORAGE_FAILED (retryable). */
export function replaceFile(path: string, content: string | Uint8Array, options: WriteOptions): void {
  const temporary = join(dirname(path), `.${basename(path)}.tmp`);
  storing("writing", path, () => {
    try {
      writeWhole(temporary, content, options);
      renameSync(temporary, path);
      if (options.durable) syncDirectory(dirname(path));
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  });
}

/** Writes a file; one that is there is truncated. */
export function writeWhole(path: string, content: string | Uint8Array, options: WriteOptions): void {
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  const file = openSync(path, "w", options.mode);
  try {
    let written = 0;
    while (written < bytes.byteLength) written += writeSync(file, bytes, written);
    if (options.durable) fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

export function syncDirectory(path: string): void {
  const directory = openSync(path, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/** Creates a directory and those above it. @throws INVALID_CONFIGURATION when it cannot be one that we may write. */
export function ensureDirectory(path: string, mode: number, flag: string): void {
  try {
    makeDirectory(path, mode);
    const probe = join(path, `.meshid-probe-${process.pid}`);
    writeWhole(probe, "", { mode: 0o600, durable: false });
    rmSync(probe);
  } catch (cause) {
    const code = errnoOf(cause) ?? "unknown error";
    const message = `${flag}: ${path} cannot be written (${code}); expected a directory that this user may write`;
    throw new OperatorError("INVALID_CONFIGURATION", message, { cause, details: { path } });
  }
}

/** One level after the other: the engine's own recursion never ends where the kernel refuses with ENOENT, as in /proc. */
export function makeDirectory(path: string, mode: number): void {
  if (ifPresent(path, () => statSync(path).isDirectory()) === true) return;
  const parent = dirname(path);
  if (parent !== path) makeDirectory(parent, mode);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if (errnoOf(error) !== "EEXIST" || !statSync(path).isDirectory()) throw error;
  }
}

/** Runs a change of the file system; whatever fails becomes a retryable STORAGE_FAILED that names the path. */
export function storing<T>(what: string, path: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    if (cause instanceof OperatorError) throw cause;
    const reason = errnoOf(cause) === "ENOSPC" ? "no space left on the device" : (errnoOf(cause) ?? "failed");
    throw new OperatorError("STORAGE_FAILED", `${what} ${path}: ${reason}`, {
      cause,
      retryable: true,
      details: { path },
    });
  }
}

/** `ENOENT` and the like; undefined for anything that is not an error of the system. */
export function errnoOf(error: unknown): string | undefined {
  // By shape: an error of another realm is no instance of this one's Error.
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}

/** The outcome of a read; undefined when there is no such file. @throws STORAGE_FAILED. */
export function ifPresent<T>(path: string, read: () => T): T | undefined {
  try {
    return read();
  } catch (cause) {
    const code = errnoOf(cause);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    if (cause instanceof OperatorError) throw cause;
    throw new OperatorError("STORAGE_FAILED", `reading ${path}: ${code ?? "failed"}`, {
      cause,
      retryable: true,
      details: { path },
    });
  }
}
