/**
 * The one control plane that all suites under `test/integration/cluster` share; they keep apart by namespaces
 * (`makeNamespace`). `jest-setup.ts` starts it when one of them is in the run.
 */

import { describe } from "@jest/globals";
import { openControlPlane } from "./client.ts";
import { announced, areClusterTestsOff } from "./shared-state.ts";
import type { ControlPlane } from "./types.ts";

/** Instead of `describe`: with MESHID_SKIP_CLUSTER_TESTS=1 its tests count as skipped. */
export const describeCluster: typeof describe | typeof describe.skip = areClusterTestsOff()
  ? describe.skip
  : describe;

/** For `beforeAll`. @throws Error saying what to do where there is no control plane. */
export async function controlPlane(): Promise<ControlPlane> {
  const shared = announced();
  if ("failure" in shared) throw new Error(shared.failure);
  return openControlPlane(shared.dir);
}
