/**
 * The bundle that a namespace of the cluster has been given: what its workloads trust.
 */

import { OperatorError, quoted } from "../../core/errors.ts";
import { configMapContent } from "../../kubernetes/objects.ts";
import { CONFIG_MAPS } from "../../kubernetes/resources.ts";
import { parseTrust, type Trust } from "../trust.ts";
import { readableTrustDomain } from "./identities.ts";
import { getObject } from "./objects.ts";
import type { ClusterSession } from "./session.ts";

export const DEFAULT_BUNDLE = "meshid-bundle";
/** The SPIFFE bundle has the authorities of certificates and of tokens. */
const DOCUMENT = "bundle.json";

/** @throws NOT_FOUND, INVALID_INPUT; INVALID_CONFIGURATION, KubeApiError, CLUSTER_UNREACHABLE. */
export async function clusterTrust(session: ClusterSession): Promise<Trust> {
  const { namespace } = session;
  const domain = await readableTrustDomain(session);
  const name = domain?.spec.bundle?.configMapName ?? DEFAULT_BUNDLE;
  const found = await getObject(session, CONFIG_MAPS, { namespace, name });
  const bytes = found === undefined ? undefined : configMapContent(found)[DOCUMENT];
  if (bytes === undefined)
    throw new OperatorError(
      "NOT_FOUND",
      `the namespace ${quoted(namespace)} has no ConfigMap ${name} with a bundle; expected -n with a namespace that the TrustDomain selects, or --bundle FILE`,
    );
  return parseTrust(`configmap/${name} of ${namespace}`, bytes);
}
