import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { leaksOf } from "./canaries.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** The CLI's program, for those who start it in a way of their own. */
export const MAIN: string = join(root, "src/main.ts");
const FLAGS = ["--disable-warning=ExperimentalWarning", MAIN];

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What the processes of this suite have printed. */
const outputs: string[] = [];

/**
 * A scratch directory with `identities` and `out` in it; removed at the end of the scope, when nothing that was printed or
 * written meanwhile may hold a private key or a token that lies in it.
 */
export interface Workspace extends AsyncDisposable {
  readonly dir: string;
  readonly identities: string;
  readonly out: string;
  readonly state: string;
  /** Writes `identities/<path>`. */
  put(path: string, content: string | Uint8Array): Promise<void>;
  read(path: string): Promise<string>;
}

export async function makeWorkspace(): Promise<Workspace> {
  const dir = await mkdtemp(join(tmpdir(), "meshid-test-"));
  const printed = outputs.length;
  const identities = join(dir, "identities");
  const out = join(dir, "out");
  await mkdir(identities);
  return {
    dir,
    identities,
    out,
    state: join(out, ".meshid"),
    put: async (path, content) => {
      await mkdir(dirname(join(identities, path)), { recursive: true });
      await writeFile(join(identities, path), content);
    },
    read: (path) => readFile(join(out, path), "utf8"),
    [Symbol.asyncDispose]: async () => {
      const leaks = leaksOf(dir, outputs.slice(printed));
      await rm(dir, { recursive: true, force: true });
      if (leaks.length > 0) throw new Error(`secrets outside of the Secrets: ${leaks.join(", ")}`);
    },
  };
}

/** The real CLI, run to its end. */
export function meshid(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  return finished(start(args, env));
}

export function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, [...FLAGS, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NODE_OPTIONS: "", ...env },
  });
}

export function finished(child: ChildProcess): Promise<Finished> {
  return new Promise((resolve) => {
    let stdout = "";
    let stderr = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr?.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.once("close", (code, signal) => {
      outputs.push(stdout, stderr);
      resolve({ code, signal, stdout, stderr });
    });
  });
}

/** Looks again and again until `look` gives something; what it throws last is the reason when it never does. */
export async function until<T>(what: string, look: () => Promise<T | undefined>, limit = 60_000): Promise<T> {
  let left = limit;
  let last: unknown;
  for (;;) {
    const begun = Date.now();
    try {
      const found = await look();
      if (found !== undefined) return found;
    } catch (error) {
      last = error;
    }
    left -= Date.now() - begun;
    if (left <= 0) throw new Error(`${what}: not seen within ${limit} ms`, { cause: last });
    const slept = Date.now();
    await new Promise((resolve) => setTimeout(resolve, 50));
    // A machine that stood still has shown nothing either.
    left -= Math.min(Date.now() - slept, 250);
  }
}

/**
 * The quickest of a few attempts in milliseconds, which ends as soon as one is within `limit`: a busy machine is slow now and
 * then, what is slow by itself is so each time.
 */
export async function quickest(limit: number, attempt: () => Promise<number>): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let attempts = 0; attempts < 4 && best > limit; attempts++) best = Math.min(best, await attempt());
  return best;
}

/** A ServiceIdentity document with `spec` as YAML flow. */
export function identityYaml(name: string, spec = "{}", namespace = "shop"): string {
  return `apiVersion: meshid.dev/v1alpha1\nkind: ServiceIdentity\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: ${spec}\n`;
}

export function trustDomainYaml(spec: string, name = "cluster.local"): string {
  return `apiVersion: meshid.dev/v1alpha1\nkind: TrustDomain\nmetadata: {name: ${name}}\nspec: ${spec}\n`;
}
