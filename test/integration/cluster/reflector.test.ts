import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { systemRandom } from "../../../src/core/random.ts";
import type { KubeObject } from "../../../src/kubernetes/objects.ts";
import { keyOf } from "../../../src/kubernetes/objects.ts";
import { Reflector, type RelistReason } from "../../../src/kubernetes/reflector.ts";
import {
  CONFIG_MAPS,
  collectionPath,
  objectPath,
  PEER_AUTHENTICATIONS,
  type Resource,
} from "../../../src/kubernetes/resources.ts";
import { readDescription } from "../../support/control-plane/client.ts";
import { describeCluster } from "../../support/control-plane/shared.ts";
import { startControlPlane } from "../../support/control-plane/start.ts";
import type { OwnControlPlane } from "../../support/control-plane/types.ts";
import { asAdmin } from "../../support/kubernetes/connected.ts";
import { hurriedClock } from "../../support/kubernetes/hurried-clock.ts";
import { installPeerAuthentication } from "../../support/kubernetes/peer-authentication-crd.ts";
import { SpiedClient } from "../../support/kubernetes/spied.ts";

/** More than a page. */
const MANY = 260;

describeCluster("the reflector", () => {
  let plane: OwnControlPlane;
  beforeAll(async () => {
    // Without the watch cache etcd itself answers, and forgets what is compacted at once.
    plane = await startControlPlane({ flags: ["--watch-cache=false"] });
  });
  afterAll(() => plane.stop());

  const put = async (namespace: string, name: string, text = ""): Promise<void> => {
    const { status, body } = await plane.request({
      method: "PATCH",
      path: `${objectPath(CONFIG_MAPS, { namespace, name })}?fieldManager=test&force=true`,
      contentType: "application/apply-patch+yaml",
      body: { apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: { text } },
    });
    if (status >= 300) throw new Error(JSON.stringify(body));
  };
  const remove = (namespace: string, name: string) =>
    plane.request({ method: "DELETE", path: objectPath(CONFIG_MAPS, { namespace, name }) });
  /** Nothing that happened until now can be watched any more. */
  const compact = async (): Promise<void> => {
    const { body } = await plane.request({ method: "GET", path: "/api/v1/namespaces?limit=1" });
    const revision = (body as { readonly metadata: { readonly resourceVersion: string } }).metadata
      .resourceVersion;
    const [port] = readDescription(plane.dir).ports;
    const url = `http://127.0.0.1:${port}/v3/kv/compaction`;
    const answer = await fetch(url, { method: "POST", body: JSON.stringify({ revision, physical: true }) });
    if (!answer.ok) throw new Error(`compaction: ${answer.status} ${await answer.text()}`);
  };

  it("lists page by page what is more than one page, then watches from there, and lists no more", async () => {
    const namespace = await plane.makeNamespace();
    const names = Array.from({ length: MANY }, (_, index) => `many-${index}`);
    await inParallel(names, (name) => put(namespace, name));
    await using one = await follow(plane, { namespace });
    await one.reflector.synced;
    expect(one.names()).toEqual(["kube-root-ca.crt", ...names].toSorted());
    expect(one.client.reads).toHaveLength(2);
    await put(namespace, "many-7", "changed");
    await remove(namespace, "many-8");
    await put(namespace, "another");
    await until(
      () => one.texts.get("many-7") === "changed" && !one.texts.has("many-8") && one.texts.has("another"),
    );
    expect(one.client.reads).toHaveLength(2);
    expect(one.relists).toEqual(["Start"]);
    expect(one.errors).toEqual([]);
  });

  it("begins anew when the pages that are left are no longer to be had", async () => {
    const namespace = await plane.makeNamespace();
    await inParallel(
      Array.from({ length: MANY }, (_, index) => `many-${index}`),
      (name) => put(namespace, name),
    );
    let isCompacted = false;
    await using one = await follow(plane, { namespace }, (client) => {
      client.before = async ({ query }) => {
        if (query["continue"] === undefined || isCompacted) return;
        isCompacted = true;
        // Changed and gone after the first page: both must be seen.
        await put(namespace, "many-0", "changed");
        await remove(namespace, "many-1");
        await compact();
      };
    });
    await one.reflector.synced;
    expect(isCompacted).toBe(true);
    expect(one.client.reads).toHaveLength(4);
    expect(one.relists).toEqual(["Expired"]);
    expect(one.texts.get("many-0")).toBe("changed");
    expect(one.names()).toHaveLength(MANY);
    expect(one.errors).toEqual([]);
  });

  it("goes on from the last event when a watch ends or breaks, and loses nothing", async () => {
    const namespace = await plane.makeNamespace();
    await using one = await follow(plane, { namespace }, (client) => {
      client.query = (query, isWatch) => (isWatch ? { ...query, timeoutSeconds: "1" } : query);
    });
    await one.reflector.synced;
    let round = 0;
    for (; one.client.watches.length < 8; round++) {
      await put(namespace, `round-${round}`, "1");
      if (round % 8 === 3) one.client.breakWatches();
      await put(namespace, "same", String(round));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await until(() => one.texts.get("same") === String(round - 1));
    expect(one.names()).toHaveLength(round + 2);
    expect(one.client.reads).toHaveLength(1);
    expect(one.client.mostUnderWay).toBe(1);
  });

  it("lists anew when the server no longer knows what came after the last event", async () => {
    const namespace = await plane.makeNamespace();
    const elsewhere = await plane.makeNamespace();
    await put(namespace, "old");
    await put(namespace, "gone");
    await using one = await follow(plane, { namespace });
    await one.reflector.synced;
    await until(() => one.client.underWay === 1);
    const paused = one.pause();
    one.client.breakWatches();
    await paused.reached;
    await remove(namespace, "gone");
    await put(namespace, "new");
    await put(elsewhere, "other");
    await compact();
    paused.goOn();
    await until(() => one.texts.has("new"));
    expect(one.names()).toEqual(["kube-root-ca.crt", "new", "old"]);
    expect(one.relists).toEqual(["Start", "Expired"]);
    expect(one.client.reads).toHaveLength(2);
    expect(one.client.mostUnderWay).toBe(1);
  });

  it("is current soon after the server was killed and started again, with one list at most", async () => {
    const namespace = await plane.makeNamespace();
    await put(namespace, "before");
    await using one = await follow(plane, { namespace });
    await one.reflector.synced;
    await plane.kill();
    await until(() => one.errors.length > 2);
    await plane.restart();
    await put(namespace, "after");
    await until(() => one.texts.has("after"));
    expect(one.names()).toEqual(["after", "before", "kube-root-ca.crt"]);
    expect(one.client.reads.length).toBeLessThanOrEqual(2);
    expect(one.client.mostUnderWay).toBe(1);
    expect(one.isRunning).toBe(true);
  });

  it("takes up a kind that is installed later, and notices when it is gone again", async () => {
    const namespace = await plane.makeNamespace();
    await using one = await follow(plane, { namespace, resource: PEER_AUTHENTICATIONS });
    await one.reflector.synced;
    expect([one.isAbsent, one.relists]).toEqual([true, []]);
    await installPeerAuthentication(plane);
    const path = collectionPath(PEER_AUTHENTICATIONS, namespace);
    const { apiVersion, kind } = PEER_AUTHENTICATIONS;
    const body = { apiVersion, kind, metadata: { name: "payments" }, spec: {} };
    expect((await plane.request({ method: "POST", path, body })).status).toBe(201);
    await until(() => one.texts.has("payments"));
    expect([one.isAbsent, one.relists]).toEqual([false, ["Absent"]]);
    const crd = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/peerauthentications.security.istio.io`;
    await plane.request({ method: "DELETE", path: crd });
    await until(() => one.isAbsent);
    expect(one.names()).toEqual([]);
    expect(one.errors).toEqual([]);
  });

  it("goes on from a bookmark, so that a quiet collection is not listed again", async () => {
    const namespace = await plane.makeNamespace();
    const elsewhere = await plane.makeNamespace();
    await put(namespace, "quiet");
    await using one = await follow(plane, { namespace }, (client) => {
      client.before = ({ isWatch }) => (isWatch ? put(elsewhere, "other") : undefined);
      // The server sends a bookmark every minute or so; here one at once, at the end of what it sends first.
      const withBookmark = { sendInitialEvents: "true", resourceVersionMatch: "NotOlderThan" };
      client.query = (query, isWatch) => (isWatch ? { ...query, ...withBookmark } : query);
    });
    await until(() => one.client.seen.includes("BOOKMARK"));
    one.client.breakWatches();
    await until(() => one.client.watches.length === 2);
    const versions = one.client.watches.map(({ query }) => BigInt(query["resourceVersion"] ?? ""));
    expect(versions[1]).toBeGreaterThan(versions[0] ?? 0n);
    expect(one.relists).toEqual(["Start"]);
    expect(one.texts.size).toBe(2);
  });
});

interface Followed extends AsyncDisposable {
  readonly reflector: Reflector;
  readonly client: SpiedClient;
  readonly relists: readonly RelistReason[];
  readonly errors: readonly unknown[];
  /** By name. */
  readonly texts: ReadonlyMap<string, string>;
  readonly isAbsent: boolean;
  readonly isRunning: boolean;
  names(): readonly string[];
  /** The next request waits. */
  pause(): { readonly reached: Promise<void>; readonly goOn: () => void };
}

async function follow(
  plane: OwnControlPlane,
  { namespace, resource = CONFIG_MAPS }: { readonly namespace: string; readonly resource?: Resource },
  prepare: (client: SpiedClient) => void = () => {},
): Promise<Followed> {
  const admin = await asAdmin(plane);
  const client = new SpiedClient(admin.client);
  prepare(client);
  const relists: RelistReason[] = [];
  const errors: unknown[] = [];
  const texts = new Map<string, string>();
  const state = { isAbsent: false, isRunning: true };
  const reflector = new Reflector({
    client,
    clock: hurriedClock(10),
    random: systemRandom,
    resource,
    namespace,
    sink: {
      set: (object) => {
        state.isAbsent = false;
        texts.set(object.metadata.name, textOf(object));
      },
      remove: ({ metadata }) => void texts.delete(metadata.name),
      retain: (keys) => {
        for (const name of texts.keys()) if (!keys.has(`${namespace}/${name}`)) texts.delete(name);
      },
      absent: () => {
        state.isAbsent = true;
        texts.clear();
      },
    },
    onRelist: (reason) => relists.push(reason),
    onError: (error) => errors.push(error),
  });
  const stop = new AbortController();
  const running = reflector.run(stop.signal).finally(() => {
    state.isRunning = false;
  });
  return {
    reflector,
    client,
    relists,
    errors,
    texts,
    get isAbsent() {
      return state.isAbsent;
    },
    get isRunning() {
      return state.isRunning;
    },
    names: () => [...texts.keys()].toSorted(),
    pause: () => {
      const goingOn = Promise.withResolvers<void>();
      const reached = Promise.withResolvers<void>();
      client.before = () => {
        reached.resolve();
        client.before = () => {};
        return goingOn.promise;
      };
      return { reached: reached.promise, goOn: () => goingOn.resolve() };
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
      const { length } = client.asked;
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(client.asked).toHaveLength(length);
      admin[Symbol.dispose]();
    },
  };
}

function textOf(object: KubeObject): string {
  expect(keyOf(object)).toContain("/");
  return (object["data"] as { readonly text?: string } | undefined)?.text ?? "";
}

async function inParallel<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const work = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await act(item);
  };
  await Promise.all(Array.from({ length: 8 }, work));
}

async function until(isSo: () => boolean): Promise<void> {
  for (const end = performance.now() + 20_000; !isSo(); ) {
    if (performance.now() > end) throw new Error("it did not come");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
