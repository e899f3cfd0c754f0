/**
 * `meshid rotate root|issuing|jwt` in a cluster.
 */

import { OperatorError } from "../../core/errors.ts";
import { trustDomainOf } from "../../kubernetes/identity-objects.ts";
import { TRUST_DOMAINS } from "../../kubernetes/resources.ts";
import type { Io } from "../io.ts";
import type { ObservedTrustDomain } from "../observed-objects.ts";
import type { GivenOptions } from "../options.ts";
import { requestValue } from "../progress/follow.ts";
import type { Rotation } from "../progress/rotation.ts";
import { rotate } from "../rotate.ts";
import type { RotationTarget } from "../rotation-target.ts";
import { annotate } from "./annotate.ts";
import { listClusterIdentities, servedTrustDomain, toObserved, toObservedTrustDomain } from "./identities.ts";
import { getObject } from "./objects.ts";
import { type ClusterSession, isForbidden, OR_LOCAL, withCluster } from "./session.ts";

/** @throws INVALID_CONFIGURATION where there is no TrustDomain; KubeApiError, CLUSTER_UNREACHABLE. */
export function runClusterRotate(rotation: Rotation, options: GivenOptions, io: Io): Promise<number> {
  return withCluster(options, io, (session) => clusterRotate(session, rotation, { options, io }), OR_LOCAL);
}

export async function clusterRotate(
  session: ClusterSession,
  rotation: Rotation,
  { options, io }: { readonly options: GivenOptions; readonly io: Io },
): Promise<number> {
  const served = await servedTrustDomain(session);
  if (served === undefined)
    throw new OperatorError(
      "INVALID_CONFIGURATION",
      `the cluster at ${session.server} has no TrustDomain; expected one that a meshid controller serves (meshid doctor)`,
    );
  const before = toObservedTrustDomain(served);
  return rotate(clusterTarget(session, before.name, io), { rotation, before }, { options, io });
}

function clusterTarget(session: ClusterSession, name: string, io: Io): RotationTarget {
  return {
    trustDomain: async () => namedTrustDomain(session, name),
    identities: async () => {
      try {
        return (await listClusterIdentities(session, undefined)).map(toObserved);
      } catch (error) {
        if (isForbidden(error)) return undefined;
        throw error;
      }
    },
    ask: async ({ word }, compromised) => {
      const id = requestValue(io);
      const annotation =
        compromised === undefined
          ? { [`meshid.dev/rotate-${word}`]: id }
          : { [`meshid.dev/distrust-${word}`]: compromised };
      await annotate(session, TRUST_DOMAINS, { name }, annotation);
      return id;
    },
    lastDistrusted: async (kind) => {
      const object = await getObject(session, TRUST_DOMAINS, { name });
      return object?.metadata.annotations?.[`meshid.dev/distrust-${kind.toLowerCase()}`];
    },
    untaken: () => ({ text: "the controller has not taken it up yet" }),
    carriedOut: (isCompromised) =>
      isCompromised
        ? "The controller carries it out at once: --wait follows that, meshid status shows it."
        : "The new key is published, seen at every consumer, and only then used: --wait follows that, meshid status shows it.",
    remedy: "meshid status shows it, meshid doctor says what is wrong.",
    placeOf: (secret) =>
      `Secret ${secret} in the operator's namespace (meshid-system, unless it was installed elsewhere)`,
    data: () => ({ server: session.server }),
    byHand: (kind, keyID) =>
      `kubectl annotate --overwrite trustdomain ${name} meshid.dev/distrust-${kind.toLowerCase()}=${keyID}`,
  };
}

async function namedTrustDomain(session: ClusterSession, name: string): Promise<ObservedTrustDomain> {
  const object = await getObject(session, TRUST_DOMAINS, { name });
  if (object === undefined)
    throw new OperatorError("NOT_FOUND", `the TrustDomain ${name} was deleted meanwhile`);
  return toObservedTrustDomain(trustDomainOf(object));
}
