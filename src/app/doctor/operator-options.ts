/**
 * The options that the installed controller runs with, as its Deployment shows them.
 */

import type { DeploymentFact } from "./facts.ts";
import type { Known } from "./finding.ts";

/** The value of `--name=value`; undefined where it is not given, or nobody may look. */
export function optionIn(deployments: Known<readonly DeploymentFact[]>, name: string): string | undefined {
  const [deployment] = deployments.known ? deployments.value : [];
  const start = `--${name}=`;
  const value = deployment?.args.find((arg) => arg.startsWith(start))?.slice(start.length);
  return value === "" ? undefined : value;
}
