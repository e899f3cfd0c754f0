/**
 * Several replicas on a real control plane: one leads, all serve; how long it takes when the leader goes.
 */

import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { isRequest, isWrite, lineOf } from "../../support/audit-log.ts";
import { ClusterSuite, START_LIMIT } from "../../support/cluster-suite.ts";
import { describeCluster } from "../../support/control-plane/shared.ts";
import { type ControllerProcess, pause, untilReady } from "../../support/controller-process.ts";
import { quickest, until } from "../../support/local-process.ts";
import { refusedByRbac } from "../../support/rbac-audit.ts";

const DOCUMENTS = [
  "/.well-known/openid-configuration",
  "/.well-known/jwks.json",
  "/.well-known/spiffe-bundle.json",
];
const HANDOVER = 3000;
const TAKEOVER = 18_000;

describeCluster("several replicas", () => {
  let suite: ClusterSuite;
  let replicas: ControllerProcess[] = [];
  let shop: string;

  beforeAll(async () => {
    suite = await ClusterSuite.start();
    replicas = [await suite.chart.start(), await suite.chart.start()];
    shop = await suite.namespace();
  }, START_LIMIT);

  afterAll(async () => {
    await suite?.[Symbol.asyncDispose]();
  });

  const running = (): readonly ControllerProcess[] => replicas.filter((one) => one.isRunning());

  const holder = async (): Promise<string> => {
    const path = "/apis/coordination.k8s.io/v1/namespaces/meshid-system/leases/meshid";
    const lease = await suite.object(path);
    const spec = lease?.spec as { readonly holderIdentity?: string } | undefined;
    return spec?.holderIdentity ?? "";
  };

  /** The metric of each process: 1 for the leader. */
  const isLeading = async (one: ControllerProcess): Promise<boolean> => {
    const { body } = await one.probe("/metrics");
    return /^leader_election_master_status(\{[^}]*\})? 1$/m.test(body);
  };

  const leader = async (): Promise<ControllerProcess> => {
    const name = await until("a holder of the Lease", async () => (await holder()) || undefined);
    const found = replicas.find((one) => name.startsWith(one.name));
    if (found === undefined) throw new Error(`the Lease is ${name}'s`);
    return found;
  };

  const follower = async (): Promise<ControllerProcess> => {
    const leading = await leader();
    const found = running().find((one) => one !== leading);
    if (found === undefined) throw new Error("no follower runs");
    return found;
  };

  /** How long it takes from now until a new identity is issued, in milliseconds. */
  const issuedAfter = async (name: string): Promise<number> => {
    const since = Date.now();
    await suite.identity(shop, name);
    await suite.ready(shop, name);
    return Date.now() - since;
  };

  /** Load balancers need a moment to see it go: it says so, and still answers. */
  const expectServesOn = async (going: ControllerProcess, ca: string): Promise<void> => {
    await until("it says that it goes", async () =>
      (await going.probe("/readyz")).status === 503 ? true : undefined,
    );
    expect((await going.probe("/livez")).status).toBe(200);
    expect((await going.fetch(DOCUMENTS[1]!, ca)).status).toBe(200);
  };

  it("have one leader, which the Lease names and the metrics agree on", async () => {
    const leading = await leader();
    await until("the metric", async () => ((await isLeading(leading)) ? true : undefined));
    const others = running().filter((one) => one !== leading);
    expect(await Promise.all(others.map(isLeading))).toEqual([false]);
  });

  it("all serve discovery, JWKS and bundle over HTTPS with the Service's certificate, and the same ones", async () => {
    const ca = await suite.roots();
    for (const path of DOCUMENTS) {
      const answers = await Promise.all(running().map((one) => one.fetch(path, ca)));
      expect(answers.map(({ status }) => status)).toEqual([200, 200]);
      expect(new Set(answers.map(({ body }) => body)).size).toBe(1);
      expect(new Set(answers.map(({ headers }) => headers["etag"])).size).toBe(1);
    }
    const discovery = JSON.parse((await replicas[0]!.fetch(DOCUMENTS[0]!, ca)).body) as {
      readonly issuer: string;
    };
    expect(discovery.issuer).toBe("https://meshid.meshid-system.svc");
  });

  it("never give a signing key to a follower, nor let it write anything", async () => {
    // A replica that has never led: what it asks for in its life is what its log of requests says.
    await suite.audit.whenQuiet(suite.audit.mark());
    const before = suite.audit.mark();
    const third = await suite.chart.start();
    replicas.push(third);
    await suite.audit.whenQuiet(before);
    const requests = suite.audit.since(before).filter(isRequest).map(lineOf);
    expect(requests.filter((line) => line.includes("meshid-key-"))).toEqual([]);
    expect(
      suite.audit
        .since(before)
        .filter(isWrite)
        .map(lineOf)
        .filter((line) => !line.includes("leases")),
    ).toEqual([]);
    expect((await third.probe("/readyz")).status).toBe(200);
    // Nobody watches the Secrets of the keys either: every list and watch of that namespace leaves them out.
    const watched = suite.audit.since(before).filter(({ objectRef }) => objectRef?.resource === "secrets");
    const own = watched.filter(({ objectRef }) => objectRef?.namespace === "meshid-system");
    expect(own.length).toBeGreaterThan(0);
    for (const { requestURI } of own) expect(decodeURIComponent(requestURI)).toContain("!meshid.dev/key");
    const everywhere = watched.filter(({ objectRef }) => objectRef?.namespace === undefined);
    for (const { requestURI } of everywhere)
      expect(decodeURIComponent(requestURI)).toContain("metadata.namespace!=meshid-system");
    await third.stop();
  });

  it("hand over within 3 s on SIGTERM: the next one issues, the old one serves on and ends within 10 s", async () => {
    const ca = await suite.roots();
    const lasted: number[] = [];
    const handOver = async (): Promise<number> => {
      const name = `handed-over-${lasted.length}`;
      const [leading, next] = [await leader(), await follower()];
      await suite.account(shop, name);
      const ended = leading.stop();
      const [took] = await Promise.all([issuedAfter(name), expectServesOn(leading, ca)]);
      expect((await holder()).startsWith(next.name)).toBe(true);
      replicas.push(await suite.chart.start());
      const end = await ended;
      expect(end).toMatchObject({ code: 0, signal: null });
      expect(end.took).toBeGreaterThan(3000);
      lasted.push(end.took);
      return took;
    };
    expect(await quickest(HANDOVER, handOver)).toBeLessThanOrEqual(HANDOVER);
    expect(Math.min(...lasted)).toBeLessThanOrEqual(10_000);
  });

  it("are followed by one that is ready before it leads", async () => {
    const one = await suite.chart.start();
    replicas.push(one);
    await untilReady(one);
    expect((await holder()).startsWith(one.name)).toBe(false);
  });

  it("take over within 18 s of a SIGKILL, and take up what was left", async () => {
    const ca = await suite.roots();
    let killed = 0;
    const takeOver = async (): Promise<number> => {
      const name = `orphaned-${killed++}`;
      const leading = await leader();
      await suite.account(shop, name);
      await leading.kill();
      const took = await issuedAfter(name);
      const next = await leader();
      expect(next.name).not.toBe(leading.name);
      expect((await next.fetch(DOCUMENTS[1]!, ca)).status).toBe(200);
      replicas.push(await suite.chart.start());
      return took;
    };
    expect(await quickest(TAKEOVER, takeOver)).toBeLessThanOrEqual(TAKEOVER);
  });

  it("go on under another leader when one is frozen, which writes nothing once it wakes", async () => {
    replicas.push(await suite.chart.start());
    const frozen = await leader();
    frozen.signal("SIGSTOP");
    try {
      await suite.identity(shop, "thawed");
      await suite.ready(shop, "thawed");
    } finally {
      frozen.signal("SIGCONT");
    }
    const serial = (await suite.get(shop, "thawed")).status?.x509?.serialNumber;
    await until("it knows that it leads no more", async () => ((await isLeading(frozen)) ? undefined : true));
    await pause(1500);
    expect((await suite.get(shop, "thawed")).status?.x509?.serialNumber).toBe(serial);
    expect((await holder()).startsWith(frozen.name)).toBe(false);
    expect(frozen.isRunning()).toBe(true);
    expect((await frozen.probe("/readyz")).status).toBe(200);
  });

  it("ask for nothing that they may not have, and issue nothing twice", async () => {
    expect(refusedByRbac(suite.audit.all())).toEqual([]);
    for (const { status } of await suite.list(shop)) expect(status?.x509?.revision).toBe(1);
  });
});
