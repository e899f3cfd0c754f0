import { beforeAll, beforeEach, expect, it } from "@jest/globals";
import { milliseconds } from "../../../src/core/brand.ts";
import { type Clock, systemClock } from "../../../src/core/clock.ts";
import { systemRandom } from "../../../src/core/random.ts";
import { KubeEventRecorder } from "../../../src/kubernetes/event-recorder.ts";
import type { KubeList, KubeObject } from "../../../src/kubernetes/objects.ts";
import { collectionPath, EVENTS, objectPath } from "../../../src/kubernetes/resources.ts";
import { controlPlane, describeCluster } from "../../support/control-plane/shared.ts";
import type { ControlPlane } from "../../support/control-plane/types.ts";
import { handsOf } from "../../support/kubernetes/cluster-harness.ts";
import { asAdmin } from "../../support/kubernetes/connected.ts";
import { SpiedClient } from "../../support/kubernetes/spied.ts";

type Recorded = Parameters<KubeEventRecorder["record"]>[0];

interface KubeEvent extends KubeObject {
  readonly type: string;
  readonly reason: string;
  readonly note: string;
  readonly action: string;
  readonly eventTime: string;
  readonly reportingController: string;
  readonly reportingInstance: string;
  readonly series?: { readonly count: number; readonly lastObservedTime: string };
  readonly regarding: Readonly<Record<string, string>>;
}

describeCluster("the event recorder", () => {
  let plane: ControlPlane;
  let namespace: string;
  beforeAll(async () => {
    plane = await controlPlane();
    await plane.installCrds();
  });
  beforeEach(async () => {
    namespace = await plane.makeNamespace();
  });

  const eventsIn = async (at: string): Promise<readonly KubeEvent[]> => {
    const { body } = await plane.request({ method: "GET", path: collectionPath(EVENTS, at) });
    return ((body as KubeList).items ?? []).filter(
      (one) => (one as KubeEvent).reportingController === "meshid.dev/controller",
    ) as KubeEvent[];
  };
  const issued = (message = "the certificate was issued"): Recorded => ({
    regarding: { kind: "ServiceIdentity", namespace, name: "payments" },
    type: "Normal",
    reason: "Issued",
    message,
  });

  it("writes an event that kubectl shows with its object", async () => {
    const { uid } = (await handsOf(plane).putIdentity(namespace, "payments")).metadata;
    await using one = await start(plane, () => uid);
    one.recorder.record(issued());
    await one.idle(1);
    const [event] = await eventsIn(namespace);
    expect(event).toMatchObject({
      type: "Normal",
      reason: "Issued",
      note: "the certificate was issued",
      action: "Reconcile",
      reportingInstance: "meshid-0_1",
      regarding: {
        apiVersion: "meshid.dev/v1alpha1",
        kind: "ServiceIdentity",
        namespace,
        name: "payments",
        uid,
      },
    });
    const events = await plane.kubectl(["events", "-n", namespace, "--for", "si/payments"]);
    expect(events.stdout).toContain("the certificate was issued");
    expect(one.errors).toEqual([]);
  });

  it("counts what is repeated in the one that is there, and writes the count every half minute at most", async () => {
    await using one = await start(plane, () => "uid-1");
    for (let round = 0; round < 20; round++) one.recorder.record(issued());
    await one.idle(2);
    expect((await eventsIn(namespace)).map(({ series }) => series?.count)).toEqual([2]);
    one.wait(31_000);
    one.recorder.record(issued());
    await one.idle(3);
    expect((await eventsIn(namespace)).map(({ series }) => series?.count)).toEqual([21]);
    // Another message, another object, and the same after a long time: events of their own.
    one.recorder.record(issued("renewed"));
    one.wait(400_000);
    one.recorder.record(issued());
    await one.idle(5);
    expect(await eventsIn(namespace)).toHaveLength(3);
    expect(one.errors).toEqual([]);
  });

  it("begins anew where its event was deleted", async () => {
    await using one = await start(plane, () => "uid-1");
    one.recorder.record(issued());
    await one.idle(1);
    const [event] = await eventsIn(namespace);
    await plane.request({
      method: "DELETE",
      path: objectPath(EVENTS, { namespace, name: event?.metadata.name ?? "" }),
    });
    one.recorder.record(issued());
    await one.idle(3);
    expect(await eventsIn(namespace)).toHaveLength(1);
    expect(one.errors).toEqual([]);
  });

  it("puts an event of what has no namespace into default, and drops one of what is gone", async () => {
    await using one = await start(plane, ({ name }) => (name === "gone" ? undefined : "uid-td"));
    const name = `${namespace}.example`;
    const waiting = { type: "Warning", reason: "DeletionBlocked", message: "in use" } as const;
    one.recorder.record({ regarding: { kind: "TrustDomain", name: "gone" }, ...waiting });
    one.recorder.record({ regarding: { kind: "TrustDomain", name }, ...waiting });
    await one.idle(1);
    const events = (await eventsIn("default")).filter(({ regarding }) => regarding["name"] === name);
    expect(events).toMatchObject([{ type: "Warning", regarding: { kind: "TrustDomain", uid: "uid-td" } }]);
  });

  it.each([
    ["a message of any length and language", "payments", "ключ ".repeat(400)],
    ["a name of any length", `${"a".repeat(229)}-${"b".repeat(20)}`, "issued"],
  ])("takes %s", async (_, name, message) => {
    await using one = await start(plane, () => "uid-1");
    one.recorder.record({ ...issued(message), regarding: { kind: "ServiceIdentity", namespace, name } });
    await one.idle(1);
    expect(one.errors).toEqual([]);
    const [event] = await eventsIn(namespace);
    expect(event?.note).toMatch(/^(issued|(ключ )+к?л?ю?…)$/);
  });

  it("goes on after an event that cannot be written", async () => {
    await using one = await start(plane, () => "uid-1");
    one.recorder.record({ ...issued(), reason: "x".repeat(200) });
    one.recorder.record(issued());
    await one.idle(2);
    expect(one.errors).toHaveLength(1);
    expect(await eventsIn(namespace)).toHaveLength(1);
  });
});

interface Started extends AsyncDisposable {
  readonly recorder: KubeEventRecorder;
  readonly errors: readonly unknown[];
  /** Resolves when so many requests are answered and no more follow. */
  idle(requests: number): Promise<void>;
  wait(length: number): void;
}

async function start(
  plane: ControlPlane,
  uidOf: (regarding: Recorded["regarding"]) => string | undefined,
): Promise<Started> {
  const admin = await asAdmin(plane);
  const client = new SpiedClient(admin.client);
  const errors: unknown[] = [];
  let passed = 0;
  const clock: Clock = {
    ...systemClock,
    monotonic: () => milliseconds(systemClock.monotonic() + passed),
  };
  const recorder = new KubeEventRecorder({
    client,
    clock,
    random: systemRandom,
    instance: "meshid-0_1",
    uidOf,
    onError: (error) => errors.push(error),
  });
  const stop = new AbortController();
  const running = recorder.run(stop.signal);
  return {
    recorder,
    errors,
    idle: async (requests) => {
      for (let quiet = 0; quiet < 10; ) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        quiet = client.asked.length >= requests && client.underWay === 0 ? quiet + 1 : 0;
      }
      expect(client.asked).toHaveLength(requests);
    },
    wait: (length) => {
      passed += length;
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
      admin[Symbol.dispose]();
    },
  };
}
