/**
 * What the suite does with the cluster that KUBECONFIG names: the programs of whoever runs it, nothing of meshid's own.
 */

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const COMMAND_LIMIT_MS = 200_000;

export interface Output {
  readonly code: number;
  /** Standard output and standard error, as a terminal shows them. */
  readonly text: string;
  readonly stdout: string;
}

/** A block of shell, run in the root of the checkout. @throws Error with all that was said, at the first command that fails. */
export async function mustShell(script: string, limitMs?: number): Promise<Output> {
  return succeeded(script, await run("sh", ["-e", "-c", script], limitMs));
}

/** @throws Error with what kubectl says. */
export async function kubectl(...args: readonly string[]): Promise<string> {
  return succeeded(`kubectl ${args.join(" ")}`, await run("kubectl", args)).stdout;
}

/** One object, or undefined where there is none. @throws Error with what kubectl says. */
export async function getObject<T>(...args: readonly string[]): Promise<T | undefined> {
  const text = await kubectl("get", ...args, "--ignore-not-found", "-o", "json");
  return text === "" ? undefined : (JSON.parse(text) as T);
}

/** Looks again and again until `look` gives something. @throws Error with what it saw or threw last. */
export async function until<T>(
  what: string,
  limitMs: number,
  look: () => Promise<T | undefined>,
): Promise<T> {
  let last: unknown;
  for (const end = Date.now() + limitMs; ; ) {
    try {
      const found = await look();
      if (found !== undefined) return found;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`${what}: not seen within ${limitMs / 1000} s`, { cause: last });
    await pause(300);
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function succeeded(what: string, output: Output): Output {
  if (output.code !== 0) throw new Error(`${what}\nended with ${output.code}:\n${output.text}`);
  return output;
}

async function run(program: string, args: readonly string[], limitMs = COMMAND_LIMIT_MS): Promise<Output> {
  // The flags that Jest runs with are not for the programs that the guide calls.
  const env = { ...process.env, NODE_OPTIONS: "" };
  const child = spawn(program, args, { cwd: ROOT, env, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  let stdout = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
    text += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  const limit = setTimeout(() => {
    text += `\nended after ${limitMs / 1000} s`;
    child.kill("SIGKILL");
  }, limitMs);
  const code = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exit) => resolve(exit ?? 1));
  });
  clearTimeout(limit);
  return { code, text, stdout };
}
