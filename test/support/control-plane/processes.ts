/**
 * The programs of a control plane as processes with pid files, so that whoever knows the directory can end them.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";

/** Kills what the pid files name, and removes the directory, once its standard input closes: its owner is gone. */
const LEASH = `
cat >/dev/null
[ -d "$1" ] || exit 0
for file in "$1"/*.pid; do
  pid=$(cat "$file")
  # Another process may have been given the number since.
  case $(ps -ww -o args= -p "$pid" 2>/dev/null || tr '\\0' ' ' <"/proc/$pid/cmdline") in
    *"$1"*) kill -9 "$pid" ;;
  esac
done 2>/dev/null
sleep 1
rm -rf "$1"
`;

/** A process that ends all of the directory's programs when this process ends, also by SIGKILL. */
export function leash(dir: string): ChildProcess {
  const child = spawn("sh", ["-c", LEASH, "leash", dir], {
    stdio: ["pipe", "ignore", "ignore"],
    // A session of its own: Ctrl-C and a timeout's signal to the group do not reach it.
    detached: true,
  });
  child.unref();
  // The pipe must not keep a test run alive; the handle is a socket, whose type the declarations hide.
  (child.stdin as unknown as { unref(): void }).unref();
  return child;
}

const pidFile = (dir: string, name: string): string => join(dir, `${name}.pid`);

/** Starts a program in the background; what it prints is appended to `log/<name>.log`. */
export function startProcess(dir: string, binary: string, args: readonly string[]): void {
  const name = binary.slice(binary.lastIndexOf("/") + 1);
  const log = openSync(join(dir, "log", `${name}.log`), "a");
  const child = spawn(binary, args, { cwd: dir, stdio: ["ignore", log, log], detached: true });
  child.unref();
  if (child.pid === undefined) throw new Error(`${binary} cannot be started`);
  writeFileSync(pidFile(dir, name), String(child.pid));
}

/** @throws Error where no such program was started. */
export function pidOf(dir: string, name: string): number {
  return Number(readFileSync(pidFile(dir, name), "utf8"));
}

/** False also for another process that has been given the same number since. */
export function isRunning(dir: string, name: string): boolean {
  if (!existsSync(pidFile(dir, name))) return false;
  const pid = pidOf(dir, name);
  const commandLine = `/proc/${pid}/cmdline`;
  try {
    process.kill(pid, 0);
    if (!existsSync("/proc/self/cmdline")) return true;
    // Empty for one that has ended and was not waited for.
    return readFileSync(commandLine, "utf8").includes(dir);
  } catch {
    return false;
  }
}

/** @throws Error when it is still there after 10 s. */
export async function killProcess(dir: string, name: string): Promise<void> {
  for (let left = 1000; isRunning(dir, name); left--) {
    if (left === 0) throw new Error(`${name} (${pidOf(dir, name)}) does not end`);
    // Again each time: a process may have been stopped in between.
    signalProcess(dir, name, "SIGKILL");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await rm(pidFile(dir, name), { force: true });
}

export function signalProcess(dir: string, name: string, signal: NodeJS.Signals): void {
  try {
    process.kill(pidOf(dir, name), signal);
  } catch (error) {
    if (isRunning(dir, name)) throw error;
  }
}

/** Ends every program of the directory, then removes it. */
export async function endAll(dir: string): Promise<void> {
  if (!existsSync(dir)) return;
  const names = readdirSync(dir)
    .filter((file) => file.endsWith(".pid"))
    .map((file) => file.slice(0, -".pid".length));
  await Promise.all(names.map((name) => killProcess(dir, name)));
  await rm(dir, { recursive: true, force: true });
}

/** The last lines that a program wrote, for the message of a failure. */
export function lastWords(dir: string, name: string): string {
  const file = join(dir, "log", `${name}.log`);
  if (!existsSync(file)) return "";
  return readFileSync(file, "utf8").trimEnd().split("\n").slice(-15).join("\n");
}
