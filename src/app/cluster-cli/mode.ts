/**
 * How a command knows whom to ask: a `meshid local` by its directories, where they are named, otherwise the cluster. What was
 * given as a flag says more than what lies in the environment.
 */

import { OperatorError } from "../../core/errors.ts";
import type { GivenOption, GivenOptions } from "../options.ts";

const LOCAL = ["out", "state"] as const;
const CLUSTER = ["kubeconfig", "context"] as const;

/** For help: the same sentence on each command that knows both modes. */
export const MODE_HELP =
  "With --out or --state (MESHID_OUT, MESHID_STATE) it asks the meshid local that serves them, otherwise the cluster.";

/** @throws INVALID_CONFIGURATION when flags ask for both. */
export function asksCluster(options: GivenOptions): boolean {
  const local = firstOf(options, LOCAL);
  const cluster = firstOf(options, CLUSTER);
  if (local === undefined) return true;
  if (!isFlag(local) && cluster !== undefined && isFlag(cluster)) return true;
  if (!isFlag(local) || cluster === undefined || !isFlag(cluster)) return false;
  throw new OperatorError(
    "INVALID_CONFIGURATION",
    `${cluster.from}: cannot be used with ${local.from}; expected ${cluster.from} for the cluster, or ${local.from} for a meshid local`,
  );
}

function firstOf(options: GivenOptions, names: readonly string[]): GivenOption | undefined {
  const given = names.flatMap((name) => options.get(name) ?? []);
  return given.find(isFlag) ?? given[0];
}

function isFlag({ from }: GivenOption): boolean {
  return from.startsWith("-");
}
