/**
 * One ServiceIdentity after another on a real control plane, the controller under the chart's own ServiceAccount: what is in
 * the objects, what it costs in requests, and what happens when people and programs get in the way.
 */

import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { type AuditEvent, isLease, isWrite, lineOf } from "../../support/audit-log.ts";
import { ClusterSuite, DOMAIN, identityObject, START_LIMIT } from "../../support/cluster-suite.ts";
import { describeCluster } from "../../support/control-plane/shared.ts";
import { type ControllerProcess, pause } from "../../support/controller-process.ts";
import { leafOf, publicKeyOf, verifyToken, verifyX509 } from "../../support/credentials.ts";
import { until } from "../../support/local-process.ts";
import { conflicts, refusedByRbac } from "../../support/rbac-audit.ts";

const PEER_AUTHENTICATIONS = fileURLToPath(
  new URL("../../support/istio/peerauthentications.yaml", import.meta.url),
);
const ISSUER = "https://meshid.meshid-system.svc";
const PROPAGATION = 2000;
/** Long enough for what follows the propagation. */
const QUIET = { silence: PROPAGATION + 1000 };
/** In CI; by `npm run bench:cluster` a minute. */
const IDLE = 15_000;
/** Each for workloads of its own, or the older would shadow the newer. */
const mtlsOf = (app: string): object => ({ mode: "Strict", selector: { matchLabels: { app } } });
const TOKENS = { tokens: [{ audience: "orders.shop" }, { audience: "audit" }] };

/** The lines as they are, or the number that there should be: a failure shows both. */
function atMost(count: number, lines: readonly string[]): unknown {
  return lines.length <= count ? lines : `at most ${count}`;
}

describeCluster("the controller, one identity at a time", () => {
  let suite: ClusterSuite;
  let controller: ControllerProcess;
  let shop: string;

  beforeAll(async () => {
    const limits = {
      minTTL: "1m",
      maxTTL: "100h",
      identitiesPerNamespace: 8,
      keyAlgorithms: ["ECDSA-P256", "Ed25519"],
    };
    suite = await ClusterSuite.start({ trustDomain: { rotation: { propagation: "2s" }, limits } });
    expect(await suite.kube.kubectl(["apply", "-f", PEER_AUTHENTICATIONS])).toMatchObject({ code: 0 });
    controller = await suite.chart.start();
    shop = await suite.namespace();
  }, START_LIMIT);

  afterAll(async () => {
    await suite?.[Symbol.asyncDispose]();
  });

  beforeEach(() => {
    expect(controller.isRunning()).toBe(true);
  });

  const idOf = (namespace: string, account: string): string =>
    `spiffe://${DOMAIN}/ns/${namespace}/sa/${account}`;

  /** What the controller asks for while and after `act`, until nothing follows. */
  const requestsOf = async (
    act: () => Promise<unknown>,
    options: { readonly silence?: number } = {},
  ): Promise<readonly AuditEvent[]> => {
    await suite.audit.whenQuiet(suite.audit.mark());
    const mark = suite.audit.mark();
    await act();
    return suite.audit.whenQuiet(mark, options);
  };

  const apply = async (input: string): Promise<string> => {
    const { code, stdout, stderr } = await suite.kube.kubectl(["apply", "-f", "-"], { input });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return stdout;
  };

  it("makes of one kubectl apply a certificate, tokens and strict mTLS that other programs accept", async () => {
    await suite.account(shop, "payments");
    const object = identityObject(shop, "payments", { jwt: TOKENS, mtls: mtlsOf("payments") });
    await apply(JSON.stringify(object));
    const wait = ["wait", "-n", shop, "--for=condition=Ready", "si/payments", "--timeout=15s"];
    expect(await suite.kube.kubectl(wait)).toMatchObject({ code: 0 });

    const spiffeId = idOf(shop, "payments");
    const certificate = await suite.secret(shop, "payments-tls");
    const tokens = await suite.secret(shop, "payments-jwt");
    await verifyX509(certificate, spiffeId);
    expect(leafOf(certificate).subjectAltName).toBe(
      `URI:${spiffeId}, DNS:payments.${shop}.svc, DNS:payments.${shop}.svc.cluster.local`,
    );
    for (const audience of ["orders.shop", "audit"])
      await verifyToken(tokens, `${audience}.jwt`, { spiffeId, audience, issuer: ISSUER });
    const bundle = await suite.configMap(shop, "meshid-bundle");
    expect(bundle?.data?.["ca.crt"]).toBe(certificate["ca.crt"]);
    expect(bundle?.data?.["jwks.json"]).toBe(tokens["jwks.json"]);
    expect(bundle?.data?.["bundle.json"]).toBe(tokens["bundle.json"]);

    await suite.untilReason([shop, "payments"], "MTLSApplied", "Applied");
    const policy = await suite.peerAuthentication(shop, "payments");
    expect(policy?.spec).toEqual({
      selector: { matchLabels: { app: "payments" } },
      mtls: { mode: "STRICT" },
    });
  });

  it("is the controller of what it writes, under its label, and says so in status", async () => {
    const identity = await suite.get(shop, "payments");
    const objects = [
      await suite.secretObject(shop, "payments-tls"),
      await suite.secretObject(shop, "payments-jwt"),
      await suite.peerAuthentication(shop, "payments"),
    ];
    for (const found of objects) {
      expect(found?.metadata.labels).toEqual({ "app.kubernetes.io/managed-by": "meshid" });
      expect(found?.metadata.ownerReferences).toEqual([
        {
          apiVersion: "meshid.dev/v1alpha1",
          kind: "ServiceIdentity",
          name: "payments",
          uid: identity.metadata.uid,
          controller: true,
        },
      ]);
    }
    const leaf = leafOf(await suite.secret(shop, "payments-tls"));
    expect(identity.status).toMatchObject({
      observedGeneration: 1,
      spiffeID: idOf(shop, "payments"),
      x509: {
        serialNumber: leaf.serialNumber.toLowerCase(),
        secretName: "payments-tls",
        revision: 1,
        ttl: "24h0m0s",
        ttlReason: "Requested",
      },
      jwt: { secretName: "payments-jwt" },
      mtls: { mode: "Strict", peerAuthentication: "payments" },
    });
    expect(identity.status?.conditions?.map(({ type, status }) => `${type}=${status}`)).toEqual([
      "Ready=True",
      "X509Issued=True",
      "JWTIssued=True",
      "MTLSApplied=True",
    ]);
  });

  describe("the price of an identity in requests", () => {
    const PRICES: readonly (readonly [string, string, Readonly<Record<string, unknown>>, number, number])[] =
      [
        ["an X.509 identity", "cost-x", {}, 4, 3],
        ["one with tokens", "cost-j", { jwt: TOKENS }, 5, 4],
        ["one with mTLS", "cost-m", { mtls: mtlsOf("m") }, 5, 3],
        ["one with both", "cost-b", { jwt: TOKENS, mtls: mtlsOf("b") }, 6, 4],
      ];
    let issuance: readonly AuditEvent[];
    let renewal: readonly AuditEvent[];
    const keys = new Map<string, readonly string[]>();

    beforeAll(async () => {
      for (const [, name] of PRICES) await suite.account(shop, name);
      issuance = await requestsOf(async () => {
        for (const [, name, spec] of PRICES) await suite.identity(shop, name, spec);
        for (const [, name] of PRICES) await suite.ready(shop, name);
      }, QUIET);
      const keysOf = (): Promise<readonly string[]> =>
        Promise.all(PRICES.map(async ([, name]) => publicKeyOf(await suite.secret(shop, `${name}-tls`))));
      const before = await keysOf();
      renewal = await requestsOf(async () => {
        for (const [, name] of PRICES) await suite.renew(shop, name, "1");
        for (const [, name] of PRICES)
          await until("renewed", async () => {
            const { status } = await suite.get(shop, name);
            return status?.lastManualRenewal === "1" || undefined;
          });
      }, QUIET);
      const after = await keysOf();
      PRICES.forEach(([, name], index) => keys.set(name, [before[index] ?? "", after[index] ?? ""]));
    });

    /** Of the objects that are called after an identity. */
    const about = (name: string, events: readonly AuditEvent[]): readonly string[] =>
      events.filter(({ objectRef }) => objectRef?.name?.startsWith(name)).map(lineOf);

    it.each(PRICES)("of %s is low, and no request is refused", (...[, name, , first, again]) => {
      expect(about(name, issuance)).toEqual(expect.arrayContaining([`patch secrets ${shop}/${name}-tls`]));
      expect(about(name, issuance)).toEqual(atMost(first, about(name, issuance)));
      expect(about(name, renewal)).toEqual(expect.arrayContaining([`patch secrets ${shop}/${name}-tls`]));
      expect(about(name, renewal)).toEqual(atMost(again, about(name, renewal)));
    });

    it.each(PRICES)(
      "of %s buys another key with each renewal, and status tells of it",
      async (...[, name]) => {
        const [before, after] = keys.get(name) ?? [];
        expect(after).not.toBe(before);
        const { status } = await suite.get(shop, name);
        expect(status).toMatchObject({ lastManualRenewal: "1", x509: { revision: 2 } });
        const leaf = leafOf(await suite.secret(shop, `${name}-tls`));
        expect(status?.x509?.serialNumber).toBe(leaf.serialNumber.toLowerCase());
      },
    );

    it("holds nothing else but, now and then, a note in the journal of how long keys are in use", () => {
      const rest = [...issuance, ...renewal].filter(({ objectRef }) => !objectRef?.name?.startsWith("cost-"));
      const lines = rest.map(lineOf);
      expect(lines.filter((line) => line !== "patch secrets meshid-system/meshid-authority")).toEqual([]);
      expect(lines).toEqual(atMost(2, lines));
      const failed = [...issuance, ...renewal].filter(
        ({ responseStatus }) => (responseStatus?.code ?? 0) >= 400,
      );
      expect(failed.map(lineOf)).toEqual([]);
    });
  });

  it("renews by itself when the time has come, with another key each time", async () => {
    const namespace = await suite.namespace();
    await suite.identity(namespace, "brief", { x509: { ttl: "1m", renewAfterPercent: 10 } });
    await suite.ready(namespace, "brief");
    const seen = new Set<string>();
    await until(
      "two renewals",
      async () => {
        seen.add(publicKeyOf(await suite.secret(namespace, "brief-tls")));
        const { status } = await suite.get(namespace, "brief");
        return (status?.x509?.revision ?? 0) >= 3 || undefined;
      },
      25_000,
    );
    expect(seen.size).toBeGreaterThanOrEqual(2);
    await verifyX509(await suite.secret(namespace, "brief-tls"), idOf(namespace, "brief"));
    expect(await suite.kube.kubectl(["delete", "namespace", namespace, "--wait=false"])).toMatchObject({
      code: 0,
    });
  });

  it("writes nothing when the same manifest is applied again, by either way of applying", async () => {
    const object = identityObject(shop, "payments", { jwt: TOKENS, mtls: mtlsOf("payments") });
    const input = JSON.stringify(object);
    const before = await suite.get(shop, "payments");
    const requests = await requestsOf(async () => {
      expect(await suite.kube.kubectl(["diff", "-f", "-"], { input })).toMatchObject({ code: 0, stdout: "" });
      expect(await apply(input)).toContain("unchanged");
      const serverSide = ["apply", "--server-side", "--field-manager=gitops", "--force-conflicts", "-f", "-"];
      for (let round = 0; round < 2; round++)
        expect(await suite.kube.kubectl(serverSide, { input })).toMatchObject({ code: 0 });
    });
    expect(requests.map(lineOf)).toEqual([]);
    const after = await suite.get(shop, "payments");
    expect(after.metadata.generation).toBe(before.metadata.generation);
    expect(after.status).toEqual(before.status);
  });

  it("reads well in kubectl get -o wide and kubectl explain", async () => {
    const { stdout } = await suite.kube.kubectl(["get", "si", "payments", "-n", shop, "-o", "wide"]);
    const [head = "", row = ""] = stdout.trimEnd().split("\n");
    expect(head.trim().split(/\s{2,}/)).toEqual(
      "NAME READY SPIFFE-ID SECRET EXPIRES AGE REASON MTLS RENEWS SERIAL MESSAGE".split(" "),
    );
    const { status } = await suite.get(shop, "payments");
    expect(row.trim().split(/\s{2,}/)).toEqual([
      "payments",
      "True",
      idOf(shop, "payments"),
      "payments-tls",
      status?.x509?.notAfter,
      expect.stringMatching(/^\d+s$|^\d+m\d*s?$/),
      "Issued",
      "Strict",
      status?.x509?.renewalTime,
      status?.x509?.serialNumber,
      "every credential asked for is issued",
    ]);
    const explained = await suite.kube.kubectl(["explain", "si.spec.x509.ttl"]);
    expect(explained.stdout).toMatch(/FIELD: ttl <string>[\s\S]*Example: /);
  });

  it("issues anew when kubectl edit changes what the certificate says", async () => {
    const editor = join(suite.kube.dir, "editor.sh");
    writeFileSync(editor, '#!/bin/sh\nsed -i "s/^spec: {}$/spec: {x509: {ttl: 12h}}/" "$1"\n');
    chmodSync(editor, 0o755);
    process.env["KUBE_EDITOR"] = editor;
    await suite.identity(shop, "edited");
    await suite.ready(shop, "edited");
    const { code, stderr } = await suite.kube.kubectl(["edit", "si", "edited", "-n", shop]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const identity = await suite.ready(shop, "edited");
    expect(identity.status?.x509).toMatchObject({ ttl: "12h0m0s", revision: 2 });
  });

  it("has a deleted Secret back within a second, with another key", async () => {
    const before = await suite.secret(shop, "payments-tls");
    const uid = (await suite.secretObject(shop, "payments-tls"))?.metadata.uid;
    expect(await suite.kube.kubectl(["delete", "secret", "payments-tls", "-n", shop])).toMatchObject({
      code: 0,
    });
    await until("another Secret", async () => {
      const found = await suite.secretObject(shop, "payments-tls");
      return (found !== undefined && found.metadata.uid !== uid) || undefined;
    });
    const after = await suite.secret(shop, "payments-tls");
    expect(publicKeyOf(after)).not.toBe(publicKeyOf(before));
    await verifyX509(after, idOf(shop, "payments"));
  });

  it.each([
    ["a certificate that is garbage", "tls.crt", { data: { "tls.crt": btoa("garbage") } }],
    ["another's key", "tls.key", { stringData: { "tls.key": "not a key" } }],
    ["no roots", "ca.crt", { data: { "ca.crt": null } }],
    ["no label", "label", { metadata: { labels: null } }],
    ["no notes", "notes", { metadata: { annotations: null } }],
  ])("repairs a Secret that was edited to hold %s", async (_, what, body) => {
    const name = `repair-${what.replace(".", "-")}`;
    const namespace = await suite.namespace();
    await suite.identity(namespace, name);
    await suite.ready(namespace, name);
    const patch = ["patch", "secret", `${name}-tls`, "-n", namespace, "-p", JSON.stringify(body)];
    expect(await suite.kube.kubectl(patch)).toMatchObject({ code: 0 });
    await until("a Secret that is whole", async () => {
      const found = await suite.secretObject(namespace, `${name}-tls`);
      if (found?.metadata.labels?.["app.kubernetes.io/managed-by"] !== "meshid") return undefined;
      if (found.metadata.annotations?.["meshid.dev/content"] === undefined) return undefined;
      await verifyX509(await suite.secret(namespace, `${name}-tls`), idOf(namespace, name));
      return true;
    });
    await suite.ready(namespace, name);
  });

  it("bounds its repairs where another writer does not let go, and says so", async () => {
    const namespace = await suite.namespace();
    await suite.identity(namespace, "fought");
    await suite.ready(namespace, "fought");
    const path = `/api/v1/namespaces/${namespace}/secrets/fought-tls`;
    const mark = suite.audit.mark();
    const isSaid = async (): Promise<boolean> => {
      const { status } = await suite.get(namespace, "fought");
      return status?.conditions?.some(({ reason }) => reason === "SecretRewritten") === true;
    };
    // Well below the two minutes until the next repair; goes on for a while once nobody answers any more.
    const end = Date.now() + 60_000;
    for (let round = 0, after = 0; after < 10 && Date.now() < end; round++) {
      const body = { stringData: { "tls.crt": `round ${round}` } };
      await suite.kube.request({ method: "PATCH", path, contentType: "application/merge-patch+json", body });
      await pause(100);
      if (after > 0 || (await isSaid())) after++;
    }
    const { message } = await suite.untilReason([namespace, "fought"], "X509Issued", "SecretRewritten");
    expect(message).toContain("fought-tls");
    const repairs = suite.audit
      .since(mark)
      .filter(({ objectRef }) => objectRef?.name === "fought-tls")
      .filter(isWrite);
    expect(repairs.length).toBeGreaterThanOrEqual(2);
    expect(repairs.length).toBeLessThanOrEqual(6);
    // Nothing of it is to be tried again in a later test.
    expect(await suite.kube.kubectl(["delete", "si", "fought", "-n", namespace])).toMatchObject({ code: 0 });
  });

  it("waits for a ServiceAccount, and issues once it is there", async () => {
    await suite.kube.request({
      method: "POST",
      path: `/apis/meshid.dev/v1alpha1/namespaces/${shop}/serviceidentities`,
      body: identityObject(shop, "early", { serviceAccountName: "late" }),
    });
    const { message } = await suite.untilReason([shop, "early"], "X509Issued", "ServiceAccountNotFound");
    expect(message).toContain("ServiceAccount late does not exist");
    expect(await suite.secretObject(shop, "early-tls")).toBeUndefined();
    await suite.account(shop, "late");
    await suite.ready(shop, "early");
    await verifyX509(await suite.secret(shop, "early-tls"), idOf(shop, "late"));
  });

  it("lets the older of two identities have the ServiceAccount, and the other once that one is gone", async () => {
    const namespace = await suite.namespace();
    await suite.identity(namespace, "z-first", { serviceAccountName: "shared" });
    await suite.ready(namespace, "z-first");
    // Creation timestamps count whole seconds.
    await pause(1100);
    await suite.identity(namespace, "a-second", { serviceAccountName: "shared" });
    const { message } = await suite.untilReason([namespace, "a-second"], "X509Issued", "IdentityConflict");
    expect(message).toContain(`ServiceIdentity ${namespace}/z-first holds ServiceAccount shared`);
    expect(await suite.secretObject(namespace, "a-second-tls")).toBeUndefined();
    expect(await suite.kube.kubectl(["delete", "si", "z-first", "-n", namespace])).toMatchObject({ code: 0 });
    await suite.ready(namespace, "a-second");
    await verifyX509(await suite.secret(namespace, "a-second-tls"), idOf(namespace, "shared"));
  });

  it.each([
    ["ttl", { x509: { ttl: "200h" } }, "ttl"],
    ["algorithm", { x509: { keyAlgorithm: "RSA-4096" } }, "RSA-4096"],
  ])("issues nothing beyond the limit of the %s", async (what, spec, named) => {
    const namespace = await suite.namespace();
    await suite.identity(namespace, `over-${what}`, spec);
    const { message } = await suite.untilReason([namespace, `over-${what}`], "X509Issued", "LimitExceeded");
    expect(message).toContain(named);
    expect(await suite.secretObject(namespace, `over-${what}-tls`)).toBeUndefined();
  });

  it("issues to no more identities of a namespace than the limit allows, the oldest first", async () => {
    const namespace = await suite.namespace();
    for (let index = 0; index < 8; index++) await suite.identity(namespace, `many-${index}`);
    await pause(1100);
    await suite.identity(namespace, "a-late-one");
    const { message } = await suite.untilReason([namespace, "a-late-one"], "X509Issued", "LimitExceeded");
    expect(message).toContain("8 older ServiceIdentities");
    for (let index = 0; index < 8; index++) await suite.ready(namespace, `many-${index}`);
    expect(await suite.kube.kubectl(["delete", "si", "many-3", "-n", namespace])).toMatchObject({ code: 0 });
    await suite.ready(namespace, "a-late-one");
  });

  it("leaves a Secret of another alone, and takes the name once it is free", async () => {
    const namespace = await suite.namespace();
    const path = `/api/v1/namespaces/${namespace}/secrets`;
    const body = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "taken-tls" },
      stringData: { precious: "data" },
    };
    await suite.kube.request({ method: "POST", path, body });
    const before = await suite.secretObject(namespace, "taken-tls");
    await suite.identity(namespace, "taken");
    const { message } = await suite.untilReason([namespace, "taken"], "X509Issued", "SecretConflict");
    expect(message).toContain(`Secret ${namespace}/taken-tls exists and is not meshid's`);
    expect(await suite.secretObject(namespace, "taken-tls")).toEqual(before);
    await suite.kube.request({ method: "DELETE", path: `${path}/taken-tls` });
    await suite.renew(namespace, "taken", "now");
    await suite.ready(namespace, "taken");
  });

  it("writes the Secret that a deletion of tokens leaves behind away, and keeps the certificate", async () => {
    const namespace = await suite.namespace();
    await suite.identity(namespace, "less", { jwt: TOKENS });
    await suite.ready(namespace, "less");
    const before = await suite.secretObject(namespace, "less-tls");
    await suite.patch(namespace, "less", { spec: { jwt: null } });
    await suite.untilGone(`/api/v1/namespaces/${namespace}/secrets/less-jwt`);
    expect(await suite.secretObject(namespace, "less-tls")).toEqual(before);
    const identity = await suite.ready(namespace, "less");
    expect(identity.status?.conditions?.map(({ type }) => type)).toEqual(["Ready", "X509Issued"]);
    expect(identity.status?.jwt).toBeUndefined();
  });

  it("lets everything of a deleted identity go with it, and makes nothing of it anew", async () => {
    const namespace = await suite.namespace();
    await suite.identity(namespace, "gone", { jwt: TOKENS, mtls: { ...mtlsOf("gone"), mode: "Permissive" } });
    await suite.untilReason([namespace, "gone"], "MTLSApplied", "Applied");
    const requests = await requestsOf(async () => {
      expect(await suite.kube.kubectl(["delete", "si", "gone", "-n", namespace])).toMatchObject({ code: 0 });
      await suite.untilGone(`/api/v1/namespaces/${namespace}/secrets/gone-tls`);
      await suite.untilGone(`/api/v1/namespaces/${namespace}/secrets/gone-jwt`);
      const policies = `/apis/security.istio.io/v1/namespaces/${namespace}/peerauthentications`;
      await suite.untilGone(`${policies}/gone`);
    });
    expect(requests.map(lineOf)).toEqual([]);
  });

  it("does not hold up a namespace that is deleted in mid-work, and goes on elsewhere", async () => {
    const namespace = await suite.namespace();
    for (let index = 0; index < 8; index++) {
      await suite.account(namespace, `w${index}`);
      await suite.identity(namespace, `w${index}`, { jwt: TOKENS, mtls: mtlsOf(`w${index}`) });
    }
    const doomed = await suite.kube.kubectl(["delete", "namespace", namespace, "--timeout=90s"]);
    expect(doomed).toMatchObject({ code: 0 });
    await suite.renew(shop, "cost-x", "after");
    await until("a renewal elsewhere", async () => {
      const { status } = await suite.get(shop, "cost-x");
      return status?.lastManualRenewal === "after" || undefined;
    });
    await suite.audit.whenQuiet(suite.audit.mark());
  });

  it("writes nothing but the Lease while nothing is to be done", async () => {
    await suite.audit.whenQuiet(suite.audit.mark(), QUIET);
    const mark = suite.audit.mark();
    await pause(IDLE);
    const writes = suite.audit.since(mark).filter(isWrite);
    expect(writes.filter((event) => !isLease(event)).map(lineOf)).toEqual([]);
    expect(writes.filter(isLease).length).toBeGreaterThan(IDLE / 2000 / 2);
  });

  it("is refused nothing that it asks for, and never writes on a state that was not there", () => {
    expect(refusedByRbac(suite.audit.all())).toEqual([]);
    // The Secrets that another had made, or had taken the label from: asked for once, then left alone or taken up again.
    const others = /secrets \S+\/(taken|repair-label|fought)-tls/;
    expect(conflicts(suite.audit.all()).filter((line) => !others.test(line))).toEqual([]);
  });

  it("logs JSON alone, nothing that a person must act upon, and no key or token", async () => {
    const lines = controller.logs();
    expect(lines.filter(({ level }) => level === "none" || level === "error")).toEqual([]);
    const text = readFileSync(join(suite.kube.dir, controller.name, "log"), "utf8");
    expect(text).not.toContain("PRIVATE KEY");
    const tokens = await suite.secret(shop, "payments-jwt");
    expect(text).not.toContain(tokens["audit.jwt"]?.split(".")[2]);
    expect(controller.isRunning()).toBe(true);
  });
});
