/**
 * The image of this checkout, as a container engine builds it. E2E_BUILD_ARGS holds further arguments of `docker build`:
 * other bases, for one, where nothing can be pulled (test/e2e/image/import-bases).
 */

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BUILD_LIMIT_MS = 900_000;
const run = promisify(execFile);

/** What the chart installs and the guide's Deployments run. */
export const TAG = "meshid:0.1.0";

/** @throws Error with what docker says. */
export async function docker(...args: readonly string[]): Promise<string> {
  try {
    const options = { cwd: ROOT, timeout: BUILD_LIMIT_MS, maxBuffer: 2 ** 26 };
    return (await run("docker", args, options)).stdout;
  } catch (cause) {
    const { stdout = "", stderr = "" } = cause as { readonly stdout?: string; readonly stderr?: string };
    throw new Error(`docker ${args.join(" ")}\n${`${stdout}${stderr}`.slice(-4000)}`, { cause });
  }
}

/** @throws Error with the last that the build said. */
export async function buildImage(tag: string, ...flags: readonly string[]): Promise<void> {
  const further = (process.env["E2E_BUILD_ARGS"] ?? "").split(/\s+/).filter(Boolean);
  const epoch = `SOURCE_DATE_EPOCH=${await commitTime()}`;
  await docker("build", "--tag", tag, "--build-arg", epoch, ...further, ...flags, ".");
}

/** Seconds since 1970; 0 where this is no checkout of git. */
async function commitTime(): Promise<string> {
  const { stdout } = await run("git", ["log", "-1", "--format=%ct"], { cwd: ROOT }).catch(() => ({
    stdout: "0",
  }));
  return stdout.trim();
}
