/**
 * Which consumers hold which authority: the bundle of every selected namespace and the Secrets of every living identity, as
 * the API server has shown them to us.
 */

import type { Observation } from "../authority/rotation-plan.ts";
import type { Observer } from "../controller/ports.ts";
import type { ObservedConfigMap, ObservedSecret } from "../reconcile/state.ts";
import { jwtSecretName, x509SecretName } from "../registration/secret-names.ts";
import type { ServiceIdentity } from "../registration/service-identity.ts";
import type { KeyId } from "../x509/keys.ts";
import type { Cluster } from "./cluster.ts";

const MAX_NAMED = 10_000;
/** Stands for all that are not named. Nobody can be excluded under it: those that are named may all be, by one tenant's doing. */
const OTHERS = `more than ${MAX_NAMED} consumers`;
const CHUNK = 500;

/** `configMapName`: of the bundle. */
export function clusterObserver(cluster: Cluster, configMapName: () => string): Observer {
  return {
    look: async (slots): Promise<Observation> => {
      const lacking = new Map<KeyId, string[]>(slots.map(({ keyID }) => [keyID, []]));
      let consumers = 0;
      const look = async (
        name: string,
        seen: ObservedSecret | ObservedConfigMap | undefined,
      ): Promise<void> => {
        const carried = cluster.objects.authorities(seen?.bundleHash ?? "");
        for (const { kind, keyID } of slots) {
          const keys = kind === "JWT" ? carried?.jwt : carried?.roots;
          // A Secret of certificates carries no JWT keys and needs none; a bundle needs both.
          const isWanted = seen?.ref.kind !== "Secret" || keys !== undefined;
          const named = lacking.get(keyID);
          if (isWanted && keys?.has(keyID) !== true && named !== undefined && named.length <= MAX_NAMED)
            named.push(named.length < MAX_NAMED ? name : OTHERS);
        }
        if (++consumers % CHUNK === 0) await new Promise((resolve) => setImmediate(resolve));
      };
      const owner = cluster.trustDomain().metadata.uid;
      for (const namespace of cluster.bundleNamespaces()) {
        const bundle = cluster.objects.configMap(namespace, configMapName());
        await look(
          `ConfigMap ${namespace}/${configMapName()}`,
          bundle?.ownerUid === owner ? bundle : undefined,
        );
      }
      for (const identity of cluster.identities()) {
        const { uid, namespace } = identity.metadata;
        const names = secretNames(identity);
        for (const { kind, namespace: place, name } of cluster.objects.ownedBy(uid)) {
          // One that lies elsewhere, or has another name, only says that it is its own: anyone can make such without end.
          if (kind === "Secret" && place === namespace && names.has(name))
            await look(`Secret ${namespace}/${name}`, cluster.objects.secret(namespace, name));
        }
      }
      return { lacking, consumers };
    },
  };
}

/** That of tokens also where none are asked for any more: it may be on its way out. */
function secretNames(identity: ServiceIdentity): ReadonlySet<string> {
  return new Set([x509SecretName(identity), jwtSecretName(identity) ?? `${identity.metadata.name}-jwt`]);
}
