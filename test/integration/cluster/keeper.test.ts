import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "@jest/globals";
import type { EventRecorder } from "../../../src/controller/ports.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { OperatorError } from "../../../src/core/errors.ts";
import type { KubeObject } from "../../../src/kubernetes/objects.ts";
import { NAMESPACES, SERVICE_IDENTITIES, TRUST_DOMAINS } from "../../../src/kubernetes/resources.ts";
import { KubeStatusWriter } from "../../../src/kubernetes/status-writer.ts";
import { TrustDomainKeeper } from "../../../src/kubernetes/trust-domain-keeper.ts";
import { describeCluster } from "../../support/control-plane/shared.ts";
import { startControlPlane } from "../../support/control-plane/start.ts";
import type { OwnControlPlane } from "../../support/control-plane/types.ts";
import { NEVER } from "../../support/directory.ts";
import { codeOf } from "../../support/errors.ts";
import {
  eventually,
  type FollowedCluster,
  followCluster,
  type Hands,
  handsOf,
} from "../../support/kubernetes/cluster-harness.ts";

const NAME = "cluster.local";
const FINALIZER = "meshid.dev/trust-domain";
type Recorded = Parameters<EventRecorder["record"]>[0];

// A control plane of its own: the keeper looks at every TrustDomain that there is.
describeCluster("the TrustDomain's keeper", () => {
  let plane: OwnControlPlane;
  let hands: Hands;
  let followed: FollowedCluster;
  let events: Recorded[];
  let keeper: TrustDomainKeeper;

  beforeAll(async () => {
    plane = await startControlPlane();
    hands = handsOf(plane);
    await plane.installCrds();
    await hands.put(NAMESPACES, { name: "shop" }, {});
  });
  afterAll(() => plane.stop());

  beforeEach(async () => {
    events = [];
    followed = await followCluster(plane, {
      domain: NAME,
      operatorNamespace: "default",
      watchNamespaces: ["shop"],
    });
    keeper = keeperOf(() => {});
    followed.client.asked.length = 0;
  });
  afterEach(async () => {
    await followed[Symbol.asyncDispose]();
    for (const name of [NAME, "other.example"]) {
      if ((await domain(name)) === undefined) continue;
      await hands.edit(TRUST_DOMAINS, { name }, { metadata: { finalizers: null } });
      await hands.remove(TRUST_DOMAINS, { name }).catch(() => {});
    }
  });

  const keeperOf = (fence: () => void): TrustDomainKeeper => {
    const { client, cluster } = followed;
    return new TrustDomainKeeper({
      client,
      cluster,
      status: new KubeStatusWriter({ client, cluster, fence }),
      events: { record: (event) => events.push(event) },
      clock: systemClock,
      fence,
      name: NAME,
      spec: { jwt: { issuer: "https://meshid.example.org" } },
    });
  };
  const domain = (name = NAME): Promise<KubeObject | undefined> => hands.get(TRUST_DOMAINS, undefined, name);
  const writes = (): readonly string[] =>
    followed.client.writes.map(({ method, path }) => `${method} ${path.split("/v1alpha1/")[1]}`);

  it("makes the served TrustDomain where there is none, guards it, and then writes nothing more", async () => {
    await keeper.keep(NEVER);
    expect(await domain()).toMatchObject({
      metadata: { finalizers: [FINALIZER] },
      spec: { jwt: { issuer: "https://meshid.example.org" } },
    });
    for (let round = 0; round < 5; round++) await keeper.keep(NEVER);
    expect(writes()).toEqual(["POST trustdomains", `PATCH trustdomains/${NAME}`]);
    // Another process, another term.
    await keeperOf(() => {}).keep(NEVER);
    expect(writes()).toHaveLength(2);
  });

  it("never changes a spec that is there, and takes up one that another made at the same time", async () => {
    const spec = { jwt: { issuer: "https://theirs.example.org" } };
    followed.client.before = async ({ method }) => {
      followed.client.before = () => {};
      if (method === "POST") await hands.putTrustDomain(NAME, spec);
    };
    await keeper.keep(NEVER);
    expect(followed.cluster.trustDomain().spec).toMatchObject(spec);
    expect(await domain()).toMatchObject({ spec, metadata: { finalizers: [FINALIZER] } });
  });

  it("puts its finalizer back beside those of others", async () => {
    await keeper.keep(NEVER);
    await hands.edit(TRUST_DOMAINS, { name: NAME }, { metadata: { finalizers: ["example.org/theirs"] } });
    await eventually(
      "seen",
      () => [...followed.cluster.trustDomains()][0]?.finalizers.join() === "example.org/theirs",
    );
    await eventually("announced", () => followed.changes.trustDomain > 0);
    await keeper.keep(NEVER);
    const finalizers = (await domain())?.metadata.finalizers ?? [];
    expect(finalizers.toSorted()).toEqual(["example.org/theirs", FINALIZER]);
  });

  it("holds a TrustDomain that is to be deleted as long as an identity lives by it, and says so once", async () => {
    await keeper.keep(NEVER);
    await hands.putIdentity("shop", "payments");
    await eventually("identity", () => followed.cluster.identity("shop/payments") !== undefined);
    await hands.remove(TRUST_DOMAINS, { name: NAME });
    await eventually("deletion", () => [...followed.cluster.trustDomains()][0]?.isDeleted === true);
    for (let round = 0; round < 3; round++) await keeper.keep(NEVER);
    expect(events).toMatchObject([
      { regarding: { kind: "TrustDomain", name: NAME }, type: "Warning", reason: "DeletionBlocked" },
    ]);
    expect(await domain()).toBeDefined();
    await hands.remove(SERVICE_IDENTITIES, { namespace: "shop", name: "payments" });
    await eventually("no identity", () => followed.cluster.identity("shop/payments") === undefined);
    await keeper.keep(NEVER);
    await eventually("gone", () => !followed.cluster.hasTrustDomain);
    expect(await domain()).toBeUndefined();
  });

  it("says of another TrustDomain that it is not served, once, and leaves it otherwise as it is", async () => {
    await hands.putTrustDomain("other.example");
    await eventually("seen", () => [...followed.cluster.trustDomains()].length === 1);
    for (let round = 0; round < 3; round++) await keeper.keep(NEVER);
    const other = await domain("other.example");
    expect(other).toMatchObject({
      metadata: { generation: 1 },
      status: {
        conditions: [{ type: "Ready", status: "False", reason: "NotServed", observedGeneration: 1 }],
      },
    });
    expect(other?.metadata.finalizers).toBeUndefined();
    expect(writes().filter((write) => write.includes("other.example"))).toEqual([
      "PATCH trustdomains/other.example/status",
    ]);
  });

  it("writes nothing once the fence is closed", async () => {
    const late = keeperOf(() => {
      throw new OperatorError("ABORTED", "this process no longer holds the lease");
    });
    expect(await codeOf(late.keep(NEVER))).toBe("ABORTED");
    expect(await domain()).toBeUndefined();
  });
});
