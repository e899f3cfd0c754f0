/**
 * What one rotation of the root costs, counted from the API server's audit log, from the request until the old root has left.
 * The controller's clock is put forward in small steps: it takes twenty minutes of its time.
 */

import { afterAll, beforeAll, expect, it } from "@jest/globals";
import type { ServiceIdentity } from "../../../src/registration/service-identity.ts";
import { parseCertificate } from "../../../src/x509/certificate.ts";
import { splitPem } from "../../../src/x509/pem.ts";
import { type AuditEvent, isLease, isWrite, lineOf } from "../../support/audit-log.ts";
import { ClusterSuite, DOMAIN, START_LIMIT } from "../../support/cluster-suite.ts";
import { describeCluster } from "../../support/control-plane/shared.ts";
import { must } from "../../support/controller-process.ts";
import { type LoneLeader, startLoneLeader } from "../../support/kubernetes/lone-leader.ts";
import { until } from "../../support/local-process.ts";
import { refusedByRbac } from "../../support/rbac-audit.ts";
import { SteppedClock } from "../../support/stepped-clock.ts";

const CERTIFICATES = 60;
const WITH_TOKENS = 20;
/** Seconds. */
const STEP = 20;
/** Seconds: before any leaf is renewed a second time. */
const LONGEST = 1300;
const TRUST_DOMAIN = {
  authority: { rootTTL: "24h", issuingTTL: "18m" },
  rotation: { propagation: "30s" },
  limits: { minTTL: "1m" },
};
/** Late in its life, so that the old root has left before any leaf is renewed a second time. */
const X509 = { ttl: "15m", renewAfterPercent: 90 };
const TOKENS = { tokens: [{ audience: "orders", ttl: "24h" }] };
/** Writes of a rotation that no identity causes. */
const OTHERS = 80;
/** Milliseconds after a step without a request: the authority's loop rests 250 between two rounds. */
const SILENCE = 350;
const ROTATION_LIMIT = 120_000;

describeCluster("one rotation of the root", () => {
  let suite: ClusterSuite;
  let leader: LoneLeader;
  let namespaces: readonly string[];
  let before: ReadonlyMap<string, ServiceIdentity>;
  let after: ReadonlyMap<string, ServiceIdentity>;
  let events: readonly AuditEvent[];
  let issued: readonly Readonly<Record<string, unknown>>[];
  let oldRoot: string;

  const activeRoot = async (): Promise<string> => {
    const { status } = await suite.trustDomain();
    const found = status?.authorities?.find(({ kind, state }) => kind === "Root" && state === "Active");
    return found?.keyID ?? "";
  };
  const roots = async (): Promise<readonly string[]> => {
    const { status } = await suite.trustDomain();
    return (status?.authorities ?? []).flatMap(({ kind, keyID }) => (kind === "Root" ? [keyID] : []));
  };
  const quiet = async (mark = suite.audit.mark()): Promise<readonly AuditEvent[]> => {
    for (;;) {
      const asked = await suite.audit.whenQuiet(mark, { silence: SILENCE });
      if (!leader.isAsking()) return asked;
    }
  };
  const census = async (): Promise<ReadonlyMap<string, ServiceIdentity>> => {
    const all = await suite.list();
    return new Map(all.map((one) => [`${one.metadata.namespace}/${one.metadata.name}`, one]));
  };
  const rootsIn = (pem: string): readonly string[] =>
    splitPem(pem).map((der) => parseCertificate(der).subjectKeyID ?? "");

  beforeAll(async () => {
    suite = await ClusterSuite.start();
    await must(suite.kube, {
      method: "POST",
      path: "/apis/meshid.dev/v1alpha1/trustdomains",
      body: {
        apiVersion: "meshid.dev/v1alpha1",
        kind: "TrustDomain",
        metadata: { name: DOMAIN },
        spec: TRUST_DOMAIN,
      },
    });
    namespaces = [await suite.kube.makeNamespace({}), await suite.kube.makeNamespace({})];
    const names = Array.from({ length: CERTIFICATES + WITH_TOKENS }, (_, index) => ({
      namespace: namespaces[index % 2] ?? "",
      name: index < CERTIFICATES ? `plain-${index}` : `tokens-${index}`,
      spec: index < CERTIFICATES ? { x509: X509 } : { x509: X509, jwt: TOKENS },
    }));
    await Promise.all(names.map(({ namespace, name, spec }) => suite.identity(namespace, name, spec)));
    const clock = new SteppedClock();
    leader = await startLoneLeader(suite.chart, { trustDomain: DOMAIN, clock });
    await until("all are Ready", async () => {
      const identities = await suite.list();
      const ready = identities.filter(({ status }) =>
        status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True"),
      );
      return ready.length === names.length || undefined;
    });
    await quiet();
    before = await census();
    oldRoot = await activeRoot();
    const mark = suite.audit.mark();
    const { length } = leader.logs();
    await must(suite.kube, {
      method: "PATCH",
      path: `/apis/meshid.dev/v1alpha1/trustdomains/${DOMAIN}`,
      contentType: "application/merge-patch+json",
      body: { metadata: { annotations: { "meshid.dev/rotate-root": "1" } } },
    });
    for (let past = 0; (await roots()).includes(oldRoot); past += STEP) {
      if (past > LONGEST) throw new Error(`the old root has not left within ${LONGEST} s`);
      clock.step(STEP);
      await quiet();
    }
    // The server's own certificate is looked at every 15 s.
    clock.step(STEP);
    events = (await quiet(mark)).filter((one) => isWrite(one) && !isLease(one));
    issued = leader
      .logs()
      .slice(length)
      .filter(({ msg }) => String(msg).startsWith("issued "));
    after = await census();
  }, START_LIMIT + ROTATION_LIMIT);

  afterAll(async () => {
    await leader?.[Symbol.asyncDispose]();
    await suite?.[Symbol.asyncDispose]();
  });

  const writesOf = (identity: ServiceIdentity): readonly string[] => {
    const { namespace, name } = identity.metadata;
    const own = new Set([name, `${name}-tls`, `${name}-jwt`]);
    return events
      .filter(({ objectRef }) => objectRef?.namespace === namespace && own.has(objectRef?.name ?? ""))
      .map(lineOf);
  };

  it.each([
    ["an identity with a certificate", 4, "plain-"],
    ["one with tokens too", 7, "tokens-"],
  ])("costs %s at most %i writes, its Secrets and its status together", (_, limit, prefix) => {
    const counted = [...before.values()].filter(({ metadata }) => metadata.name.startsWith(prefix));
    expect(counted.length).toBeGreaterThanOrEqual(WITH_TOKENS);
    for (const one of counted) {
      const found = writesOf(one);
      expect(found.length > limit ? found : []).toEqual([]);
    }
  });

  it("costs little besides, however many identities there are", () => {
    const own = new Set([...before.values()].flatMap(writesOf));
    const others = events.map(lineOf).filter((line) => !own.has(line));
    // The journal and the status of the TrustDomain with each step, two bundles for each namespace, events, the server's own SVID.
    expect(others.length > OTHERS ? others : []).toEqual([]);
    const total = events.length - WITH_TOKENS * 7;
    expect(total).toBeLessThanOrEqual(CERTIFICATES * 4 + OTHERS);
  });

  it("meets not one conflict", () => {
    expect(events.filter(({ responseStatus }) => responseStatus?.code === 409).map(lineOf)).toEqual([]);
  });

  it("issues each certificate once, by its own renewal, and no token", () => {
    const times = Map.groupBy(
      issued,
      ({ kind, serviceIdentity }) => `${String(kind)} ${String(serviceIdentity)}`,
    );
    expect(times.size).toBe(before.size);
    for (const [what, records] of times) {
      expect(what).toMatch(/^x509 /);
      expect(records.map(({ reason }) => reason)).toEqual(["RenewalDue"]);
    }
    for (const [name, { status }] of before) {
      expect(after.get(name)?.status?.x509?.revision).toBe((status?.x509?.revision ?? 0) + 1);
      expect(after.get(name)?.status?.x509?.serialNumber).not.toBe(status?.x509?.serialNumber);
    }
  });

  it("leaves the old root nowhere, and every certificate under the new one", async () => {
    const next = await activeRoot();
    expect(next).not.toBe(oldRoot);
    const bundles = await Promise.all(
      namespaces.map(async (one) => (await suite.configMap(one, "meshid-bundle"))?.data?.["ca.crt"] ?? ""),
    );
    for (const bundle of bundles) expect(rootsIn(bundle)).toEqual([next]);
    const server = await suite.secret(suite.chart.namespace, "meshid-server-tls");
    expect(rootsIn(server["ca.crt"] ?? "")).toEqual([next]);
    for (const { metadata } of before.values()) {
      const { namespace, name } = metadata;
      const secret = await suite.secret(namespace, `${name}-tls`);
      expect(rootsIn(secret["ca.crt"] ?? "")).toEqual([next]);
      const issuing = splitPem(secret["tls.crt"] ?? "").at(-1);
      expect(issuing && parseCertificate(issuing).authorityKeyID).toBe(next);
    }
  });

  it("asks for nothing that it may not have", () => {
    expect(refusedByRbac(suite.audit.all())).toEqual([]);
  });
});
