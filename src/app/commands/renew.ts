/**
 * `meshid renew NAME`
 */

import { isPending, leaveRequest } from "../../directory/requests.ts";
import { asksCluster } from "../cluster-cli/mode.ts";
import type { Io } from "../io.ts";
import { listIdentities } from "../observed-objects.ts";
import { type GivenOptions, textOf } from "../options.ts";
import { findPlaces } from "../places.ts";
import { reportRequest } from "../requests-for-holder.ts";
import { unknownIdentity } from "../unknown-identity.ts";

/** @throws INVALID_CONFIGURATION for an unknown identity or state; STORAGE_FAILED, CLUSTER_UNREACHABLE. */
export async function runRenew(options: GivenOptions, io: Io): Promise<number> {
  if (!asksCluster(options)) return runLocalRenew(options, io);
  const { runClusterRenew } = await import("../cluster-cli/renew.ts");
  return runClusterRenew(options, io);
}

async function runLocalRenew(options: GivenOptions, io: Io): Promise<number> {
  const name = textOf(options, "NAME") ?? "";
  const namespace = textOf(options, "namespace") ?? "default";
  const places = await findPlaces(options);
  const known = await listIdentities(places.out);
  if (!known.some((each) => each.name === name && each.namespace === namespace))
    throw unknownIdentity(name, namespace, known);
  const id = leaveRequest(places.state, { kind: "renew", namespace, name }, io);
  const request = {
    what: `renewal of ${namespace}/${name}`,
    data: { kind: "renew", namespace, name, id },
    places,
    isWaiting: () => isPending(places.state, id),
  };
  return reportRequest(request, options, io);
}
