/**
 * The API server goes away and comes back: nothing restarts, credentials stay good, and everything is made up for.
 */

import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { isWrite, lineOf } from "../../support/audit-log.ts";
import { ClusterSuite, DOMAIN, START_LIMIT } from "../../support/cluster-suite.ts";
import { describeCluster } from "../../support/control-plane/shared.ts";
import { type ControllerProcess, must, pause } from "../../support/controller-process.ts";
import { type Content, leafOf, verifyX509 } from "../../support/credentials.ts";
import { until } from "../../support/local-process.ts";
import { conflicts, refusedByRbac } from "../../support/rbac-audit.ts";

/** Seconds; longer by hand: MESHID_OUTAGE_SECONDS=300. */
const OUTAGE = Number(process.env["MESHID_OUTAGE_SECONDS"] ?? 45);
const MADE_UP = 30_000;
const DOCUMENT = "/.well-known/jwks.json";

describeCluster("an outage of the API server", () => {
  let suite: ClusterSuite;
  let replicas: readonly ControllerProcess[] = [];
  let shop: string;
  let before: Content;
  let restarted: number;

  beforeAll(async () => {
    suite = await ClusterSuite.start();
    replicas = [await suite.chart.start(), await suite.chart.start()];
    shop = await suite.namespace();
    await suite.identity(shop, "steady", { jwt: { tokens: [{ audience: "a" }] } });
    // Due for renewal while nothing can be written.
    await suite.identity(shop, "due", { x509: { ttl: "1m", renewAfterPercent: 30 } });
    await suite.ready(shop, "steady");
    await suite.ready(shop, "due");
  }, START_LIMIT);

  afterAll(async () => {
    await suite?.[Symbol.asyncDispose]();
  });

  const spiffeId = (account: string): string => `spiffe://${DOMAIN}/ns/${shop}/sa/${account}`;

  /** What is to be made up for after an outage. */
  const untilMadeUp = async (name: string, since: number): Promise<void> => {
    const left = (): number => Math.max(0, since + MADE_UP - Date.now());
    await suite.account(shop, name);
    await suite.identity(shop, name);
    await suite.ready(shop, name, left());
    await until(
      "a renewal of what was due",
      async () => {
        const { status } = await suite.get(shop, "due");
        const end = Date.parse(status?.x509?.notAfter ?? "");
        return end - Date.now() > 30_000 || undefined;
      },
      left(),
    );
    // Not with `makeNamespace`: kube-controller-manager takes its own time to come back.
    const namespace = `new-${name}`;
    const body = { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } };
    await must(suite.kube, { method: "POST", path: "/api/v1/namespaces", body });
    await until("the bundle of a new namespace", () => suite.configMap(namespace, "meshid-bundle"), left());
    await until(
      "every replica is ready",
      async () => {
        const answers = await Promise.all(replicas.map((one) => one.probe("/readyz")));
        return answers.every(({ status }) => status === 200) || undefined;
      },
      left(),
    );
  };

  it(
    `of ${OUTAGE} s stops no process, and JWKS are served all the while`,
    async () => {
      const ca = await suite.roots();
      before = await suite.secret(shop, "steady-tls");
      await suite.kube.kill();
      const end = Date.now() + OUTAGE * 1000;
      while (Date.now() < end) {
        for (const one of replicas) {
          expect((await one.probe("/livez")).status).toBe(200);
          expect((await one.fetch(DOCUMENT, ca)).status).toBe(200);
        }
        await pause(1000);
      }
      await verifyX509(before, spiffeId("steady"));
    },
    OUTAGE * 1000 + 120_000,
  );

  it("is made up for within 30 s: what came, what was due, what is to be served", async () => {
    await suite.kube.restart();
    // An API server that has just begun to listen knows no roles yet, and refuses everything for a moment.
    restarted = suite.audit.mark();
    await untilMadeUp("after-the-outage", Date.now());
    const after = await suite.secret(shop, "steady-tls");
    expect(after["tls.crt"]).toBe(before["tls.crt"]);
    await verifyX509(await suite.secret(shop, "due-tls"), spiffeId("due"));
    expect(leafOf(await suite.secret(shop, "due-tls")).validToDate.getTime()).toBeGreaterThan(Date.now());
    expect(replicas.every((one) => one.isRunning())).toBe(true);
  });

  it("in which connections stay open and nothing answers is made up for as well", async () => {
    suite.kube.pause();
    await pause(12_000);
    suite.kube.resume();
    const since = Date.now();
    // One that has just woken may have lost its own storage for a moment.
    await until(
      "an answer",
      async () => (await suite.kube.request({ method: "GET", path: "/readyz" })).status === 200 || undefined,
      MADE_UP,
    );
    await untilMadeUp("after-the-silence", since);
    expect(replicas.every((one) => one.isRunning())).toBe(true);
  });

  it("leaves a quiet cluster behind: nothing is issued for it, nothing is refused", async () => {
    await must(suite.kube, {
      method: "DELETE",
      path: `/apis/meshid.dev/v1alpha1/namespaces/${shop}/serviceidentities/due`,
    });
    await suite.audit.whenQuiet(suite.audit.mark());
    const mark = suite.audit.mark();
    await pause(5000);
    const writes = suite.audit.since(mark).filter(isWrite).map(lineOf);
    expect(writes.filter((line) => !line.includes("leases"))).toEqual([]);
    expect(refusedByRbac(suite.audit.since(restarted))).toEqual([]);
    expect(conflicts(suite.audit.all())).toEqual([]);
    for (const name of ["steady", "after-the-outage", "after-the-silence"])
      expect((await suite.get(shop, name)).status?.x509?.revision).toBe(1);
    for (const one of replicas) expect(one.logs().filter(({ level }) => level === "none")).toEqual([]);
  });
});
