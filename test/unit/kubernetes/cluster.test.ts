import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { Cluster } from "../../../src/kubernetes/cluster.ts";
import { KubeApiError } from "../../../src/kubernetes/errors.ts";
import type { KubeObject } from "../../../src/kubernetes/objects.ts";
import {
  CONFIG_MAPS,
  collectionPath,
  NAMESPACES,
  PEER_AUTHENTICATIONS,
  SECRETS,
  SERVICE_ACCOUNTS,
  SERVICE_IDENTITIES,
  TRUST_DOMAINS,
} from "../../../src/kubernetes/resources.ts";
import { parseTrustDomain } from "../../../src/spiffe/trust-domain.ts";
import { RecordedChanges } from "../../support/directory.ts";
import { codeOf } from "../../support/errors.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";
import { fakeRandom } from "../../support/fake-random.ts";
import { PushedClient } from "../../support/kubernetes/pushed.ts";
import { objectOf } from "../../support/kubernetes/scripted.ts";

const IDENTITIES = collectionPath(SERVICE_IDENTITIES);
const ALL_SECRETS = collectionPath(SECRETS);
const ALL_NAMESPACES = collectionPath(NAMESPACES);
const POLICIES = collectionPath(PEER_AUTHENTICATIONS);

function identityOf(
  name: string,
  version: number,
  rest: Partial<KubeObject["metadata"]> = {},
  spec: object = {},
): KubeObject {
  return { ...objectOf(name, version, { generation: 1, ...rest }), spec };
}

function ownedBy(uid: string): Pick<KubeObject["metadata"], "ownerReferences"> {
  const owner = { apiVersion: "meshid.dev/v1alpha1", kind: "ServiceIdentity", name: "payments", uid };
  return { ownerReferences: [{ ...owner, controller: true }] };
}

function clusterWide(name: string, version: number, rest: Partial<KubeObject["metadata"]> = {}): KubeObject {
  const { namespace: _, ...metadata } = objectOf(name, version, rest).metadata;
  return { metadata };
}

describe("Cluster", () => {
  let client: PushedClient;
  let cluster: Cluster;
  let changes: RecordedChanges;
  let operatorSecrets: string[];
  let stop: AbortController;
  let running: Promise<void>;

  const start = async (watchNamespaces?: readonly string[]): Promise<void> => {
    cluster = new Cluster({
      client,
      clock: new FakeClock(),
      random: fakeRandom(),
      trustDomain: parseTrustDomain("cluster.local"),
      operatorNamespace: "meshid-system",
      watchNamespaces,
      meshRootNamespace: "istio-system",
      onOperatorSecret: (name, content) =>
        operatorSecrets.push(`${name} ${content === undefined ? "gone" : Object.keys(content).join()}`),
      onRelist: () => {},
      onError: () => {},
    });
    running = cluster.run(stop.signal);
    await cluster.synced();
    cluster.attach(changes);
    await settle();
  };
  beforeEach(() => {
    client = new PushedClient();
    changes = new RecordedChanges();
    operatorSecrets = [];
    stop = new AbortController();
  });
  afterEach(async () => {
    stop.abort();
    await running;
  });
  const push = async (...event: Parameters<PushedClient["push"]>): Promise<void> => {
    client.push(...event);
    await settle();
  };
  const announced = (): readonly string[] => changes.identities.splice(0);

  it("announces an edit that it sees first in the answer to a status write: the watch will not tell it", async () => {
    client.lists.set(IDENTITIES, { version: 10, items: [identityOf("payments", 5)] });
    await start();
    cluster.wrote(SERVICE_IDENTITIES, { ...identityOf("payments", 12, { generation: 2 }), status: {} });
    await settle();
    expect(announced()).toEqual(["shop/payments"]);
    await push(IDENTITIES, "MODIFIED", identityOf("payments", 11, { generation: 2 }));
    await push(IDENTITIES, "MODIFIED", { ...identityOf("payments", 12, { generation: 2 }), status: {} });
    expect(announced()).toEqual([]);
    expect(cluster.identity("shop/payments")?.metadata.generation).toBe(2);
  });

  it("takes the answer to a status write, and its echo, for no news", async () => {
    client.lists.set(IDENTITIES, { version: 10, items: [identityOf("payments", 5)] });
    await start();
    const written = { ...identityOf("payments", 12), status: { observedGeneration: 1 } };
    cluster.wrote(SERVICE_IDENTITIES, written);
    await push(IDENTITIES, "MODIFIED", written);
    expect(announced()).toEqual([]);
    expect(cluster.identity("shop/payments")?.status).toEqual({ observedGeneration: 1 });
  });

  it("announces an edit of a TrustDomain that it sees first in the answer to a status write", async () => {
    client.lists.set(collectionPath(TRUST_DOMAINS), {
      version: 10,
      items: [clusterWide("cluster.local", 5, { generation: 1 })],
    });
    await start();
    cluster.wrote(TRUST_DOMAINS, { ...clusterWide("cluster.local", 11, { generation: 1 }), status: {} });
    await settle();
    expect(changes.trustDomain).toBe(0);
    cluster.wrote(TRUST_DOMAINS, { ...clusterWide("cluster.local", 13, { generation: 2 }), status: {} });
    await settle();
    expect(changes.trustDomain).toBe(1);
  });

  it("announces what someone did to a Secret between two states that it knows", async () => {
    client.lists.set(IDENTITIES, { version: 10, items: [identityOf("payments", 5)] });
    client.lists.set(ALL_SECRETS, {
      version: 10,
      items: [objectOf("payments-tls", 6, ownedBy("uid-payments"))],
    });
    await start();
    cluster.objects.set("Secret", objectOf("payments-tls", 14, ownedBy("uid-payments")));
    await push(ALL_SECRETS, "MODIFIED", objectOf("payments-tls", 13, ownedBy("uid-payments")));
    expect(announced()).toEqual(["shop/payments"]);
    await push(ALL_SECRETS, "MODIFIED", objectOf("payments-tls", 14, ownedBy("uid-payments")));
    expect(announced()).toEqual([]);
  });

  it("keeps what was made while a list was under way, and forgets what the list no longer shows", async () => {
    client.lists.set(IDENTITIES, { version: 10, items: [identityOf("payments", 5), identityOf("gone", 6)] });
    client.lists.set(ALL_SECRETS, { version: 10, items: [objectOf("old", 6, ownedBy("uid-payments"))] });
    await start();
    cluster.objects.set("Secret", objectOf("new", 25, ownedBy("uid-payments")));
    client.lists.set(IDENTITIES, { version: 20, items: [identityOf("payments", 5)] });
    client.lists.set(ALL_SECRETS, { version: 20, items: [] });
    for (const path of [IDENTITIES, ALL_SECRETS])
      client.end(path, new KubeApiError(410, "Expired", "too old"));
    await settle();
    stop.abort();
    await running;
    stop = new AbortController();
    running = cluster.run(stop.signal);
    await settle();
    expect(cluster.objects.ownedBy("uid-payments").map(({ name }) => name)).toEqual(["new"]);
    expect(announced().toSorted()).toEqual(["shop/gone", "shop/payments"]);
    expect(cluster.identity("shop/gone")).toBeUndefined();
  });

  it("brings nothing back that the watch has told to be gone, when an answer of before arrives late", async () => {
    client.lists.set(IDENTITIES, { version: 10, items: [identityOf("payments", 5)] });
    client.lists.set(collectionPath(TRUST_DOMAINS), {
      version: 10,
      items: [clusterWide("cluster.local", 5)],
    });
    await start();
    await push(IDENTITIES, "DELETED", identityOf("payments", 13));
    await push(ALL_SECRETS, "DELETED", objectOf("payments-tls", 14, ownedBy("uid-payments")));
    await push(collectionPath(TRUST_DOMAINS), "DELETED", clusterWide("cluster.local", 15));
    cluster.wrote(SERVICE_IDENTITIES, identityOf("payments", 12));
    cluster.objects.set("Secret", objectOf("payments-tls", 11, ownedBy("uid-payments")));
    cluster.wrote(TRUST_DOMAINS, clusterWide("cluster.local", 14));
    expect([...cluster.identities()]).toEqual([]);
    expect(cluster.objects.ownedBy("uid-payments")).toEqual([]);
    expect(cluster.hasTrustDomain).toBe(false);
    // One that was made after it is another.
    await push(IDENTITIES, "ADDED", identityOf("payments", 20));
    cluster.objects.set("Secret", objectOf("payments-tls", 21, ownedBy("uid-payments")));
    expect([...cluster.identities()]).toHaveLength(1);
    expect(cluster.objects.ownedBy("uid-payments")).toHaveLength(1);
  });

  it("hides the identities of a namespace that ends, and shows them in one that begins anew", async () => {
    client.lists.set(ALL_NAMESPACES, { version: 10, items: [clusterWide("shop", 5)] });
    client.lists.set(IDENTITIES, { version: 10, items: [identityOf("payments", 5)] });
    client.lists.set(collectionPath(TRUST_DOMAINS), {
      version: 10,
      items: [clusterWide("cluster.local", 5)],
    });
    await start();
    expect(cluster.bundleNamespaces()).toEqual(["shop"]);
    await push(
      ALL_NAMESPACES,
      "MODIFIED",
      clusterWide("shop", 11, { deletionTimestamp: "2026-11-24T10:00:00Z" }),
    );
    expect([cluster.identity("shop/payments"), cluster.bundleNamespaces(), announced()]).toEqual([
      undefined,
      [],
      ["shop/payments"],
    ]);
    // Its deletion was never seen.
    await push(ALL_NAMESPACES, "MODIFIED", clusterWide("shop", 20));
    expect(announced()).toEqual(["shop/payments"]);
    expect(cluster.identity("shop/payments")).toBeDefined();
    expect(cluster.bundleNamespaces()).toEqual(["shop"]);
  });

  it("tells of a namespace only where its labels or its life have changed", async () => {
    client.lists.set(ALL_NAMESPACES, {
      version: 10,
      items: [clusterWide("shop", 5, { labels: { team: "a" } })],
    });
    await start();
    await push(
      ALL_NAMESPACES,
      "MODIFIED",
      clusterWide("shop", 11, { labels: { team: "a" }, annotations: { note: "x" } }),
    );
    expect(changes.namespaces).toBe(0);
    await push(ALL_NAMESPACES, "MODIFIED", clusterWide("shop", 12, { labels: { team: "b" } }));
    expect(changes.namespaces).toBe(1);
  });

  it("keeps of an identity neither annotations nor conditions that others have put there", async () => {
    const annotations = { "meshid.dev/renew": "x".repeat(100_000), "meshid.dev/more": "x", note: "x" };
    const issued = { type: "X509Issued", status: "True", reason: "Issued", message: "issued" };
    const forged = [
      { ...issued, type: "Forged" },
      { ...issued, type: "Ready", message: "x".repeat(4097) },
    ];
    const identity = identityOf("payments", 5, { annotations });
    client.lists.set(IDENTITIES, {
      version: 10,
      items: [{ ...identity, status: { conditions: [issued, ...forged] } }],
    });
    await start();
    const { metadata, status } = cluster.identity("shop/payments") ?? {};
    expect(metadata?.annotations).toEqual({ "meshid.dev/renew": "x".repeat(253) });
    expect(status?.conditions).toEqual([issued]);
  });

  it("announces the identities of a ServiceAccount that comes or goes", async () => {
    const other = identityOf("orders", 6, {}, { serviceAccountName: "payments" });
    client.lists.set(IDENTITIES, {
      version: 10,
      items: [identityOf("payments", 5), other, identityOf("else", 7)],
    });
    await start();
    const accounts = collectionPath(SERVICE_ACCOUNTS);
    await push(accounts, "ADDED", objectOf("payments", 11));
    expect([announced().toSorted(), cluster.serviceAccountExists("shop", "payments")]).toEqual([
      ["shop/orders", "shop/payments"],
      true,
    ]);
    await push(accounts, "MODIFIED", objectOf("payments", 12));
    expect(announced()).toEqual([]);
    await push(accounts, "DELETED", objectOf("payments", 13));
    expect(announced().toSorted()).toEqual(["shop/orders", "shop/payments"]);
  });

  it("announces those that ask for a mesh manifest when a policy of their namespace, or of the mesh, changes", async () => {
    const mtls = { mtls: { mode: "Strict", selector: { matchLabels: { app: "payments" } } } };
    const items = [
      identityOf("payments", 5, {}, mtls),
      identityOf("plain", 6),
      identityOf("far", 7, { namespace: "bank" }, mtls),
    ];
    client.lists.set(IDENTITIES, { version: 10, items });
    await start();
    expect(cluster.objects.servesPeerAuthentication()).toBe(true);
    await push(POLICIES, "ADDED", { ...objectOf("default", 11), spec: {} });
    expect(announced()).toEqual(["shop/payments"]);
    await push(POLICIES, "ADDED", { ...objectOf("default", 12, { namespace: "istio-system" }), spec: {} });
    expect(announced().toSorted()).toEqual(["bank/far", "shop/payments"]);
  });

  it("knows the policies of the mesh's root namespace where it serves other namespaces only", async () => {
    const policies = (namespace: string): string => collectionPath(PEER_AUTHENTICATIONS, namespace);
    const whole = objectOf("default", 2, { namespace: "istio-system" });
    client.lists.set(policies("istio-system"), { version: 2, items: [whole] });
    await start(["shop", "orders"]);
    expect(cluster.objects.peerAuthentications("istio-system")).toHaveLength(1);
    const asked = client.requests
      .map(({ path }) => path)
      .filter((path) => path.includes("peerauthentications"));
    expect(asked.sort()).toEqual(["istio-system", "orders", "shop"].map(policies));
  });

  it("asks for no Secret but those that carry meshid's label, and for no signing key at all", async () => {
    await start();
    const asked = client.requests.filter(({ path }) => path.endsWith("/secrets"));
    expect(
      asked.map(({ path, query }) => [path, query?.["labelSelector"], query?.["fieldSelector"]]),
    ).toEqual([
      ["/api/v1/secrets", "app.kubernetes.io/managed-by=meshid", "metadata.namespace!=meshid-system"],
      [
        "/api/v1/namespaces/meshid-system/secrets",
        "app.kubernetes.io/managed-by=meshid,!meshid.dev/key",
        undefined,
      ],
    ]);
    const metadata = client.requests.filter(({ accept }) => accept?.includes("PartialObjectMetadataList"));
    expect(metadata.map(({ path }) => path).toSorted()).toEqual([
      "/api/v1/namespaces",
      "/api/v1/serviceaccounts",
    ]);
    expect(client.requests.find(({ path }) => path === collectionPath(CONFIG_MAPS))?.query).toMatchObject({
      labelSelector: "app.kubernetes.io/managed-by=meshid",
    });
  });

  it("reads no Secret that a spec refers to once it is told to stop", async () => {
    await start();
    const read = (signal: AbortSignal): ReturnType<Cluster["secretValue"]> =>
      cluster.secretValue("shop", "p12", "password", signal);
    expect(await read(stop.signal)).toBeUndefined();
    expect(await codeOf(read(AbortSignal.abort()))).toBe("ABORTED");
  });

  it("hands over the operator's own Secrets, the newest state once, and tells when one is gone", async () => {
    const path = collectionPath(SECRETS, "meshid-system");
    const journal = (version: number, key: string): KubeObject => ({
      ...objectOf("meshid-authority", version, { namespace: "meshid-system" }),
      data: { [key]: "" },
    });
    client.lists.set(path, { version: 10, items: [journal(5, "first")] });
    await start();
    await push(path, "MODIFIED", journal(12, "second"));
    await push(path, "MODIFIED", journal(11, "late"));
    await push(path, "DELETED", journal(13, "second"));
    expect(operatorSecrets).toEqual([
      "meshid-authority first",
      "meshid-authority second",
      "meshid-authority gone",
    ]);
    expect(cluster.objects.secret("meshid-system", "meshid-authority")).toBeUndefined();
  });
});
