import { writeFile } from "node:fs/promises";
import type { ClientRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { milliseconds } from "../../../src/core/brand.ts";
import { type Clock, systemClock } from "../../../src/core/clock.ts";
import { OperatorError } from "../../../src/core/errors.ts";
import { isStatus } from "../../../src/kubernetes/errors.ts";
import type { KubeList, KubeObject } from "../../../src/kubernetes/objects.ts";
import { CONFIG_MAPS, collectionPath, objectPath } from "../../../src/kubernetes/resources.ts";
import { describeCluster } from "../../support/control-plane/shared.ts";
import { startControlPlane } from "../../support/control-plane/start.ts";
import type { OwnControlPlane } from "../../support/control-plane/types.ts";
import { scratch } from "../../support/directory.ts";
import { codeOf } from "../../support/errors.ts";
import { asAdmin, byKubeconfig, connected, podFiles, tokenOf } from "../../support/kubernetes/connected.ts";
import { pluginKubeconfig } from "../../support/kubernetes/plugin-kubeconfig.ts";
import { startRelay } from "../../support/kubernetes/relay.ts";

const NEVER = new AbortController().signal;
const NAMESPACE = { method: "GET", path: "/api/v1/namespaces/default" } as const;

/** No time passes; who sleeps is woken only to stop. */
const STANDING: Clock = {
  ...systemClock,
  monotonic: () => milliseconds(0),
  sleep: (_, signal) =>
    new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true })),
};

describeCluster("the transport", () => {
  let plane: OwnControlPlane;
  beforeAll(async () => {
    // Every HTTP/2 client is sent away again and again.
    plane = await startControlPlane({ flags: ["--goaway-chance=0.02"] });
  });
  afterAll(() => plane.stop());

  const patch = (namespace: string, name: string, text: string) =>
    ({
      method: "PATCH",
      path: objectPath(CONFIG_MAPS, { namespace, name }),
      query: { fieldManager: "meshid", force: "true" },
      contentType: "application/apply-patch+yaml",
      body: { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace }, data: { text } },
    }) as const;

  it("keeps one connection for requests that follow each other, and at most sixteen for any number at once", async () => {
    await using relay = await startRelay(new URL(plane.server));
    using admin = await asAdmin(plane, relay.port);
    for (let round = 0; round < 60; round++) await admin.client.request(NAMESPACE, NEVER);
    expect(relay.made).toBe(1);
    await Promise.all(Array.from({ length: 100 }, () => admin.client.request(NAMESPACE, NEVER)));
    expect(relay.made).toBeLessThanOrEqual(16);
    expect(new Set(admin.codes())).toEqual(new Set(["GET 200"]));
  });

  it("keeps the Lease's requests apart from a crowd of others", async () => {
    await using relay = await startRelay(new URL(plane.server));
    using admin = await asAdmin(plane, relay.port);
    // Whatever is asked now keeps its connection for itself.
    relay.stall();
    const crowd = Array.from({ length: 16 }, () => admin.client.request(NAMESPACE, NEVER));
    await until(() => relay.open === 16);
    const waiting = admin.client.request({ ...NAMESPACE, deadline: milliseconds(200) }, NEVER);
    expect(await codeOf(waiting)).toBe("STORAGE_FAILED");
    expect(relay.made).toBe(16);
    const lease = admin.client.request({ ...NAMESPACE, lane: "lease" }, NEVER);
    await until(() => relay.open === 17);
    relay.resume();
    await Promise.all([...crowd, lease]);
    expect(relay.made).toBe(17);
  });

  it("says in time that there is no answer, and goes on when there is one again", async () => {
    await using relay = await startRelay(new URL(plane.server));
    using admin = await asAdmin(plane, relay.port);
    await admin.client.request(NAMESPACE, NEVER);
    relay.stall();
    const started = performance.now();
    const attempt = admin.client.request({ ...NAMESPACE, deadline: milliseconds(300) }, NEVER);
    await expect(attempt).rejects.toMatchObject({
      code: "STORAGE_FAILED",
      retryable: true,
      message: expect.stringContaining("deadline exceeded"),
    });
    expect(performance.now() - started).toBeLessThan(15_000);
    relay.resume();
    await admin.client.request(NAMESPACE, NEVER);
    // Whatever that connection would still have said is nobody's answer.
    expect(relay.made).toBe(2);
  });

  it("gives up at once when it is told to stop, a watch included", async () => {
    await using relay = await startRelay(new URL(plane.server));
    using admin = await asAdmin(plane, relay.port);
    const stop = new AbortController();
    relay.stall();
    const attempt = codeOf(admin.client.request(NAMESPACE, stop.signal));
    const path = "/api/v1/namespaces";
    const opening = codeOf(next(admin.client.watch({ path, query: { watch: "true" } }, stop.signal)));
    await until(() => relay.open === 2);
    stop.abort();
    expect([await attempt, await opening]).toEqual(["ABORTED", "ABORTED"]);
    relay.resume();
    const later = new AbortController();
    const watch = admin.client.watch({ path, query: { watch: "true" } }, later.signal);
    const events = watch[Symbol.asyncIterator]();
    while (!(await named(events, "default"))) {}
    const end = codeOf(drain(events));
    later.abort();
    expect(await end).toBe("ABORTED");
    await until(() => relay.open === 0);
    expect(await codeOf(admin.client.request(NAMESPACE, AbortSignal.abort()))).toBe("ABORTED");
  });

  it("asks again over a new connection when the old one broke, where that does no harm", async () => {
    const namespace = await plane.makeNamespace();
    await using relay = await startRelay(new URL(plane.server));
    using admin = await asAdmin(plane, relay.port);
    await admin.client.request(NAMESPACE, NEVER);
    for (const request of [NAMESPACE, patch(namespace, "one", "1")]) {
      relay.loseNext();
      await admin.client.request(request, NEVER);
    }
    expect(admin.codes()).toEqual([
      "GET 200",
      "GET <error>",
      "GET 200",
      "PATCH <error>",
      // The server had done it before the connection broke.
      "PATCH 200",
    ]);
    relay.loseNext();
    const path = collectionPath(CONFIG_MAPS, namespace);
    const post = { method: "POST", path, body: { metadata: { name: "two" } } } as const;
    expect(await codeOf(admin.client.request(post, NEVER))).toBe("STORAGE_FAILED");
  });

  it("asks the fence again for a write that had to wait for a connection", async () => {
    const namespace = await plane.makeNamespace();
    await using relay = await startRelay(new URL(plane.server));
    using admin = await asAdmin(plane, relay.port);
    relay.stall();
    const crowd = Array.from({ length: 16 }, () => admin.client.request(NAMESPACE, NEVER));
    let isOpen = true;
    const fence = (): void => {
      if (!isOpen) throw new OperatorError("ABORTED", "this process no longer holds the lease");
    };
    const late = codeOf(admin.client.request({ ...patch(namespace, "late", "1"), fence }, NEVER));
    await until(() => relay.open === 16);
    isOpen = false;
    relay.resume();
    expect(await late).toBe("ABORTED");
    await Promise.all(crowd);
    const path = objectPath(CONFIG_MAPS, { namespace, name: "late" });
    expect((await plane.request({ method: "GET", path })).status).toBe(404);
  });

  it("waits as long as priority and fairness tell it to, within its deadline", async () => {
    await using user = await oneAtATime(plane);
    using one = connected(await byKubeconfig(user.kubeconfig));
    // What decides is one second of Retry-After, and not the time that the answer takes.
    using hasty = connected(await byKubeconfig(user.kubeconfig), undefined, STANDING);
    await user.occupy();
    const hurried = hasty.client.request({ ...NAMESPACE, deadline: milliseconds(800) }, NEVER);
    await expect(hurried).rejects.toMatchObject({
      name: "KubeApiError",
      status: 429,
      retryable: true,
      retryAfter: expect.any(Number),
    });
    expect(hasty.codes()).toEqual(["GET 429"]);
    const started = performance.now();
    const patient = one.client.request(NAMESPACE, NEVER);
    await until(() => one.attempts.length > 0);
    await user.free();
    await patient;
    expect(performance.now() - started).toBeGreaterThan(900);
    expect(one.codes().at(-1)).toBe("GET 200");
    expect(new Set(one.codes().slice(0, -1))).toEqual(new Set(["GET 429"]));
  });

  it("reads its token anew once when the server refuses it, for a watch too", async () => {
    const namespace = await plane.makeNamespace();
    await using pod = await podFiles(plane, namespace);
    await pod.write({ token: "eyJhbGciOiJub25lIn0.e30.old" });
    using one = connected(await pod.connect());
    const request = { method: "GET", path: "/api" } as const;
    const refused = one.client.request(request, NEVER);
    await expect(refused).rejects.toMatchObject({ status: 401 });
    expect(one.codes()).toEqual(["GET 401", "GET 401"]);
    await pod.write({ token: await tokenOf(plane, namespace) });
    await one.client.request(request, NEVER);
    expect(one.codes().slice(2)).toEqual(["GET 401", "GET 200"]);

    await pod.write({ token: "eyJhbGciOiJub25lIn0.e30.old" });
    using other = connected(await pod.connect());
    const watch = { path: collectionPath(CONFIG_MAPS, namespace), query: { watch: "true" } };
    await expect(next(other.client.watch(watch, NEVER))).rejects.toMatchObject({ status: 401 });
    await pod.write({ token: await tokenOf(plane, namespace) });
    await expect(next(other.client.watch(watch, NEVER))).rejects.toMatchObject({ status: 401 });
    // Who it is is known by now; that it may not is another matter.
    await expect(next(other.client.watch(watch, NEVER))).rejects.toMatchObject({ status: 403 });
  });

  it("takes up a renewed token and certificate authority without a restart and without a broken request", async () => {
    const namespace = await plane.makeNamespace();
    await using pod = await podFiles(plane, namespace);
    await pod.write({ token: await tokenOf(plane, namespace) });
    await using relay = await startRelay(new URL(plane.server));
    using one = connected(await pod.connect(), relay.port);
    const request = { method: "GET", path: "/api" } as const;
    await one.client.request(request, NEVER);
    await pod.write({ token: await tokenOf(plane, namespace), "ca.crt": `${plane.ca}\n${plane.ca}` });
    await one.client.request(request, NEVER);
    expect(relay.made).toBe(1);
    const load = (): readonly Promise<unknown>[] =>
      Array.from({ length: 12 }, () => one.client.request(request, NEVER));
    // Some are under way, over the connections of before, while the others take new ones.
    const before = load();
    await until(() => relay.made > 6);
    pod.wait(31_000);
    await Promise.all([...before, ...load()]);
    expect(relay.made).toBeGreaterThan(12);
    expect(new Set(one.codes())).toEqual(new Set(["GET 200"]));
    // A file that is being written is no reason to stop.
    await pod.write({ "ca.crt": "" });
    pod.wait(31_000);
    await pod.write({ "ca.crt": plane.ca });
    pod.wait(31_000);
    await one.client.request(request, NEVER);
  });

  it("asks the plugin of a kubeconfig again when its token is refused", async () => {
    const namespace = await plane.makeNamespace();
    using box = scratch();
    const token = join(box.dir, "token");
    await writeFile(token, "eyJhbGciOiJub25lIn0.e30.old");
    const script = `printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}' "$(cat ${token})"`;
    const kubeconfig = join(box.dir, "kubeconfig");
    const ca = Buffer.from(plane.ca).toString("base64");
    const cluster = { server: plane.server, "certificate-authority-data": ca };
    await writeFile(kubeconfig, pluginKubeconfig(script, cluster));
    using one = connected(await byKubeconfig(kubeconfig));
    const request = { method: "GET", path: "/api" } as const;
    await expect(one.client.request(request, NEVER)).rejects.toMatchObject({ status: 401 });
    await writeFile(token, await tokenOf(plane, namespace));
    await one.client.request(request, NEVER);
    expect(one.codes().at(-1)).toBe("GET 200");
  });

  it("reads answers of many megabytes", async () => {
    const namespace = await plane.makeNamespace();
    using admin = await asAdmin(plane);
    const text = "x".repeat(900_000);
    const path = collectionPath(CONFIG_MAPS, namespace);
    for (let index = 0; index < 6; index++) {
      const body = { metadata: { name: `big-${index}` }, data: { text } };
      await admin.client.request({ method: "POST", path, body }, NEVER);
    }
    const { body } = await admin.client.request<KubeList>({ method: "GET", path }, NEVER);
    const sizes = (body.items ?? [])
      .filter(({ metadata }) => metadata.name.startsWith("big"))
      .map((item) => (item as KubeObject & { data: { text: string } }).data.text.length);
    expect(sizes).toEqual(Array.from({ length: 6 }, () => 900_000));
  });

  it("prints no token, whatever goes wrong", async () => {
    const namespace = await plane.makeNamespace();
    await using pod = await podFiles(plane, namespace);
    const token = await tokenOf(plane, namespace);
    await pod.write({ token });
    await using relay = await startRelay(new URL(plane.server));
    const connection = await pod.connect();
    using one = connected(connection, relay.port);
    const seen: unknown[] = [await connection.credentials(false), one.client, connection];
    const failing = async (path: string, deadline = 30_000): Promise<void> => {
      const request = { method: "GET", path, deadline: milliseconds(deadline) } as const;
      await one.client.request(request, NEVER).then(
        () => Promise.reject(new Error("it was answered")),
        (error: unknown) => seen.push(error),
      );
    };
    await failing("/api/v1/secrets");
    relay.stall();
    await failing("/api", 100);
    await relay[Symbol.asyncDispose]();
    await failing("/api");
    await pod.write({ token: `${token}x` });
    using two = connected(await pod.connect());
    seen.push(
      await two.client.request({ method: "GET", path: "/api" }, NEVER).catch((error: unknown) => error),
    );
    const printed = seen.map((one) => inspect(one, { depth: 12, showHidden: true }) + JSON.stringify(one));
    expect(seen).toHaveLength(7);
    expect(printed.filter((text) => text.includes(token.slice(0, 40)))).toEqual([]);
    expect(JSON.stringify(one.attempts)).not.toContain(token.slice(0, 40));
  });

  it("finds the server again that was killed", async () => {
    using admin = await asAdmin(plane);
    await admin.client.request(NAMESPACE, NEVER);
    await plane.kill();
    expect(await codeOf(admin.client.request(NAMESPACE, NEVER))).toBe("STORAGE_FAILED");
    await plane.restart();
    await admin.client.request(NAMESPACE, NEVER);
  });
});

async function next(events: AsyncIterable<unknown>): Promise<unknown> {
  return (await events[Symbol.asyncIterator]().next()).value;
}

async function named(events: AsyncIterator<{ readonly object: unknown }>, name: string): Promise<boolean> {
  const { value } = await events.next();
  return (value?.object as KubeObject | undefined)?.metadata.name === name;
}

async function drain(events: AsyncIterator<unknown>): Promise<void> {
  while (!(await events.next()).done) {}
}

async function until(isSo: () => boolean): Promise<void> {
  for (const end = performance.now() + 10_000; !isSo(); ) {
    if (performance.now() > end) throw new Error("it did not come");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

interface BusyUser extends AsyncDisposable {
  readonly kubeconfig: string;
  /** Takes the only seat that the server has for this user. */
  occupy(): Promise<void>;
  free(): Promise<void>;
}

/** A user for whom the server does one thing at a time, and refuses all others with 429 meanwhile. */
async function oneAtATime(plane: OwnControlPlane): Promise<BusyUser> {
  const name = "busy";
  const make = async (group: string, kind: string, body: object): Promise<void> => {
    const path = `/apis/${group}/v1/${kind.toLowerCase()}s`;
    const object = { apiVersion: `${group}/v1`, kind, metadata: { name }, ...body };
    const { status } = await plane.request({ method: "POST", path, body: object });
    if (status !== 201) throw new Error(`${kind}: ${status}`);
  };
  const subject = { kind: "User", apiGroup: "rbac.authorization.k8s.io", name };
  const roleRef = { kind: "ClusterRole", name: "cluster-admin", apiGroup: "rbac.authorization.k8s.io" };
  await make("rbac.authorization.k8s.io", "ClusterRoleBinding", { subjects: [subject], roleRef });
  const limited = {
    nominalConcurrencyShares: 0,
    borrowingLimitPercent: 0,
    lendablePercent: 0,
    limitResponse: { type: "Reject" },
  };
  const flow = "flowcontrol.apiserver.k8s.io";
  await make(flow, "PriorityLevelConfiguration", { spec: { type: "Limited", limited } });
  const all = { verbs: ["*"], apiGroups: ["*"], resources: ["*"], clusterScope: true, namespaces: ["*"] };
  const rules = [{ subjects: [{ kind: "User", user: { name } }], resourceRules: [all] }];
  await make(flow, "FlowSchema", {
    spec: { priorityLevelConfiguration: { name }, matchingPrecedence: 2, rules },
  });
  const kubeconfig = await plane.userKubeconfig(name);
  const connection = await byKubeconfig(kubeconfig);
  using probe = connected(connection);
  const { ca, cert, key } = await connection.credentials(false);
  let seat: ClientRequest | undefined;
  const isBusy = async (): Promise<boolean> => {
    const asked = probe.client.request({ ...NAMESPACE, deadline: milliseconds(500) }, NEVER);
    return asked.then(
      () => false,
      (error: unknown) => isStatus(error, 429),
    );
  };
  /** The server waits for the body, which never comes. */
  const takeSeat = (): void => {
    seat?.destroy();
    seat = httpsRequest(new URL("/api/v1/namespaces", plane.server), {
      method: "POST",
      headers: { "content-type": "application/json", "content-length": 100 },
      agent: false,
      ca,
      cert,
      key: key?.reveal(),
    });
    seat.on("error", () => {});
    seat.flushHeaders();
  };
  const free = async (): Promise<void> => {
    seat?.destroy();
    while (await isBusy()) {}
  };
  return {
    kubeconfig,
    occupy: async () => {
      for (let looks = 0; !(await isBusy()); looks++) {
        // One that came before the limit was in force has its seat elsewhere.
        if (looks % 50 === 0) takeSeat();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    free,
    [Symbol.asyncDispose]: free,
  };
}
