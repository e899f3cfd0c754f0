/**
 * Finds the programs of a control plane: in the folder that KUBEBUILDER_ASSETS names, in the cache, in the official
 * archives, and last in a build from Go modules. The two last fill the cache.
 */

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants } from "node:fs";
import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { buildPrograms, programsBuiltFor } from "./go-build.ts";
import {
  type Download,
  downloadsFor,
  PINNED_VERSION,
  PROGRAMS,
  type ProgramName,
  platformName,
} from "./releases.ts";

const run = promisify(execFile);
const FETCH_LIMIT = 300_000;
/** A network without a way out must be noticed at once: the next road is open. */
const CONNECT_LIMIT = 10_000;

/** The path of each program. @throws Error saying what was tried and what to do. */
export async function findPrograms(version: string): Promise<ReadonlyMap<ProgramName, string>> {
  const cache = cacheDirectory(version);
  const assets = process.env["KUBEBUILDER_ASSETS"];
  const places = [...(assets === undefined || assets === "" ? [] : [assets]), cache];
  const tried: string[] = [];
  let found = look(places);
  if (assets) warnOfMissing(assets);
  for (const [road, take] of ROADS) {
    const missing = PROGRAMS.filter((program) => !found.has(program));
    if (missing.length === 0) return found;
    try {
      await take({ version, cache, missing });
    } catch (error) {
      tried.push(`${road}: ${reasonOf(error)}`);
    }
    found = look(places);
  }
  const missing = PROGRAMS.filter((program) => !found.has(program));
  if (missing.length === 0) return found;
  const built = programsBuiltFor(version);
  if (!missing.some((program) => built.includes(program))) {
    // The rest is the same for every version of the servers.
    return new Map([...(await findPrograms(PINNED_VERSION)), ...found]);
  }
  throw new Error(
    [
      `Kubernetes ${version} for tests: no ${missing.join(", ")} in ${places.join(" or ")}, and no way to get them.`,
      ...tried.map((line) => `  ${line}`),
      "Do one of these: name a folder with the programs in KUBEBUILDER_ASSETS; allow access to github.com, dl.k8s.io and get.helm.sh;",
      "install Go 1.26 or newer. MESHID_SKIP_CLUSTER_TESTS=1 turns the suites that need them off.",
    ].join("\n"),
  );
}

interface Wanted {
  readonly version: string;
  /** Where the programs go. */
  readonly cache: string;
  readonly missing: readonly ProgramName[];
}

const ROADS: readonly (readonly [string, (wanted: Wanted) => Promise<void>])[] = [
  ["official archives", fetchPrograms],
  ["build from Go modules", buildPrograms],
];

function cacheDirectory(version: string): string {
  const root = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  return join(root, "meshid", `kubernetes-${version}-${platformName()}`);
}

/** A server from elsewhere, of another version, must not come as a surprise. */
function warnOfMissing(assets: string): void {
  const server: ProgramName = "kube-apiserver";
  if (look([assets]).has(server)) return;
  process.stderr.write(`meshid: there is no ${server} in KUBEBUILDER_ASSETS, ${assets}: looking elsewhere\n`);
}

function look(places: readonly string[]): Map<ProgramName, string> {
  const found = new Map<ProgramName, string>();
  for (const program of PROGRAMS) {
    const path = places.map((place) => join(place, program)).find(isExecutable);
    if (path !== undefined) found.set(program, path);
  }
  return found;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function fetchPrograms({ version, cache, missing }: Wanted): Promise<void> {
  await mkdir(cache, { recursive: true });
  const faults: string[] = [];
  for (const download of downloadsFor(version, platformName())) {
    const wanted = download.programs.filter((program) => missing.includes(program));
    if (wanted.length === 0) continue;
    try {
      await fetchInto(cache, download, wanted);
    } catch (error) {
      faults.push(`${download.url}: ${reasonOf(error)}`);
    }
  }
  if (faults.length > 0) throw new Error(faults.join("; "));
}

/** Nothing that was not checked gets its final name. */
export async function fetchInto(
  cache: string,
  download: Download,
  wanted: readonly ProgramName[],
): Promise<void> {
  const bytes = await fetchBytes(download.url);
  const expected =
    download.checksum ??
    `sha512:${(await fetchBytes(`${download.url}.sha512`)).toString().trim().split(/\s/)[0]}`;
  const algorithm = expected.slice(0, expected.indexOf(":"));
  const actual = `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
  if (actual !== expected) throw new Error(`checksum ${actual}, expected ${expected}`);
  const scratch = await mkdtemp(join(cache, "download-"));
  try {
    const file = join(scratch, "file");
    await writeFile(file, bytes);
    const { pathOf } = download;
    if (pathOf !== undefined) await run("tar", ["-xzf", file, "-C", scratch, ...wanted.map(pathOf)]);
    for (const program of wanted) {
      const path = pathOf === undefined ? file : join(scratch, pathOf(program));
      await chmod(path, 0o755);
      await rename(path, join(cache, program));
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function fetchBytes(url: string): Promise<Buffer> {
  const stop = new AbortController();
  const impatience = setTimeout(() => stop.abort(new Error("no answer")), CONNECT_LIMIT);
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(FETCH_LIMIT)]);
  const response = await fetch(url, { signal }).finally(() => clearTimeout(impatience));
  if (!response.ok) throw new Error(`answered ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}

/** `fetch failed` says nothing; its cause does. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  const under = (cause as { readonly code?: string; readonly message?: string } | undefined) ?? {};
  return [message, under.code ?? under.message].filter(Boolean).join(": ");
}
