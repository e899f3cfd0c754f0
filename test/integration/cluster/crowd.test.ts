/**
 * Many identities at once on a real control plane: none issued more often than needed, no key kept, no write refused, and
 * whoever is in a hurry overtakes. `npm run bench:cluster` does the same with thousands, against the clock.
 */

import { afterAll, beforeAll, beforeEach, expect, it } from "@jest/globals";
import { type AuditEvent, isWrite, lineOf } from "../../support/audit-log.ts";
import { ClusterSuite, identityObject, START_LIMIT } from "../../support/cluster-suite.ts";
import { describeCluster } from "../../support/control-plane/shared.ts";
import { type ControllerProcess, must, pause } from "../../support/controller-process.ts";
import { until } from "../../support/local-process.ts";
import { conflicts, refusedByRbac } from "../../support/rbac-audit.ts";

const NAMESPACES = 4;
const EACH = 50;
const CROWD = NAMESPACES * EACH;
const TOKENS = { jwt: { tokens: [{ audience: "orders.shop" }] } };
/** Requests of users at the same time. */
const USERS = 16;
/** Milliseconds that one in a hurry may take while all others renew. */
const HURRY = 2000;
/** Identities that may be done before one that came later: those that a worker of 64 had begun. */
const IN_WORK = 64;
const LIMIT = 60_000;

function refusedWrites(events: readonly AuditEvent[]): readonly string[] {
  return events.filter((event) => isWrite(event) && (event.responseStatus?.code ?? 0) >= 400).map(lineOf);
}

interface At {
  readonly namespace: string;
  readonly name: string;
}

describeCluster("a crowd of identities", () => {
  let suite: ClusterSuite;
  let controller: ControllerProcess;
  let elsewhere: string;
  const crowd: At[] = [];

  beforeAll(async () => {
    suite = await ClusterSuite.start();
    controller = await suite.chart.start();
    elsewhere = await suite.namespace();
    // Due for renewal only when it is about to end: in the middle of a later test.
    await suite.identity(elsewhere, "ending", { x509: { ttl: "1m", renewAfterPercent: 90 } });
    for (let index = 0; index < NAMESPACES; index++) {
      const namespace = await suite.namespace();
      for (let each = 0; each < EACH; each++) crowd.push({ namespace, name: `w${index}-${each}` });
    }
    await inParallel(({ namespace, name }) => suite.account(namespace, name));
  }, START_LIMIT);

  afterAll(async () => {
    await suite?.[Symbol.asyncDispose]();
  });

  beforeEach(() => {
    expect(controller.isRunning()).toBe(true);
  });

  const inParallel = async (act: (at: At) => Promise<unknown>): Promise<void> => {
    const rest = [...crowd];
    const user = async (): Promise<void> => {
      for (let at = rest.pop(); at !== undefined; at = rest.pop()) await act(at);
    };
    await Promise.all(Array.from({ length: USERS }, user));
  };

  /** What the controller asks for while and after `act`; what it does for those elsewhere left out. */
  const requestsOf = async (act: () => Promise<unknown>): Promise<readonly AuditEvent[]> => {
    await suite.audit.whenQuiet(suite.audit.mark());
    const mark = suite.audit.mark();
    await act();
    const events = await suite.audit.whenQuiet(mark, { limit: LIMIT });
    return events.filter(({ objectRef }) => objectRef?.namespace !== elsewhere);
  };

  /** When the status of one elsewhere was first written since: what this process sees comes after all that it has asked for. */
  const writtenAt = (name: string, since: number): Promise<number> => {
    const line = `patch serviceidentities/status ${elsewhere}/${name}`;
    return until(`the audit log tells of ${name}`, async () => {
      const times = suite.audit
        .all()
        .filter((event) => lineOf(event) === line)
        .map(({ stageTimestamp }) => Date.parse(stageTimestamp));
      return times.find((at) => at >= since);
    });
  };

  /** In time or, on a slow machine, before all but what was in work already. */
  const expectOvertakes = (since: number, at: number, limit: number): void => {
    if (at - since <= limit) return;
    const before = suite.audit.all().filter((event) => {
      const when = Date.parse(event.stageTimestamp);
      return event.objectRef?.namespace !== elsewhere && when > since && when < at;
    });
    expect(issuances(before).length).toBeLessThanOrEqual(IN_WORK);
  };

  const settled = (revision: number): Promise<true> =>
    until(`revision ${revision} of all`, async () => {
      await pause(500);
      const found = [...(await census()).values()];
      return (found.length === CROWD && found.every((one) => one.revision === revision)) || undefined;
    });

  const renewAll = (value: string): Promise<void> =>
    inParallel(({ namespace, name }) => suite.renew(namespace, name, value));

  /** By name: the public key that each Secret's certificate is for, and how often it was issued. */
  const census = async (): Promise<
    ReadonlyMap<string, { readonly serial: string; readonly revision: number }>
  > => {
    const found = new Map<string, { readonly serial: string; readonly revision: number }>();
    for (const { metadata, status } of await suite.list()) {
      if (metadata.namespace === elsewhere) continue;
      const ready = status?.conditions?.find(({ type }) => type === "Ready");
      if (ready?.status !== "True" || status?.x509 === undefined) continue;
      found.set(metadata.name, { serial: status.x509.serialNumber, revision: status.x509.revision });
    }
    return found;
  };

  /** What each Secret holds of the private key, as meshid notes it: a digest. */
  const keyNotes = async (): Promise<ReadonlyMap<string, string>> => {
    const path = "/api/v1/secrets?labelSelector=app.kubernetes.io/managed-by=meshid";
    const { items } = await must<{
      readonly items: readonly {
        readonly metadata: { readonly name: string };
        readonly data?: Readonly<Record<string, string>>;
      }[];
    }>(suite.kube, { method: "GET", path });
    const keys = items.flatMap(({ metadata, data }) =>
      data?.["tls.key"] === undefined ? [] : [[metadata.name, data["tls.key"]] as const],
    );
    return new Map(keys);
  };

  const issuances = (events: readonly AuditEvent[]): readonly string[] =>
    events.map(lineOf).filter((line) => /^patch secrets \S+-tls\b/.test(line));

  it(`of ${CROWD} created at once is issued once each, and no request is refused`, async () => {
    const events = await requestsOf(async () => {
      await inParallel(({ namespace, name }) =>
        must(suite.kube, {
          method: "POST",
          path: `/apis/meshid.dev/v1alpha1/namespaces/${namespace}/serviceidentities`,
          body: identityObject(namespace, name, {}),
        }),
      );
      await settled(1);
    });
    const found = await census();
    expect(found.size).toBe(CROWD);
    expect([...found.values()].filter(({ revision }) => revision !== 1)).toEqual([]);
    expect(new Set([...found.values()].map(({ serial }) => serial)).size).toBe(CROWD);
    const issued = issuances(events);
    expect({ all: issued.length, different: new Set(issued).size }).toEqual({
      all: CROWD,
      different: CROWD,
    });
    expect(refusedWrites(events)).toEqual([]);
    // A Secret, a status and an Event each; then and now the journal and the TrustDomain.
    expect(events.length).toBeLessThanOrEqual(3 * CROWD + 10);
  });

  it("that is renewed at once has another key each, is issued once each, and no request is refused", async () => {
    const [before, keysBefore] = [await census(), await keyNotes()];
    const events = await requestsOf(async () => {
      await renewAll("first");
      await settled(2);
    });
    const [after, keysAfter] = [await census(), await keyNotes()];
    expect(issuances(events)).toHaveLength(CROWD);
    expect([...after.values()].filter(({ revision }) => revision !== 2)).toEqual([]);
    const kept = [...after].filter(([name, { serial }]) => before.get(name)?.serial === serial);
    expect(kept).toEqual([]);
    const keptKeys = [...after.keys()].filter(
      (name) => keysBefore.get(`${name}-tls`) === keysAfter.get(`${name}-tls`),
    );
    expect(keptKeys).toEqual([]);
    expect(refusedWrites(events)).toEqual([]);
    expect(events.length).toBeLessThanOrEqual(2 * CROWD + 10);
  });

  it("with certificates alone is left as it is by a rotation of the key of tokens", async () => {
    const [before, key] = [await census(), await suite.activeKey("JWT")];
    const path = `/apis/meshid.dev/v1alpha1/trustdomains/${(await suite.trustDomain()).metadata.name}`;
    const annotations = { "meshid.dev/rotate-jwt": "1" };
    const contentType = "application/merge-patch+json";
    const events = await requestsOf(async () => {
      await must(suite.kube, { method: "PATCH", path, contentType, body: { metadata: { annotations } } });
      await until("another key of tokens", async () => (await suite.activeKey("JWT")) !== key || undefined);
    });
    const ofCrowd = new Set(crowd.map(({ namespace }) => namespace));
    const touched = events.filter(isWrite).filter(({ objectRef }) => ofCrowd.has(objectRef?.namespace ?? ""));
    // Prepared, published, in use: the bundle of each namespace follows.
    expect(touched.map(lineOf).filter((line) => !line.includes("configmaps"))).toEqual([]);
    expect(await census()).toEqual(before);
  });

  it("with tokens is written without a refusal by as many workers as there may be", async () => {
    await controller.stop();
    controller = await suite.chart.start({ flags: ["--workers=64"] });
    const events = await requestsOf(async () => {
      await inParallel(({ namespace, name }) => suite.patch(namespace, name, { spec: TOKENS }));
      await until("all have tokens", async () => {
        await pause(500);
        const all = (await suite.list()).filter(({ metadata }) => metadata.namespace !== elsewhere);
        return all.every(({ status }) => status?.jwt?.tokens?.length === 1) || undefined;
      });
    });
    const written = events
      .filter(isWrite)
      .map(lineOf)
      .filter((line) => /^patch secrets \S+-jwt\b/.test(line));
    expect(written).toHaveLength(CROWD);
    expect(issuances(events)).toEqual([]);
    expect(refusedWrites(events)).toEqual([]);
  });

  it("that renews is overtaken by a new identity, and by one that is about to end", async () => {
    await suite.account(elsewhere, "new");
    // A renewal that is near is let pass.
    const dueAt = await until("time before the next renewal", async () => {
      const { status } = await suite.get(elsewhere, "ending");
      const due = Date.parse(status?.x509?.renewalTime ?? "");
      return due - Date.now() > 3000 ? due : undefined;
    });
    await pause(dueAt - Date.now() - 700);
    const storm = renewAll("storm");
    await pause(300);
    await suite.identity(elsewhere, "new");
    const since = Date.now();
    await suite.ready(elsewhere, "new");
    expectOvertakes(since, await writtenAt("new", since), HURRY);
    // Its time is a whole second.
    expectOvertakes(dueAt, await writtenAt("ending", dueAt), HURRY + 1000);
    await storm;
    await settled(3);
  });

  it("has met no conflict and no refusal in all of its life", () => {
    expect(conflicts(suite.audit.all())).toEqual([]);
    expect(refusedByRbac(suite.audit.all())).toEqual([]);
  });
});
