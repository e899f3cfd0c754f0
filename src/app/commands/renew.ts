/**
 * `meshid renew NAME`, `meshid renew --all`
 */

import { asksCluster } from "../cluster-cli/mode.ts";
import type { Io } from "../io.ts";
import { localRenewals } from "../local-renewal.ts";
import { type GivenOptions, isSet, textOf } from "../options.ts";
import { findPlaces } from "../places.ts";
import { renewOne } from "../renew.ts";
import { checkAllFlags, renewAll } from "../renew-all.ts";

/** @throws INVALID_CONFIGURATION for an unknown identity or state; STORAGE_FAILED, CLUSTER_UNREACHABLE. */
export async function runRenew(options: GivenOptions, io: Io): Promise<number> {
  checkAllFlags(options);
  if (asksCluster(options)) {
    const { runClusterRenew } = await import("../cluster-cli/renew.ts");
    return runClusterRenew(options, io);
  }
  const target = localRenewals(await findPlaces(options), io);
  if (isSet(options, "all")) return renewAll(target, { options, io });
  const at = { namespace: textOf(options, "namespace") ?? "default", name: textOf(options, "NAME") ?? "" };
  return renewOne(target, at, { options, io });
}
