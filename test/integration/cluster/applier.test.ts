import { inspect } from "node:util";
import { afterEach, beforeAll, beforeEach, expect, it } from "@jest/globals";
import { OperatorError } from "../../../src/core/errors.ts";
import { Secret } from "../../../src/core/secret.ts";
import { KubeApplier } from "../../../src/kubernetes/applier.ts";
import type { KubeObject } from "../../../src/kubernetes/objects.ts";
import { ObservedObjects } from "../../../src/kubernetes/observed-objects.ts";
import {
  CONFIG_MAPS,
  PEER_AUTHENTICATIONS,
  type Resource,
  SECRETS,
} from "../../../src/kubernetes/resources.ts";
import type { Manifest } from "../../../src/reconcile/manifests/manifest.ts";
import type { ObjectRef } from "../../../src/reconcile/state.ts";
import { controlPlane, describeCluster } from "../../support/control-plane/shared.ts";
import type { ControlPlane } from "../../support/control-plane/types.ts";
import { NEVER, secretOf } from "../../support/directory.ts";
import { codeOf } from "../../support/errors.ts";
import {
  contentOf,
  eventually,
  type FollowedCluster,
  followCluster,
  type Hands,
  handsOf,
} from "../../support/kubernetes/cluster-harness.ts";
import { byKubeconfig, connected } from "../../support/kubernetes/connected.ts";
import { installPeerAuthentication } from "../../support/kubernetes/peer-authentication-crd.ts";

const PAIR = { "tls.crt": "crt-1", "tls.key": "key-1" } as const;
/** Not the default name, for which another's controller might ask. */
const NAME = "written";

describeCluster("the applier", () => {
  let plane: ControlPlane;
  let hands: Hands;
  let namespace: string;
  let followed: FollowedCluster;
  let applier: KubeApplier;
  let uid: string;
  let ref: ObjectRef & { readonly kind: "Secret" };

  beforeAll(async () => {
    plane = await controlPlane();
    hands = handsOf(plane);
    await Promise.all([plane.installCrds(), installPeerAuthentication(plane)]);
  });

  beforeEach(async () => {
    namespace = await plane.makeNamespace();
    ref = { kind: "Secret", namespace, name: NAME };
    followed = await followCluster(plane, {
      domain: `${namespace}.example`,
      operatorNamespace: "default",
      watchNamespaces: [namespace],
    });
    applier = applierOf(followed.cluster.objects);
    uid = (await hands.putIdentity(namespace, "payments")).metadata.uid;
    followed.client.asked.length = 0;
  });
  afterEach(async () => {
    await followed[Symbol.asyncDispose]();
  });

  const applierOf = (objects: ObservedObjects, fence = (): void => {}): KubeApplier =>
    new KubeApplier({ client: followed.client, objects, fence });
  const stored = async (resource: Resource = SECRETS, name = NAME): Promise<KubeObject> => {
    const found = await hands.get(resource, namespace, name);
    if (found === undefined) throw new Error(`no ${resource.kind} ${name}`);
    return found;
  };
  const asked = (): readonly string[] =>
    followed.client.asked
      .filter(({ isWatch }) => !isWatch)
      .map(({ method, query }) => (query["force"] === "true" ? `${method} forced` : method));
  const owner = (one: { readonly uid?: string; readonly controller?: boolean } = {}) => ({
    apiVersion: "meshid.dev/v1alpha1",
    kind: "ServiceIdentity",
    name: "payments",
    uid: one.uid ?? uid,
    controller: one.controller ?? true,
  });
  const base64 = (text: string): string => Buffer.from(text).toString("base64");

  it("creates with one request that is not forced, as field manager meshid, owned by this very object", async () => {
    await applier.apply(secretOf(uid, PAIR, ref), NEVER);
    expect(asked()).toEqual(["PATCH"]);
    const { metadata, ...rest } = await stored();
    expect(metadata).toMatchObject({
      labels: { "app.kubernetes.io/managed-by": "meshid" },
      ownerReferences: [owner()],
      managedFields: [{ manager: "meshid", operation: "Apply" }],
    });
    expect(rest["type"]).toBe("kubernetes.io/tls");
    await eventually("the echo", () => followed.cluster.objects.uidOf(ref) === metadata.uid);
  });

  it("replaces with one request, and says the same again without a change of the object", async () => {
    await applier.apply(secretOf(uid, PAIR, ref), NEVER);
    const first = await stored();
    await applier.apply(secretOf(uid, PAIR, ref), NEVER);
    expect((await stored()).metadata.resourceVersion).toBe(first.metadata.resourceVersion);
    await applier.apply(secretOf(uid, { ...PAIR, "ca.crt": "ca" }, ref), NEVER);
    expect(contentOf(await stored())).toEqual({ ...PAIR, "ca.crt": "ca" });
    expect(asked()).toEqual(["PATCH", "PATCH forced", "PATCH forced"]);
  });

  it.each([
    ["without an owner", () => ({})],
    ["with our label and no owner", () => ({ labels: { "app.kubernetes.io/managed-by": "meshid" } })],
    ["of which we are not the controller", () => ({ ownerReferences: [owner({ controller: false })] })],
  ])("leaves a Secret %s as it is, whether it has been seen or not", async (_, metadata) => {
    // Nothing in it that server-side apply itself would take for a conflict.
    await hands.put(SECRETS, ref, { metadata: metadata(), data: { theirs: base64("theirs") } });
    const before = await stored();
    const ours = secretOf(uid, { "a.jwt": "ours" }, ref);
    expect(await codeOf(applier.apply(ours, NEVER))).toBe("NOT_OWNED");
    const unaware = applierOf(new ObservedObjects());
    expect(await codeOf(unaware.apply(ours, NEVER))).toBe("NOT_OWNED");
    expect(await stored()).toEqual(before);
    expect(asked()).not.toContain("PATCH forced");
  });

  it("leaves the Secret of an owner of the same name and another uid as it is", async () => {
    await applier.apply(secretOf(uid, PAIR, ref), NEVER);
    const before = await stored();
    const other = "00000000-0000-4000-8000-000000000000";
    for (const objects of [followed.cluster.objects, new ObservedObjects()]) {
      const attempt = applierOf(objects).apply(secretOf(other, { ...PAIR, "tls.key": "stolen" }, ref), NEVER);
      expect(await codeOf(attempt)).toBe("NOT_OWNED");
    }
    expect(await stored()).toEqual(before);
  });

  it.each([
    ["ConfigMap", CONFIG_MAPS, { data: { theirs: "theirs" } }, { data: { "ca.crt": "ours" } }],
    ["PeerAuthentication", PEER_AUTHENTICATIONS, { spec: {} }, { spec: { mtls: { mode: "STRICT" } } }],
  ] as const)("leaves a %s that is not ours as it is", async (kind, resource, theirs, ours) => {
    await hands.put(resource, { namespace, name: NAME }, theirs);
    const before = await stored(resource);
    const manifest = {
      kind,
      ref: { kind, namespace, name: NAME },
      owner: { kind: "ServiceIdentity", name: "payments", uid },
      annotations: {},
      ...ours,
    } as Manifest;
    const unaware = applierOf(new ObservedObjects());
    expect(await codeOf(unaware.apply(manifest, NEVER))).toBe("NOT_OWNED");
    expect(await stored(resource)).toEqual(before);
  });

  it("never touches an object that a stranger put in the place of ours", async () => {
    const stale = new ObservedObjects();
    await applierOf(stale).apply(secretOf(uid, PAIR, ref), NEVER);
    await hands.remove(SECRETS, ref);
    await hands.put(SECRETS, ref, { data: { "tls.key": base64("theirs") } });
    const before = await stored();
    // What it knows is the object that was there before.
    expect(await codeOf(applierOf(stale).apply(secretOf(uid, PAIR, ref), NEVER))).toBe("NOT_OWNED");
    const memory = new ObservedObjects();
    memory.set("Secret", {
      ...before,
      metadata: { ...before.metadata, uid: "an-earlier-one", ownerReferences: [owner()] },
    });
    await applierOf(memory).prune(ref, uid, NEVER);
    expect(await stored()).toEqual(before);
  });

  it("takes back an object of ours that lost its label, or was made anew", async () => {
    await applier.apply(secretOf(uid, PAIR, ref), NEVER);
    await hands.edit(SECRETS, ref, { metadata: { labels: { "app.kubernetes.io/managed-by": "someone" } } });
    await eventually("out of sight", () => followed.cluster.objects.uidOf(ref) === undefined);
    followed.client.asked.length = 0;
    await applier.apply(secretOf(uid, { ...PAIR, "tls.key": "key-2" }, ref), NEVER);
    expect(asked()).toEqual(["PATCH", "GET", "PATCH forced"]);
    expect((await stored()).metadata.labels).toEqual({ "app.kubernetes.io/managed-by": "meshid" });

    const stale = new ObservedObjects();
    stale.set("Secret", await stored());
    await hands.remove(SECRETS, ref);
    await applierOf(stale).apply(secretOf(uid, PAIR, ref), NEVER);
    expect(contentOf(await stored())).toEqual(PAIR);
  });

  it("sets right what someone edited, and leaves a key that someone added", async () => {
    await applier.apply(secretOf(uid, PAIR, ref), NEVER);
    const before = followed.cluster.objects.secret(namespace, NAME)?.hashes;
    followed.changes.identities.length = 0;
    await hands.edit(SECRETS, ref, { data: { "tls.key": base64("edited"), note: base64("mine") } });
    await eventually("announced", () => {
      const hashes = followed.cluster.objects.secret(namespace, NAME)?.hashes;
      return hashes?.["tls.key"] !== before?.["tls.key"] && followed.changes.identities.length > 0;
    });
    await applier.apply(secretOf(uid, PAIR, ref), NEVER);
    expect(contentOf(await stored())).toEqual({ ...PAIR, note: "mine" });
    expect(followed.cluster.objects.secret(namespace, NAME)?.hashes).toMatchObject(before ?? {});
  });

  it("announces an edit that came just before a write of its own", async () => {
    await applier.apply(secretOf(uid, PAIR, ref), NEVER);
    await eventually("the echo", () => followed.changes.identities.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 100));
    followed.changes.identities.length = 0;
    await Promise.all([
      hands.edit(SECRETS, ref, { data: { note: base64("mine") } }),
      applier.apply(secretOf(uid, { ...PAIR, "tls.key": "key-2" }, ref), NEVER),
    ]);
    await eventually("announced", () => followed.changes.identities.includes(`${namespace}/payments`));
  });

  it("amends against the object that it has read: what changed meanwhile is a conflict", async () => {
    await applier.apply(secretOf(uid, PAIR, ref), NEVER);
    followed.client.before = async ({ method }) => {
      if (method !== "PATCH") return;
      followed.client.before = () => {};
      await hands.edit(SECRETS, ref, { data: { "tls.key": base64("key-2") } });
    };
    const set = new Secret({ "ca.crt": Buffer.from("ca-2") });
    const change = { ref, ownerUid: uid, set, remove: [], annotations: {} };
    await expect(applier.amend(change, NEVER)).rejects.toMatchObject({ code: "CONFLICT", retryable: true });
    expect(contentOf(await stored())).toEqual({ ...PAIR, "tls.key": "key-2" });
    await applier.amend(change, NEVER);
    expect(contentOf(await stored())).toEqual({ ...PAIR, "tls.key": "key-2", "ca.crt": "ca-2" });
    expect(followed.client.asked.filter(({ method }) => method === "PATCH")).toHaveLength(3);
  });

  it("says what the API server refuses for good: quota, immutability, rights, a namespace that ends", async () => {
    await applier.apply(secretOf(uid, PAIR, ref), NEVER);
    await hands.edit(SECRETS, ref, { immutable: true });
    const next = secretOf(uid, { ...PAIR, "tls.key": "never to be printed" }, ref);
    const immutable = await refusalOf(applier.apply(next, NEVER));
    expect(immutable.message).toContain("immutable");

    const quota = { apiVersion: "v1", kind: "ResourceQuota", plural: "resourcequotas", isNamespaced: true };
    await hands.put(quota, { namespace, name: "none" }, { spec: { hard: { "count/secrets": "1" } } });
    await untilUsed(quota);
    const second = secretOf(uid, { ...PAIR, "tls.key": "never to be printed" }, { ...ref, name: "second" });
    const full = await refusalOf(applier.apply(second, NEVER));
    expect(full.message).toContain("exceeded quota");

    using nobody = connected(await byKubeconfig(await plane.userKubeconfig("nobody")));
    const objects = new ObservedObjects();
    const powerless = new KubeApplier({ client: nobody.client, objects, fence: () => {} });
    const forbidden = await refusalOf(powerless.apply(next, NEVER));
    expect(forbidden.message).toContain("cannot patch resource");

    await plane.request({ method: "DELETE", path: `/api/v1/namespaces/${namespace}` });
    const ending = await refusalOf(applier.apply({ ...second, kind: "Secret" }, NEVER));
    expect(ending.message).toMatch(/exceeded quota|because it is being terminated/);
    for (const error of [immutable, full, forbidden, ending])
      expect(inspect(error, { depth: 9 })).not.toContain("never to be printed");
  });

  const refusalOf = async (attempt: Promise<unknown>): Promise<OperatorError> => {
    const error = await attempt.then(
      () => undefined,
      (caught: unknown) => caught,
    );
    expect(error).toBeInstanceOf(OperatorError);
    expect(error).toMatchObject({ code: "WRITE_REFUSED", retryable: true });
    return error as OperatorError;
  };
  const untilUsed = async (quota: Resource): Promise<void> => {
    for (let round = 0; round < 1200; round++) {
      const { status } = await stored(quota, "none");
      const used = (status as { readonly used?: Record<string, string> } | undefined)?.used;
      if (used?.["count/secrets"] === "1") return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error("the quota is not counted");
  };

  it("writes nothing once the fence is closed", async () => {
    await applier.apply(secretOf(uid, PAIR, ref), NEVER);
    const before = await stored();
    const fenced = applierOf(followed.cluster.objects, () => {
      throw new OperatorError("ABORTED", "this process no longer holds the lease");
    });
    const set = new Secret({ "ca.crt": Buffer.from("ca-2") });
    const attempts = [
      fenced.apply(secretOf(uid, { ...PAIR, "tls.key": "late" }, ref), NEVER),
      fenced.amend({ ref, ownerUid: uid, set, remove: [], annotations: {} }, NEVER),
      fenced.prune(ref, uid, NEVER),
    ];
    expect(await Promise.all(attempts.map(codeOf))).toEqual(["ABORTED", "ABORTED", "ABORTED"]);
    expect(await stored()).toEqual(before);
  });
});
