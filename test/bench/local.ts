/** `meshid local` as a process: time, peak memory, idle cost. The built program is run, as in an image. */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { atMost, median, type Result } from "./result.ts";
import type { Scratch } from "./scratch.ts";

const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
const PER_NAMESPACE = 100;
const MIB = 1_048_576;
/** Kernel ticks a second: 100 on every Linux that Node supports. */
const TICKS = 100;

interface Fleet {
  readonly identities: string;
  readonly out: string;
  readonly log: string;
}

async function makeFleet(scratch: Scratch, count: number): Promise<Fleet> {
  const dir = await scratch.make();
  const identities = join(dir, "identities");
  await mkdir(identities);
  await writeFile(
    join(identities, "td.yaml"),
    "apiVersion: meshid.dev/v1alpha1\nkind: TrustDomain\nmetadata: {name: bench.example}\nspec: {}\n",
  );
  for (let index = 0; index < count; index++) {
    const namespace = `ns-${Math.floor(index / PER_NAMESPACE)}`;
    await writeFile(
      join(identities, `w${index}.yaml`),
      `apiVersion: meshid.dev/v1alpha1\nkind: ServiceIdentity\nmetadata:\n  name: w${index}\n  namespace: ${namespace}\nspec: {}\n`,
    );
  }
  return {
    identities,
    out: join(dir, "out"),
    log: join(dir, "log"),
  };
}

function startLocal(fleet: Fleet, ...flags: readonly string[]): ChildProcess {
  const args = [
    "local",
    "--identities",
    fleet.identities,
    "--out",
    fleet.out,
    "--log-level",
    "warn",
    ...flags,
  ];
  // The record of issuances, ten thousand lines of it, is for a file as in production; it is shown where something failed.
  const log = openSync(fleet.log, "a");
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "ignore", log] });
  closeSync(log);
  return child;
}

interface Run {
  readonly seconds: number;
  readonly peakMib: number;
}

async function once(fleet: Fleet): Promise<Run> {
  const start = performance.now();
  const child = startLocal(fleet, "--once");
  let peak = 0;
  const watch = setInterval(() => {
    peak = Math.max(peak, peakOf(child.pid ?? 0));
  }, 20);
  const code = await new Promise((resolve) => child.once("close", resolve));
  clearInterval(watch);
  if (code !== 0) {
    const end = readFileSync(fleet.log, "utf8").slice(-2000);
    throw new Error(`meshid local --once ended with ${String(code)}:\n${end}`);
  }
  return { seconds: (performance.now() - start) / 1000, peakMib: peak / MIB };
}

function peakOf(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    return 0; // it has just ended
  }
}

interface Trial {
  readonly count: number;
  /** Of seconds. */
  readonly limit: number;
  readonly runs: number;
}

async function onceResults(scratch: Scratch, { count, limit, runs }: Trial): Promise<readonly Result[]> {
  const rows: Run[] = [];
  for (let run = 0; run < runs; run++) {
    rows.push(await once(await makeFleet(scratch, count)));
  }
  const time = atMost(
    `\`meshid local --once\`, ${count} identities`,
    median(rows.map((row) => row.seconds)),
    limit,
    " s",
  );
  if (count < 10_000) return [time];
  return [time, atMost("… its peak memory", median(rows.map((row) => row.peakMib)), 300, " MiB")];
}

async function idleResults(scratch: Scratch, count: number): Promise<readonly Result[]> {
  const fleet = await makeFleet(scratch, count);
  await once(fleet);
  const child = startLocal(fleet, "--listen", "none");
  const pid = child.pid ?? 0;
  // What a start reads is not idling: it is over when the process has been quiet for five seconds.
  let before = await cpuOf(pid);
  for (let quiet = 0; quiet < 5; ) {
    await pause(1000);
    const now = await cpuOf(pid);
    quiet = now - before < 0.1 ? quiet + 1 : 0;
    before = now;
  }
  const newest = await newestChange(fleet.out);
  const window = 60;
  await pause(window * 1000);
  const used = (await cpuOf(pid)) - before;
  const written = (await newestChange(fleet.out)) > newest ? 1 : 0;
  child.kill("SIGTERM");
  await new Promise((resolve) => child.once("close", resolve));
  return [
    atMost(`idle with ${count} identities, of a core`, (used / window) * 100, 1, " %"),
    atMost("… files written", written, 0),
  ];
}

/** Processor seconds of a process, its threads included. */
async function cpuOf(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** The newest change of any file or directory below, in milliseconds. */
async function newestChange(dir: string): Promise<number> {
  let newest = (await stat(dir)).mtimeMs;
  for (const entry of await readdir(dir, { withFileTypes: true, recursive: true })) {
    if (entry.isSymbolicLink()) continue;
    newest = Math.max(newest, (await stat(join(entry.parentPath, entry.name))).mtimeMs);
  }
  return newest;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

export async function localResults(scratch: Scratch): Promise<readonly Result[]> {
  return [
    ...(await onceResults(scratch, { count: 10, limit: 1, runs: 5 })),
    ...(await onceResults(scratch, { count: 1000, limit: 5, runs: 3 })),
    ...(await onceResults(scratch, { count: 10_000, limit: 30, runs: 1 })),
    ...(await idleResults(scratch, 10_000)),
  ];
}
