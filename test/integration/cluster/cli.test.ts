/**
 * The commands that ask a cluster, on a real one, with the controller running under the chart's own rights.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { parse } from "yaml";
import type { Finding } from "../../../src/app/doctor/finding.ts";
import { makePki } from "../../support/cli.ts";
import { type Meshid, meshidWith } from "../../support/cluster-cli.ts";
import { ClusterSuite, DOMAIN, START_LIMIT } from "../../support/cluster-suite.ts";
import { describeCluster } from "../../support/control-plane/shared.ts";
import { type ControllerProcess, must } from "../../support/controller-process.ts";
import { until } from "../../support/local-process.ts";

const ISTIO_CRD = parse(
  readFileSync(
    fileURLToPath(new URL("../../support/istio/peerauthentications.yaml", import.meta.url)),
    "utf8",
  ),
) as unknown;

describeCluster("the commands in a cluster", () => {
  let suite: ClusterSuite;
  let controller: ControllerProcess;
  let dir: string;
  let shop: string;
  /** As the admin, and as someone with the role edit in `shop` and no other right. */
  let meshid: Meshid;
  let tenant: Meshid;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "meshid-cluster-cli-"));
    suite = await ClusterSuite.start({
      prepare: async (kube) => {
        const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        await must(kube, { method: "POST", path, body: ISTIO_CRD });
      },
    });
    meshid = meshidWith(suite.kube.kubeconfig);
    controller = await suite.chart.start();
    await deploy();
    await makeIstiod();
    shop = await suite.namespace();
    await must(suite.kube, {
      method: "POST",
      path: `/apis/rbac.authorization.k8s.io/v1/namespaces/${shop}/rolebindings`,
      body: {
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "RoleBinding",
        metadata: { name: "team" },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "edit" },
        subjects: [{ kind: "User", name: "ann", apiGroup: "rbac.authorization.k8s.io" }],
      },
    });
    tenant = meshidWith(await suite.kube.userKubeconfig("ann"));
    await suite.identity(shop, "payments", { jwt: { tokens: [{ audience: "orders.shop" }] } });
    await suite.ready(shop, "payments");
    await until("ann's rights, aggregated to the role edit", async () => {
      return (await tenant("status", "-n", shop)).code === 0 ? true : undefined;
    });
  }, START_LIMIT);

  afterAll(async () => {
    rmSync(dir, { recursive: true, force: true });
    await suite?.[Symbol.asyncDispose]();
  });

  /** The Deployment of the chart, with pods that say that they are ready, as kubelets do. */
  async function deploy(): Promise<void> {
    const { kube, rendered, chart } = suite;
    const deployments = `/apis/apps/v1/namespaces/${chart.namespace}/deployments`;
    const body = rendered.find(({ kind }) => kind === "Deployment");
    await must(kube, { method: "POST", path: deployments, body });
    await until("the Deployment is available", async () => {
      const { items } = await must<{ items: { metadata: { name: string } }[] }>(kube, {
        method: "GET",
        path: `/api/v1/namespaces/${chart.namespace}/pods`,
      });
      for (const { metadata } of items)
        await must(kube, {
          method: "PATCH",
          path: `/api/v1/namespaces/${chart.namespace}/pods/${metadata.name}/status`,
          contentType: "application/merge-patch+json",
          body: { status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] } },
        });
      const { status } = await must<{ status?: { availableReplicas?: number } }>(kube, {
        method: "GET",
        path: `${deployments}/meshid`,
      });
      return status?.availableReplicas === 2 ? true : undefined;
    });
  }

  async function doctor(
    as: Meshid,
    ...args: readonly string[]
  ): Promise<{ code: number; checks: Map<string, Finding> }> {
    const { code, stdout, stderr } = await as("doctor", "-o", "json", ...args);
    expect(stderr).toBe("");
    const { checks } = JSON.parse(stdout) as { checks: Finding[] };
    return { code, checks: new Map(checks.map((check) => [check.name, check])) };
  }

  const resultsOf = (checks: ReadonlyMap<string, Finding>, result: string): readonly string[] =>
    [...checks.values()].filter((check) => check.result === result).map(({ name }) => name);

  it("status shows the identities, the authority and the conditions of the TrustDomain", async () => {
    const { code, stdout, stderr } = await meshid("status");
    expect(stderr).toBe("");
    expect(stdout).toMatch(
      new RegExp(
        `^NAMESPACE .*\n${shop} +payments +True +spiffe://${DOMAIN}/ns/${shop}/sa/payments +payments-tls +in `,
      ),
    );
    expect(stdout).toContain(`\nAuthority of ${DOMAIN}\nKIND `);
    expect(stdout).toMatch(/\nIssuing +[0-9a-f]{40} +Active /);
    expect(stdout).toMatch(/\nAuthorityReady +True +Active /);
    expect(code).toBe(0);
  });

  it("status says why an identity is not Ready, and ends with 1", async () => {
    const namespace = await suite.namespace();
    await must(suite.kube, {
      method: "POST",
      path: `/apis/meshid.dev/v1alpha1/namespaces/${namespace}/serviceidentities`,
      body: {
        apiVersion: "meshid.dev/v1alpha1",
        kind: "ServiceIdentity",
        metadata: { name: "ghost" },
        spec: {},
      },
    });
    await suite.untilReason([namespace, "ghost"], "X509Issued", "ServiceAccountNotFound");
    const { code, stderr } = await meshid("status", "-n", namespace);
    expect(stderr).toContain(`${namespace}/ghost is not Ready: ServiceAccountNotFound: `);
    expect(code).toBe(1);
    const { checks } = await doctor(meshid, "-n", namespace);
    // It may still be on its way: only after a minute it is a fault.
    expect(checks.get("identities")).toMatchObject({ result: "ok" });
    await suite.untilGone(await deleteIdentity(namespace, "ghost"));
  });

  async function deleteIdentity(namespace: string, name: string): Promise<string> {
    const path = `/apis/meshid.dev/v1alpha1/namespaces/${namespace}/serviceidentities/${name}`;
    await must(suite.kube, { method: "DELETE", path });
    return path;
  }

  it("status of a user of one namespace shows it, and says what is not shown", async () => {
    const { code, stdout, stderr } = await tenant("status", "payments", "-n", shop);
    expect(stdout).toMatch(new RegExp(`\n${shop} +payments +True `));
    expect(stdout).not.toContain("Authority of");
    expect(stderr).toBe("meshid status: the TrustDomain is not shown, you may not list TrustDomains\n");
    expect(code).toBe(0);
    const all = await tenant("status", "-A");
    expect(all.stderr).toMatch(/User "ann" cannot list resource "serviceidentities"/);
    expect(all.code).toBe(2);
  });

  it("inspect explains a Secret and never shows its key", async () => {
    const { code, stdout } = await tenant("inspect", "secret/payments-tls", "-n", shop);
    expect(stdout).toMatch(new RegExp(`^Secret with an X.509-SVID +${shop}/payments-tls\n`));
    expect(stdout).toContain("Belongs to");
    expect(stdout).toContain("ServiceIdentity payments");
    expect(stdout).toContain("nothing is wrong with it");
    expect(code).toBe(0);
    const tokens = await tenant("inspect", "secret/payments-jwt", "-n", shop, "-o", "yaml");
    expect(tokens.code).toBe(0);
    const secrets = [
      ...Object.values(await suite.secret(shop, "payments-tls")),
      ...Object.values(await suite.secret(shop, "payments-jwt")),
    ];
    const shown = stdout + tokens.stdout;
    const keyLines = secrets
      .filter((text) => text.includes("PRIVATE KEY"))
      .flatMap((text) => text.split("\n").slice(1, 3));
    const signatures = secrets
      .filter((text) => text.startsWith("eyJ"))
      .map((text) => text.split(".")[2] ?? "");
    expect(keyLines.length + signatures.length).toBeGreaterThanOrEqual(3);
    for (const secret of [...keyLines, ...signatures]) expect(shown).not.toContain(secret);
  });

  it("inspect explains a Secret of someone else, and names the one that may have been meant", async () => {
    const { chainPem, keyPem } = await makePki();
    const data = {
      "tls.crt": Buffer.from(chainPem).toString("base64"),
      "tls.key": Buffer.from(keyPem).toString("base64"),
    };
    await must(suite.kube, {
      method: "POST",
      path: `/api/v1/namespaces/${shop}/secrets`,
      body: {
        apiVersion: "v1",
        kind: "Secret",
        type: "kubernetes.io/tls",
        metadata: { name: "foreign" },
        data,
      },
    });
    const foreign = await meshid("inspect", "secret/foreign", "-n", shop);
    expect(foreign.stdout).toContain("meshid has not written this Secret, and never renews it");
    const { code, stderr } = await meshid("inspect", "secret/payment-tls", "-n", shop);
    expect(stderr).toMatch(/there is no such Secret in the namespace ".*"; .*did you mean payments-tls\?/);
    expect(code).toBe(2);
  });

  it("verify checks a Secret and a file against the bundle of the namespace", async () => {
    const secret = await tenant("verify", "secret/payments-tls", "-n", shop);
    expect(secret.stdout).toMatch(/^OK {2}secret\/payments-tls tls\.crt: the X\.509-SVID is accepted\n/);
    expect(secret.stdout).toContain(`configmap/meshid-bundle of ${shop}`);
    const tokens = await tenant("verify", "secret/payments-jwt", "--audience", "orders.shop", "-n", shop);
    expect(tokens.stdout).toMatch(
      /^OK {2}secret\/payments-jwt orders\.shop\.jwt: the JWT-SVID is accepted\n/,
    );
    const chain = join(dir, "tls.crt");
    writeFileSync(chain, (await suite.secret(shop, "payments-tls"))["tls.crt"] ?? "");
    const file = await tenant(
      "verify",
      chain,
      "-n",
      shop,
      "--spiffe-id",
      `spiffe://${DOMAIN}/ns/${shop}/sa/payments`,
    );
    expect([secret.code, tokens.code, file.code]).toEqual([0, 0, 0]);
    writeFileSync(chain, (await makePki()).chainPem);
    const rogue = await tenant("verify", chain, "-n", shop);
    expect(rogue.stdout).toMatch(/^REFUSED/);
    expect(rogue.code).toBe(1);
    const nowhere = await meshid("verify", chain, "-n", "nowhere");
    expect(nowhere.stderr).toContain('the namespace "nowhere" has no ConfigMap meshid-bundle');
    expect(nowhere.code).toBe(2);
  });

  it("renew --wait ends when a new certificate is there", async () => {
    const before = await suite.get(shop, "payments");
    const { code, stdout, stderr } = await tenant("renew", "payments", "-n", shop, "--wait", "-o", "json");
    const { metadata, status } = await suite.get(shop, "payments");
    const answer = JSON.parse(stdout) as {
      request: { id: string };
      done: boolean;
      x509: { serialNumber: string };
    };
    expect(answer).toMatchObject({ done: true, request: { id: metadata.annotations?.["meshid.dev/renew"] } });
    expect(answer.x509.serialNumber).toBe(status?.x509?.serialNumber);
    expect(answer.x509.serialNumber).not.toBe(before.status?.x509?.serialNumber);
    expect(stderr).toMatch(/: renewed\n$/);
    expect(code).toBe(0);
  });

  it("renew of what the user has not meant ends with 2", async () => {
    const { code, stderr } = await tenant("renew", "payment", "-n", shop);
    expect(stderr).toMatch(/there is no identity "payment" in the namespace .*did you mean payments\?/);
    expect(code).toBe(2);
    const stranger = meshidWith(await suite.kube.userKubeconfig("eve"));
    const refused = await stranger("renew", "payments", "-n", shop);
    expect(refused.stderr).toMatch(/User "eve" cannot get resource "serviceidentities"/);
    expect(refused.code).toBe(2);
  });

  const windows = (maintenanceWindows: unknown): Promise<unknown> =>
    must(suite.kube, {
      method: "PATCH",
      path: `/apis/meshid.dev/v1alpha1/trustdomains/${DOMAIN}`,
      contentType: "application/merge-patch+json",
      body: { spec: { rotation: { maintenanceWindows } } },
    });

  it.each(["issuing", "jwt"] as const)(
    "rotate %s --wait follows the new key until it signs",
    async (kind) => {
      const keyOf = async (): Promise<string | undefined> =>
        (await suite.trustDomain()).status?.authorities?.find(
          (one) => one.kind.toLowerCase() === kind && one.state === "Active",
        )?.keyID;
      const before = await keyOf();
      // What was asked for is prepared all the same, and held: long enough to be seen.
      await windows([{ schedule: `0 0 1 ${((new Date().getUTCMonth() + 6) % 12) + 1} *`, duration: "1h" }]);
      let told = "";
      const asked = meshidWith(suite.kube.kubeconfig, (stderr) => {
        told = stderr;
      })("rotate", kind, "--wait", "--timeout", "100s");
      try {
        await until("the new key is told of", async () =>
          /new key [0-9a-f]{40}, not used yet: /.test(told) ? true : undefined,
        );
      } finally {
        await windows(null);
      }
      const { code, stdout } = await asked;
      const after = await keyOf();
      expect(stdout).toContain(`of ${DOMAIN}: key ${after} signs now`);
      expect(after).not.toBe(before);
      expect(code).toBe(0);
    },
  );

  it("rotate root --wait ends when an issuing certificate under the new root signs", async () => {
    const before = (await suite.trustDomain()).status?.authorities ?? [];
    const { code, stdout } = await meshid("rotate", "root", "--wait", "--timeout", "100s");
    const { authorities = [] } = (await suite.trustDomain()).status ?? {};
    const active = (kind: string): string =>
      authorities.find((one) => one.kind === kind && one.state === "Active")?.keyID ?? "";
    expect(stdout).toContain(`root ${active("Root")} and issuing key ${active("Issuing")} under it sign now`);
    for (const { keyID } of before) expect([active("Root"), active("Issuing")]).not.toContain(keyID);
    expect(code).toBe(0);
  });

  it("renew --all -n renews every identity of a namespace, with the rights of its team", async () => {
    await suite.identity(shop, "orders");
    await suite.identity(shop, "web");
    for (const name of ["orders", "web"]) await suite.ready(shop, name);
    const serialsOf = async (namespace: string): Promise<readonly (string | undefined)[]> =>
      (await suite.list(namespace)).map(({ status }) => status?.x509?.serialNumber);
    const before = await serialsOf(shop);
    const begun = new Date(Math.floor(Date.now() / 1000) * 1000).toISOString().replace(".000Z", "Z");
    const { code, stdout } = await tenant("renew", "--all", "-n", shop, "--wait", "-o", "json");
    expect(JSON.parse(stdout)).toMatchObject({
      namespaces: { [shop]: 3 },
      asked: 3,
      refused: [],
      done: true,
      renewed: 3,
    });
    const after = await serialsOf(shop);
    for (const serial of after) expect(before).not.toContain(serial);
    expect(code).toBe(0);
    const again = await tenant("renew", "--all", "--before", begun, "-n", shop, "--wait");
    expect(again.stdout).toBe(
      `Nothing to renew in the namespace ${shop}; left out: 3 issued at ${begun} or later.\n`,
    );
    expect([again.code, await serialsOf(shop)]).toEqual([0, after]);
    const everywhere = await tenant("renew", "--all");
    expect(everywhere.stderr).toMatch(/User "ann" cannot list resource "serviceidentities"/);
    expect(everywhere.code).toBe(2);
  });

  it("rotate root --compromised says what breaks, and does it only after a confirmation", async () => {
    const { keyID: old = "" } =
      (await suite.trustDomain()).status?.authorities?.find(
        (one) => one.kind === "Root" && one.state === "Active",
      ) ?? {};
    const refused = await meshid("rotate", "root", "--compromised");
    expect(refused.stderr).toMatch(
      new RegExp(`--confirm: is missing; expected --confirm ${DOMAIN}, .* root key ${old}:\n {2}breaks: `),
    );
    expect(refused.code).toBe(2);
    const issuing = await meshid("rotate", "issuing", "--compromised", "--confirm", DOMAIN);
    expect(issuing.stderr).toContain("can only be distrusted with its root");
    expect(issuing.code).toBe(2);
    const emergency = ["rotate", "root", "--compromised", "--confirm", DOMAIN, "--wait", "--timeout", "50s"];
    const { code, stdout } = await meshid(...emergency);
    const count = (await suite.list()).filter(({ status }) => status?.x509 !== undefined).length;
    expect(stdout).toMatch(
      new RegExp(
        `^Distrusted the root key of ${DOMAIN}: ${old} is out of every bundle, [0-9a-f]{40} signs; ${count} of ${count} identities have new certificates\\.\n$`,
      ),
    );
    expect(code).toBe(0);
    const { metadata, status } = await suite.trustDomain();
    expect(metadata.annotations?.["meshid.dev/distrust-root"]).toBe(old);
    expect(status?.authorities?.map(({ keyID }) => keyID)).not.toContain(old);
    const verified = await tenant("verify", "secret/payments-tls", "-n", shop);
    expect(verified.stdout).toMatch(/^OK /);
    const again = await meshid(...emergency);
    expect(again.stdout).toContain(`Distrusted the root key of ${DOMAIN}: ${old} is out of every bundle`);
    expect((await suite.trustDomain()).metadata.annotations?.["meshid.dev/distrust-root"]).toBe(old);
  });

  it("rotate is not for everyone", async () => {
    const { code, stderr } = await tenant("rotate", "root");
    expect(stderr).toMatch(/User "ann" cannot list resource "trustdomains"/);
    expect(code).toBe(2);
  });

  it("doctor finds nothing wrong where nothing is", async () => {
    const { code, checks } = await doctor(meshid);
    expect(resultsOf(checks, "failed")).toEqual([]);
    // Tests do not wait for istiod's copy of a JWKS.
    const warnings = [...checks.values()].filter(({ result }) => result === "warning");
    expect(warnings.map(({ name }) => name)).toEqual(["rotation"]);
    expect(warnings[0]?.message).toMatch(
      /^rotation\.propagation is 2s, and istiod keeps its copy of the JWKS for 20m/,
    );
    expect(resultsOf(checks, "skipped")).toEqual([]);
    expect(code).toBe(0);
  });

  it("doctor of a user of one namespace skips what the user may not read, and says why", async () => {
    const { code, checks } = await doctor(tenant, "-n", shop);
    expect(resultsOf(checks, "failed")).toEqual([]);
    expect(resultsOf(checks, "ok")).toEqual(
      expect.arrayContaining(["api-server", "bundles", "reconciling", "identities", "credentials"]),
    );
    for (const name of ["crds", "operator", "operator-rights", "leader", "journal", "trust-domain"])
      expect(checks.get(name)).toMatchObject({
        result: "skipped",
        message: expect.stringMatching(/^you may not /),
      });
    expect(code).toBe(0);
  });

  it("doctor asks for the controller's rights as the controller too", async () => {
    const kubeconfig = join(suite.kube.dir, controller.name, "kubeconfig");
    const { checks } = await doctor(meshidWith(kubeconfig));
    expect(checks.get("operator-rights")).toMatchObject({ result: "ok" });
    expect(checks.get("leader")).toMatchObject({ result: "ok" });
  });

  it("doctor names the policy that shadows, Istio's other trust domain and the pods without a certificate", async () => {
    const namespace = await suite.namespace();
    const selector = { matchLabels: { app: "web" } };
    await must(suite.kube, {
      method: "POST",
      path: `/apis/security.istio.io/v1/namespaces/${namespace}/peerauthentications`,
      body: {
        apiVersion: "security.istio.io/v1",
        kind: "PeerAuthentication",
        metadata: { name: "older" },
        spec: { selector, mtls: { mode: "PERMISSIVE" } },
      },
    });
    await suite.identity(namespace, "web", { mtls: { mode: "Strict", selector } });
    await suite.untilReason([namespace, "web"], "MTLSApplied", "ShadowedByOlderPolicy");
    await makePod(namespace, "bare", []);
    await makePod(namespace, "good", [{ name: "svid", secret: { secretName: "web-tls" } }]);
    await must(suite.kube, {
      method: "PATCH",
      path: "/api/v1/namespaces/istio-system/configmaps/istio",
      contentType: "application/merge-patch+json",
      body: { data: { mesh: "accessLogFile: /dev/stdout\n" } },
    });
    const { code, checks } = await doctor(meshid);
    expect(checks.get("mesh-policies")).toMatchObject({
      result: "failed",
      affected: [`${namespace}/older before ${namespace}/web`],
    });
    expect(checks.get("mesh-pods")).toMatchObject({
      result: "warning",
      affected: [expect.stringContaining(`${namespace}/bare (no sidecar`)],
    });
    expect(checks.get("istio")).toMatchObject({ result: "ok", message: expect.stringContaining("1.27.1") });
    expect(checks.get("istio-trust-domain")).toMatchObject({
      result: "failed",
      message: expect.stringContaining("istio says cluster.local"),
      remedy: expect.stringContaining(DOMAIN),
    });
    expect(code).toBe(1);
    await suite.untilGone(await deleteIdentity(namespace, "web"));
  });

  async function makePod(namespace: string, name: string, volumes: readonly unknown[]): Promise<void> {
    await must(suite.kube, {
      method: "POST",
      path: `/api/v1/namespaces/${namespace}/pods`,
      body: {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name, labels: { app: "web" } },
        spec: { containers: [{ name: "web", image: "web" }], volumes },
      },
    });
  }

  async function makeIstiod(): Promise<void> {
    const namespace = "istio-system";
    const labels = { app: "istiod" };
    const template = {
      metadata: { labels },
      spec: { containers: [{ name: "discovery", image: "istio/pilot:1.27.1" }] },
    };
    const objects: readonly (readonly [string, unknown])[] = [
      ["/api/v1/namespaces", { metadata: { name: namespace } }],
      [
        `/api/v1/namespaces/${namespace}/configmaps`,
        { metadata: { name: "istio" }, data: { mesh: `trustDomain: ${DOMAIN}\n` } },
      ],
      [
        `/apis/apps/v1/namespaces/${namespace}/deployments`,
        {
          metadata: { name: "istiod", labels },
          spec: { replicas: 0, selector: { matchLabels: labels }, template },
        },
      ],
    ];
    for (const [path, body] of objects) await must(suite.kube, { method: "POST", path, body });
  }

  it("doctor sees that nobody leads, that a Secret is gone and that bundles are gone or changed", async () => {
    const namespace = await suite.namespace();
    await controller.kill();
    await must(suite.kube, {
      method: "PATCH",
      path: `/api/v1/namespaces/${namespace}/configmaps/meshid-bundle`,
      contentType: "application/merge-patch+json",
      body: { data: { "ca.crt": "nothing" } },
    });
    await must(suite.kube, { method: "DELETE", path: `/api/v1/namespaces/${shop}/configmaps/meshid-bundle` });
    await must(suite.kube, { method: "DELETE", path: `/api/v1/namespaces/${shop}/secrets/payments-tls` });
    const [{ code, checks }, renewal] = await Promise.all([
      doctor(meshid),
      meshid("renew", "payments", "-n", shop, "--wait", "--timeout", "3s"),
    ]);
    expect(checks.get("leader")).toMatchObject({
      result: "failed",
      message: expect.stringContaining("nobody leads"),
    });
    expect(checks.get("bundles")).toMatchObject({ result: "failed", affected: [shop, namespace] });
    expect(checks.get("credentials")).toMatchObject({ result: "failed", affected: [`${shop}/payments-tls`] });
    expect(code).toBe(1);
    expect(renewal.stdout).toContain("it is not done yet: asked for; the controller has not taken it up yet");
    expect(renewal.code).toBe(1);
    controller = await suite.chart.start();
    await until("all is mended", async () => {
      return (await suite.secretObject(shop, "payments-tls")) === undefined ? undefined : true;
    });
  });

  it("doctor sees roles, policies and CRDs that are not what the chart installs", async () => {
    const { kube } = suite;
    const role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/meshid-write";
    const { rules } = await must<{ rules: { resources: string[] }[] }>(kube, { method: "GET", path: role });
    const mergePatch = { method: "PATCH", contentType: "application/merge-patch+json" } as const;
    await must(kube, {
      ...mergePatch,
      path: role,
      body: { rules: rules.filter(({ resources }) => !resources.includes("configmaps")) },
    });
    const binding =
      "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/meshid-own-objects";
    await must(kube, { method: "DELETE", path: binding });
    const path =
      "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/limits/properties/identitiesPerNamespace";
    const patch = JSON.stringify([{ op: "remove", path }]);
    const patched = await kube.kubectl([
      "patch",
      "crd",
      "trustdomains.meshid.dev",
      "--type=json",
      "-p",
      patch,
    ]);
    expect(patched).toMatchObject({ code: 0, stderr: "" });
    const { code, checks } = await doctor(meshid);
    expect(checks.get("operator-rights")).toMatchObject({
      result: "failed",
      affected: expect.arrayContaining(["patch configmaps"]),
    });
    expect(checks.get("admission-policies")).toMatchObject({
      result: "warning",
      affected: ["meshid-own-objects"],
    });
    expect(checks.get("crds")).toMatchObject({
      result: "warning",
      affected: ["trustdomains.meshid.dev spec.limits.identitiesPerNamespace"],
    });
    expect(code).toBe(1);
  });

  it("ends with 3 when the cluster does not let it in, or is not there", async () => {
    const config = JSON.parse(readFileSync(suite.kube.kubeconfig, "utf8")) as {
      users: { user: unknown }[];
    };
    config.users[0]!.user = { token: "nobody-knows-me" };
    const file = join(dir, "unknown.kubeconfig");
    writeFileSync(file, JSON.stringify(config));
    const unknown = await meshidWith(file)("status");
    expect(unknown.stderr).toMatch(/does not know who asks \(401 /);
    suite.kube.pause();
    const silent = await meshid("status");
    suite.kube.resume();
    expect(silent.stderr).toMatch(/cannot be reached: .*deadline exceeded/);
    await suite.kube.kill();
    const commands = [
      ["status"],
      ["doctor"],
      ["renew", "payments", "-n", shop],
      ["rotate", "jwt"],
      ["inspect", "secret/payments-tls"],
      ["verify", "secret/payments-tls"],
    ];
    const outcomes = await Promise.all(commands.map((args) => meshid(...args)));
    for (const { stderr, stdout } of outcomes) {
      expect(stderr).toMatch(
        /the API server at https:\/\/127\.0\.0\.1:\d+\/ cannot be reached: .*ECONNREFUSED/,
      );
      expect(stdout).toBe("");
    }
    expect([unknown, silent, ...outcomes].map(({ code }) => code)).toEqual(Array(8).fill(3));
  });
});
