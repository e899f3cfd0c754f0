/**
 * The lock on STATE: one process serves one state.
 *
 * It must end with the process, at SIGKILL too, and must not be fooled by a process ID that was given to another program, by
 * a restart of the machine, by two containers with one volume, or by two processes that both find what a dead one left.
 * Only a lock that the kernel keeps does all of that. Node has no call for it, but the SQLite built into it takes a POSIX
 * record lock on its database file: `BEGIN EXCLUSIVE` on an empty database, never written and never committed.
 *
 * `holder.json` beside it only tells who holds the lock; nothing is decided from it.
 */

import { chmodSync, closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { OperatorError } from "../core/errors.ts";
import { asRecord, parseStrictJson } from "../core/strict-json.ts";
import { errnoOf, ifPresent, replaceFile } from "./files.ts";

const LOCK_FILE = "lock";
const HOLDER_FILE = "holder.json";
const SQLITE_BUSY = 5;

/** Disposal gives the lock back; so does the end of the process, however it comes. */
export class StateLock implements Disposable {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close();
  }
}

/** Takes the lock. @throws STATE_LOCKED naming the holder's pid, INVALID_CONFIGURATION where locks cannot be had. */
export function lockState(stateDir: string): StateLock {
  const database = openLock(stateDir);
  if (database === undefined) throw lockedBy(stateDir);
  replaceFile(join(stateDir, HOLDER_FILE), `${JSON.stringify({ pid: process.pid })}\n`, {
    mode: 0o600,
    durable: false,
  });
  return new StateLock(database);
}

/** The pid of the process that holds STATE now; undefined when none does, 0 when it cannot be told. */
export function lockHolder(stateDir: string): number | undefined {
  const pid = readPid(stateDir);
  // Only where someone may hold it: asking for a free lock takes it for a moment, and a start in that moment would fail.
  if (pid === undefined || !isAlive(pid)) return undefined;
  const database = openLock(stateDir);
  database?.close();
  return database === undefined ? pid : undefined;
}

/** The database with the lock on it; undefined when another has it. */
function openLock(stateDir: string): DatabaseSync | undefined {
  const path = join(stateDir, LOCK_FILE);
  let database: DatabaseSync | undefined;
  try {
    // SQLite itself would leave the mode to the umask.
    closeSync(openSync(path, "a", 0o600));
    chmodSync(path, 0o600);
    database = new DatabaseSync(path, { timeout: 0 });
    // In memory: or SQLite puts a journal file beside the database.
    database.exec("PRAGMA journal_mode = MEMORY");
    database.exec("BEGIN EXCLUSIVE");
    return database;
  } catch (cause) {
    if (database?.isOpen) database.close();
    if (sqliteCode(cause) === SQLITE_BUSY) return undefined;
    const message = `--state: ${path} cannot be locked (${errnoOf(cause) ?? "failed"}); expected a directory that this user may write, on a file system with locks`;
    throw new OperatorError("INVALID_CONFIGURATION", message, { cause, details: { path } });
  }
}

function lockedBy(stateDir: string): OperatorError {
  const pid = readPid(stateDir) ?? 0;
  const who = pid !== 0 && isAlive(pid) ? `pid ${pid}` : "another process";
  const message = `the state ${stateDir} is held by ${who}: stop it first; other identities need a state of their own (--state)`;
  return new OperatorError("STATE_LOCKED", message, { details: { pid, path: stateDir } });
}

function readPid(stateDir: string): number | undefined {
  const text = ifPresent(stateDir, () => readFileSync(join(stateDir, HOLDER_FILE), "utf8"));
  try {
    const { pid } = asRecord(parseStrictJson(text ?? "", HOLDER_FILE)) ?? {};
    return typeof pid === "number" && Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined; // only told to people: what cannot be read is not known
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) === "EPERM";
  }
}

function sqliteCode(error: unknown): number | undefined {
  const code = typeof error === "object" && error !== null && "errcode" in error ? error.errcode : undefined;
  return typeof code === "number" ? code & 0xff : undefined;
}
