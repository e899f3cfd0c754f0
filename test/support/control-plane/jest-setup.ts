/**
 * Starts the control plane that the suites of a run share. Jest calls it once, and only for a run with such a suite.
 */

import { announce, areClusterTestsOff } from "./shared-state.ts";
import { startControlPlane } from "./start.ts";

// oxlint-disable-next-line import/no-default-export -- Jest takes no other.
export default async function startShared(): Promise<void> {
  if (areClusterTestsOff()) return;
  try {
    const { dir } = await startControlPlane();
    announce({ dir });
  } catch (error) {
    // The suites that need it fail with this; the others still run.
    const failure = (error as Error).message;
    process.stderr.write(`\nmeshid: no control plane for the cluster suites\n${failure}\n`);
    announce({ failure });
  }
}
