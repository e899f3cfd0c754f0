/**
 * How the process that starts the shared control plane tells the suites of it: by its environment, which they inherit.
 */

const DIRECTORY = "MESHID_TEST_CONTROL_PLANE";
const FAILURE = "MESHID_TEST_CONTROL_PLANE_FAILURE";

/** Only this variable turns the cluster suites off; their tests count as skipped then. */
export function areClusterTestsOff(): boolean {
  return process.env["MESHID_SKIP_CLUSTER_TESTS"] === "1";
}

export type Shared = { readonly dir: string } | { readonly failure: string };

export function announce(shared: Shared): void {
  if ("dir" in shared) process.env[DIRECTORY] = shared.dir;
  else process.env[FAILURE] = shared.failure;
}

export function announced(): Shared {
  const dir = process.env[DIRECTORY];
  if (dir !== undefined) return { dir };
  return { failure: process.env[FAILURE] ?? "no control plane was started; run this suite with npm test" };
}
