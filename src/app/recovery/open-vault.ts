/**
 * Which authority a command is about: that of a state directory where one is named, otherwise the cluster's.
 */

import { asksCluster } from "../cluster-cli/mode.ts";
import { type VaultUse, withLocalVault } from "./local-vault.ts";
import type { Vault } from "./vault.ts";

/** @throws INVALID_CONFIGURATION, STATE_LOCKED (naming the pid), CLUSTER_UNREACHABLE; what `run` throws. */
export async function withVault(
  { options, io, writes }: VaultUse,
  run: (vault: Vault) => Promise<number>,
): Promise<number> {
  if (asksCluster(options)) {
    const { withClusterVault } = await import("../cluster-cli/vault.ts");
    return withClusterVault(options, io, run);
  }
  return withLocalVault({ options, io, writes }, run);
}
