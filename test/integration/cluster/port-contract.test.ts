import { afterAll, beforeAll } from "@jest/globals";
import { KubeApplier } from "../../../src/kubernetes/applier.ts";
import { SecretJournalStore, secretKeyStore } from "../../../src/kubernetes/authority-stores.ts";
import { clusterObserver } from "../../../src/kubernetes/observer.ts";
import {
  CONFIG_MAPS,
  NAMESPACES,
  objectPath,
  PEER_AUTHENTICATIONS,
  SECRETS,
  SERVICE_IDENTITIES,
  TRUST_DOMAINS,
} from "../../../src/kubernetes/resources.ts";
import { KubeStatusWriter } from "../../../src/kubernetes/status-writer.ts";
import { describeCluster } from "../../support/control-plane/shared.ts";
import { startControlPlane } from "../../support/control-plane/start.ts";
import type { OwnControlPlane } from "../../support/control-plane/types.ts";
import { NEVER } from "../../support/directory.ts";
import {
  clear,
  contentOf,
  eventually,
  followCluster,
  handsOf,
  RESOURCES,
} from "../../support/kubernetes/cluster-harness.ts";
import { installPeerAuthentication } from "../../support/kubernetes/peer-authentication-crd.ts";
import { describePorts, type PortHarness } from "../../support/port-contract.ts";

const DOMAIN = "cluster.local";
const PLACES = ["shop", "bank"];
const OPERATOR = "meshid-system";
/** The namespaces that get a bundle have it. */
const SELECTED = { contract: "yes" };

// A control plane of its own: the contract has fixed names.
describeCluster("on a control plane", () => {
  let plane: OwnControlPlane;
  beforeAll(async () => {
    plane = await startControlPlane();
    await Promise.all([plane.installCrds(), installPeerAuthentication(plane)]);
    for (const name of [...PLACES, OPERATOR]) await handsOf(plane).put(NAMESPACES, { name }, {});
  });
  afterAll(() => plane.stop());

  describePorts("an API server", { recordsHolders: false }, () => makePorts(plane));
});

async function makePorts(plane: OwnControlPlane): Promise<PortHarness> {
  const hands = handsOf(plane);
  const select = (name: string, labels: object) => hands.put(NAMESPACES, { name }, { metadata: { labels } });
  await hands.putTrustDomain(DOMAIN, { bundle: { namespaceSelector: { matchLabels: SELECTED } } });
  const followed = await followCluster(plane, {
    domain: DOMAIN,
    operatorNamespace: OPERATOR,
    watchNamespaces: PLACES,
  });
  const { cluster, changes, client } = followed;
  const fence = (): void => {};
  const stores = {
    client,
    namespace: OPERATOR,
    fence,
    hasEvidence: () => cluster.hasPublishedBundle,
    signal: NEVER,
  };
  return {
    desired: cluster,
    observed: cluster.objects,
    applier: new KubeApplier({ client, objects: cluster.objects, fence }),
    statusWriter: new KubeStatusWriter({ client, cluster, fence }),
    observer: clusterObserver(cluster, () => "meshid-bundle"),
    journalStore: new SecretJournalStore(stores),
    keyStore: secretKeyStore(stores),
    putIdentity: async (namespace, name, spec) => {
      await select(namespace, SELECTED);
      await eventually(`${namespace} selected`, () => cluster.bundleNamespaces().includes(namespace));
      changes.identities.length = 0;
      await hands.putIdentity(namespace, name, spec);
      const key = `${namespace}/${name}`;
      await eventually(`${name} announced`, () => changes.identities.includes(key));
      const identity = cluster.identity(key);
      if (identity === undefined) throw new Error(`${key} was announced and is not there`);
      return identity;
    },
    deleteIdentity: async (namespace, name) => {
      await hands.remove(SERVICE_IDENTITIES, { namespace, name });
      await eventually(`${name} gone`, () => cluster.identity(`${namespace}/${name}`) === undefined);
    },
    read: async ({ kind, namespace, name }) => {
      const object = await hands.get(RESOURCES[kind], namespace, name);
      return object === undefined ? undefined : contentOf(object);
    },
    putForeign: async ({ kind, namespace, name }) => {
      const text = kind === "Secret" ? Buffer.from("someone else's").toString("base64") : "someone else's";
      const content = kind === "PeerAuthentication" ? { spec: {} } : { data: { "tls.key": text } };
      await hands.put(RESOURCES[kind], { namespace, name }, content);
    },
    removeByHand: async (ref) => {
      await hands.remove(RESOURCES[ref.kind], ref);
      await eventually(`${ref.name} gone`, () => cluster.objects.uidOf(ref) === undefined);
    },
    [Symbol.asyncDispose]: async () => {
      await followed[Symbol.asyncDispose]();
      const cleared = PLACES.flatMap((namespace) => [
        select(namespace, {}),
        plane.request({
          method: "DELETE",
          path: objectPath(CONFIG_MAPS, { namespace, name: "meshid-bundle" }),
        }),
        ...[SERVICE_IDENTITIES, SECRETS, PEER_AUTHENTICATIONS].map((resource) =>
          clear(plane, resource, namespace),
        ),
      ]);
      await Promise.all([...cleared, clear(plane, SECRETS, OPERATOR)]);
      await hands.remove(TRUST_DOMAINS, { name: DOMAIN });
    },
  };
}
