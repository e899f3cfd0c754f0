import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inspect, promisify } from "node:util";
import { beforeAll, beforeEach, expect, it } from "@jest/globals";
import { OperatorError } from "../../../src/core/errors.ts";
import { Secret } from "../../../src/core/secret.ts";
import { SecretJournalStore, secretKeyStore } from "../../../src/kubernetes/authority-stores.ts";
import type { KubeObject } from "../../../src/kubernetes/objects.ts";
import { SECRETS } from "../../../src/kubernetes/resources.ts";
import { writeServerSecret } from "../../../src/kubernetes/server-secret.ts";
import type { KeyId } from "../../../src/x509/keys.ts";
import { journalOf } from "../../support/authority-fakes.ts";
import { controlPlane, describeCluster } from "../../support/control-plane/shared.ts";
import type { ControlPlane } from "../../support/control-plane/types.ts";
import { NEVER, scratch } from "../../support/directory.ts";
import { codeOf } from "../../support/errors.ts";
import {
  contentOf,
  eventually,
  followCluster,
  type Hands,
  handsOf,
} from "../../support/kubernetes/cluster-harness.ts";
import { asAdmin, type Connected, tokenOf } from "../../support/kubernetes/connected.ts";
import { startRelay } from "../../support/kubernetes/relay.ts";

const KEY = "ab".repeat(20) as KeyId;
const PEM = "-----BEGIN PRIVATE KEY-----\nnever shown\n-----END PRIVATE KEY-----\n";

describeCluster("the authority's stores", () => {
  let plane: ControlPlane;
  let hands: Hands;
  let namespace: string;
  beforeAll(async () => {
    plane = await controlPlane();
    hands = handsOf(plane);
    await plane.installCrds();
  });
  beforeEach(async () => {
    namespace = await plane.makeNamespace();
  });

  const optionsOf = ({ client }: Connected, fence = (): void => {}) => ({
    client,
    namespace,
    fence,
    hasEvidence: () => false,
    signal: NEVER,
  });
  const stored = (name: string): Promise<KubeObject | undefined> => hands.get(SECRETS, namespace, name);

  it("lets one of two replicas through that both saw the same journal, at any pace", async () => {
    using one = await asAdmin(plane);
    using other = await asAdmin(plane);
    const stores = [
      new SecretJournalStore(optionsOf(one)),
      new SecretJournalStore(optionsOf(other)),
    ] as const;
    await stores[0].save(journalOf({ revision: 1 }), undefined);
    for (let revision = 1; revision <= 10; revision++) {
      await Promise.all(stores.map((store) => store.read()));
      const ends = await Promise.all(
        stores.map((store, index) =>
          codeOf(store.save(journalOf({ revision: revision + 1, epoch: index + 1 }), revision)),
        ),
      );
      expect(ends.toSorted()).toEqual(["CONFLICT", "accepted"]);
      const winner = ends.indexOf("accepted");
      expect(await stores[1 - winner]?.read()).toMatchObject({ revision: revision + 1, epoch: winner + 1 });
    }
  });

  it("lets one of two through that both begin, and neither over a Secret that is there", async () => {
    using one = await asAdmin(plane);
    using other = await asAdmin(plane);
    const begin = [one, other].map((each) => new SecretJournalStore(optionsOf(each)));
    const ends = await Promise.all(
      begin.map((store) => codeOf(store.save(journalOf({ revision: 1 }), undefined))),
    );
    expect(ends.toSorted()).toEqual(["CONFLICT", "accepted"]);
    const late = new SecretJournalStore(optionsOf(one));
    expect(await codeOf(late.save(journalOf({ revision: 1, epoch: 9 }), undefined))).toBe("CONFLICT");
    expect((await late.read())?.epoch).not.toBe(9);
  });

  it("never saves over what someone else has put there by hand", async () => {
    using one = await asAdmin(plane);
    const store = new SecretJournalStore(optionsOf(one));
    await store.save(journalOf({ revision: 1 }), undefined);
    await hands.edit(
      SECRETS,
      { namespace, name: "meshid-authority" },
      { metadata: { annotations: { note: "x" } } },
    );
    expect(await codeOf(store.save(journalOf({ revision: 2 }), 1))).toBe("CONFLICT");
    await store.save(journalOf({ revision: 2 }), 1);
    await hands.edit(SECRETS, { namespace, name: "meshid-authority" }, { data: { "journal.json": "e30=" } });
    expect(await codeOf(store.read())).toMatch(/^JOURNAL_/);
    await hands.remove(SECRETS, { namespace, name: "meshid-authority" });
    expect(await store.read()).toBeUndefined();
    expect(await codeOf(store.save(journalOf({ revision: 3 }), 2))).toBe("CONFLICT");
    expect(await stored("meshid-authority")).toBeUndefined();
  });

  it("does not know what is stored when the answer was lost, and asks", async () => {
    await using relay = await startRelay(new URL(plane.server));
    using one = await asAdmin(plane, relay.port);
    const store = new SecretJournalStore(optionsOf(one));
    await store.save(journalOf({ revision: 1 }), undefined);
    relay.loseNext();
    // The request is repeated over another connection, and meets what it has written itself.
    expect(await codeOf(store.save(journalOf({ revision: 2 }), 1))).toBe("CONFLICT");
    expect((await store.read())?.revision).toBe(2);
    await store.save(journalOf({ revision: 3 }), 2);
  });

  it("keeps each key in a Secret that nobody can change", async () => {
    using one = await asAdmin(plane);
    const keys = secretKeyStore(optionsOf(one));
    await keys.put(KEY, new Secret(PEM));
    const secret = await stored(`meshid-key-${KEY}`);
    expect(secret).toMatchObject({
      immutable: true,
      metadata: { labels: { "app.kubernetes.io/managed-by": "meshid", "meshid.dev/key": "true" } },
    });
    const edit = hands.edit(
      SECRETS,
      { namespace, name: `meshid-key-${KEY}` },
      { data: { "key.pem": "eA==" } },
    );
    await expect(edit).rejects.toThrow("immutable");
    // Secrets of others in the namespace are no keys.
    await hands.put(SECRETS, { namespace, name: "meshid-key-short" }, {});
    expect(await keys.list()).toEqual([KEY]);
  });

  it("prints no key, whatever goes wrong", async () => {
    using one = await asAdmin(plane);
    const keys = secretKeyStore(optionsOf(one));
    await keys.put(KEY, new Secret("another"));
    const closed = secretKeyStore(
      optionsOf(one, () => {
        throw new OperatorError("ABORTED", "this process no longer holds the lease");
      }),
    );
    const attempts = [keys.put(KEY, new Secret(PEM)), closed.put("cd".repeat(20) as KeyId, new Secret(PEM))];
    const ends = await Promise.allSettled(attempts);
    expect(ends.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(inspect(ends, { depth: 12, showHidden: true })).not.toContain("never shown");
    expect(await keys.list()).toEqual([KEY]);
  });

  it("writes nothing once the fence is closed", async () => {
    using one = await asAdmin(plane);
    const open = optionsOf(one);
    const shut = optionsOf(one, () => {
      throw new OperatorError("ABORTED", "this process no longer holds the lease");
    });
    const store = new SecretJournalStore(open);
    await store.save(journalOf({ revision: 1 }), undefined);
    await secretKeyStore(open).put(KEY, new Secret(PEM));
    const late = new SecretJournalStore(shut);
    await late.read();
    const pair = { chain: "chain", key: new Secret(PEM), ca: "ca" };
    const attempts = [
      late.save(journalOf({ revision: 2 }), 1),
      secretKeyStore(shut).put("cd".repeat(20) as KeyId, new Secret(PEM)),
      secretKeyStore(shut).delete(KEY),
      writeServerSecret(shut, pair, NEVER),
    ];
    expect(await Promise.all(attempts.map(codeOf))).toEqual(["ABORTED", "ABORTED", "ABORTED", "ABORTED"]);
    expect((await store.read())?.revision).toBe(1);
    expect(await stored("meshid-server-tls")).toBeUndefined();
  });

  it("shows every replica the journal and the server's certificate, and no signing key to one that follows", async () => {
    using leader = await asAdmin(plane);
    const seen = new Map<string, string>();
    await using follower = await followCluster(plane, {
      domain: `${namespace}.example`,
      operatorNamespace: namespace,
      watchNamespaces: [namespace],
      onOperatorSecret: (name, content) => {
        if (content === undefined) seen.delete(name);
        else seen.set(name, Object.keys(content).toSorted().join());
      },
    });
    await secretKeyStore(optionsOf(leader)).put(KEY, new Secret(PEM));
    await new SecretJournalStore(optionsOf(leader)).save(journalOf({ revision: 1 }), undefined);
    const pair = { chain: "chain", key: new Secret("key"), ca: "ca" };
    await writeServerSecret(optionsOf(leader), pair, NEVER);
    await eventually("both", () => seen.size === 2);
    expect(Object.fromEntries(seen)).toEqual({
      "meshid-authority": "journal.json",
      "meshid-server-tls": "ca.crt,tls.crt,tls.key",
    });
    expect(contentOf((await stored("meshid-server-tls"))!)).toEqual({
      "tls.crt": "chain",
      "tls.key": "key",
      "ca.crt": "ca",
    });
    expect([...follower.cluster.objects.secrets()]).toEqual([]);
    expect(follower.client.asked.filter(({ path }) => path.includes("meshid-key-"))).toEqual([]);
    await hands.remove(SECRETS, { namespace, name: "meshid-server-tls" });
    await eventually("gone", () => seen.size === 1);
  });

  it("keeps in the memory of a replica no Secret data of others, no signing key and no workload's key", async () => {
    const shop = await plane.makeNamespace();
    const marker = (name: string): string => `${name}-${namespace}-marker`;
    const managed = { "app.kubernetes.io/managed-by": "meshid" };
    const put = (at: string, name: string, metadata: object): Promise<KubeObject> =>
      hands.put(SECRETS, { namespace: at, name }, { metadata, stringData: { "tls.key": marker(name) } });
    const { uid } = (await hands.putIdentity(shop, "payments")).metadata;
    const owner = {
      apiVersion: "meshid.dev/v1alpha1",
      kind: "ServiceIdentity",
      name: "payments",
      uid,
      controller: true,
    };
    await put(shop, "theirs", {});
    await put(shop, "labelled", { labels: managed, annotations: { note: marker("note") } });
    await put(shop, "ours", {
      labels: managed,
      annotations: { "meshid.dev/revision": marker("revision") },
      ownerReferences: [owner],
    });
    await put(namespace, `meshid-key-${KEY}`, { labels: { ...managed, "meshid.dev/key": "true" } });
    const heap = await memoryOfReplica(plane, namespace);
    // What it does keep is found: the search is no blind one.
    expect(heap).toContain(marker("revision"));
    for (const name of ["theirs", "labelled", "ours", "note", `meshid-key-${KEY}`]) {
      expect(heap).not.toContain(marker(name));
      expect(heap).not.toContain(Buffer.from(marker(name)).toString("base64").slice(0, 20));
    }
  });
});

/** A heap snapshot of a process that follows the whole cluster. */
async function memoryOfReplica(plane: ControlPlane, namespace: string): Promise<string> {
  using box = scratch();
  const roleRef = { kind: "ClusterRole", name: "cluster-admin", apiGroup: "rbac.authorization.k8s.io" };
  const subjects = [{ kind: "ServiceAccount", namespace, name: "default" }];
  const group = "rbac.authorization.k8s.io/v1";
  const binding = {
    apiVersion: group,
    kind: "ClusterRoleBinding",
    metadata: { name: namespace },
    subjects,
    roleRef,
  };
  await plane.request({ method: "POST", path: `/apis/${group}/clusterrolebindings`, body: binding });
  const files = { "ca.crt": plane.ca, namespace, token: await tokenOf(plane, namespace) };
  for (const [name, text] of Object.entries(files)) await writeFile(join(box.dir, name), text);
  const snapshot = join(box.dir, "heap.json");
  const { hostname, port } = new URL(plane.server);
  const probe = fileURLToPath(new URL("../../support/kubernetes/heap-probe.ts", import.meta.url));
  const env = {
    ...process.env,
    NODE_OPTIONS: "",
    KUBERNETES_SERVICE_HOST: hostname,
    KUBERNETES_SERVICE_PORT: port,
  };
  const args = ["--disable-warning=ExperimentalWarning", probe, box.dir, namespace, snapshot];
  await promisify(execFile)(process.execPath, args, { env });
  return await readFile(snapshot, "utf8");
}
