/**
 * The bundle ConfigMap of each selected namespace, on a real control plane: kept right against people and programs.
 */

import { X509Certificate } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, it } from "@jest/globals";
import { isWrite, lineOf } from "../../support/audit-log.ts";
import { ClusterSuite, DOMAIN, START_LIMIT } from "../../support/cluster-suite.ts";
import { describeCluster } from "../../support/control-plane/shared.ts";
import { type ControllerProcess, must } from "../../support/controller-process.ts";
import { certificatesIn } from "../../support/credentials.ts";
import { quickest, until } from "../../support/local-process.ts";
import { conflicts, refusedByRbac } from "../../support/rbac-audit.ts";

const NAME = "meshid-bundle";

/** Milliseconds. */
const SECOND = 1000;

describeCluster("the bundle of each namespace", () => {
  let suite: ClusterSuite;
  let controller: ControllerProcess;

  beforeAll(async () => {
    const bundle = {
      namespaceSelector: { matchExpressions: [{ key: "mesh", operator: "NotIn", values: ["off"] }] },
    };
    suite = await ClusterSuite.start({ trustDomain: { rotation: { propagation: "2s" }, bundle } });
    controller = await suite.chart.start();
  }, START_LIMIT);

  afterAll(async () => {
    await suite?.[Symbol.asyncDispose]();
  });

  beforeEach(() => {
    expect(controller.isRunning()).toBe(true);
  });

  const pathOf = (namespace: string): string => `/api/v1/namespaces/${namespace}/configmaps/${NAME}`;

  const patch = (path: string, body: unknown): Promise<unknown> =>
    must(suite.kube, { method: "PATCH", path, contentType: "application/merge-patch+json", body });

  /** How long that takes in milliseconds. */
  const untilWhole = async (namespace: string): Promise<number> => {
    const begun = Date.now();
    const ca = await suite.roots();
    await until(`the bundle of ${namespace}`, async () => {
      const found = await suite.configMap(namespace, NAME);
      const isOurs = found?.metadata.labels?.["app.kubernetes.io/managed-by"] === "meshid";
      return (isOurs && found.data?.["ca.crt"] === ca && found.data["jwks.json"] !== undefined) || undefined;
    });
    return Date.now() - begun;
  };

  it("is in every namespace that there is, the operator's and kube-system included", async () => {
    await Promise.all(["default", "kube-system", "meshid-system"].map((namespace) => untilWhole(namespace)));
    const domain = await until("the TrustDomain says so", async () => {
      const found = await suite.trustDomain();
      const { namespaces, namespacesCurrent } = found.status?.bundle ?? {};
      return namespaces === namespacesCurrent && namespaces !== undefined ? found : undefined;
    });
    const { body } = await suite.kube.request({ method: "GET", path: "/api/v1/namespaces" });
    const all = (body as { readonly items: readonly unknown[] }).items.length;
    expect(domain.status?.bundle?.namespacesCurrent).toBe(all);
    const published = domain.status?.conditions?.find(({ type }) => type === "BundlePublished");
    expect(published).toMatchObject({ status: "True", reason: "Published" });
  });

  it("holds the roots, the SPIFFE bundle and the JWKS, and belongs to the TrustDomain", async () => {
    const found = await suite.configMap("default", NAME);
    expect(Object.keys(found?.data ?? {}).sort()).toEqual(["bundle.json", "ca.crt", "jwks.json"]);
    const [root, ...others] = certificatesIn(found?.data?.["ca.crt"]);
    expect(others).toEqual([]);
    expect(new X509Certificate(root ?? "")).toMatchObject({
      ca: true,
      subjectAltName: `URI:spiffe://${DOMAIN}`,
    });
    const bundle = JSON.parse(found?.data?.["bundle.json"] ?? "") as {
      keys: { use: string; x5c?: string[] }[];
    };
    expect(bundle.keys.map(({ use }) => use).sort()).toEqual(["jwt-svid", "x509-svid"]);
    const x5c = bundle.keys.find(({ use }) => use === "x509-svid")?.x5c?.[0];
    expect(x5c).toBe(new X509Certificate(root ?? "").raw.toString("base64"));
    const { metadata } = await suite.trustDomain();
    expect(found?.metadata.ownerReferences).toEqual([
      {
        apiVersion: "meshid.dev/v1alpha1",
        kind: "TrustDomain",
        name: DOMAIN,
        uid: metadata.uid,
        controller: true,
      },
    ]);
  });

  it("is the same that is served over HTTPS", async () => {
    const found = await suite.configMap("default", NAME);
    const served = await controller.fetch("/.well-known/spiffe-bundle.json", await suite.roots());
    expect(served.status).toBe(200);
    expect(JSON.parse(served.body)).toEqual(JSON.parse(found?.data?.["bundle.json"] ?? ""));
    const jwks = await controller.fetch("/.well-known/jwks.json", await suite.roots());
    expect(JSON.parse(jwks.body)).toEqual(JSON.parse(found?.data?.["jwks.json"] ?? ""));
  });

  it("reaches a new namespace within a second", async () => {
    const took = await quickest(SECOND, async () => untilWhole(await suite.kube.makeNamespace()));
    expect(took).toBeLessThanOrEqual(SECOND);
  });

  it.each([
    [
      "its roots are replaced",
      { data: { "ca.crt": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" } },
    ],
    ["a part of it is taken away", { data: { "jwks.json": null } }],
    ["all of it is taken away", { data: null }],
    ["its label is taken away", { metadata: { labels: null } }],
  ])("is repaired within a second where %s", async (_, body) => {
    const namespace = await suite.namespace();
    const took = await quickest(SECOND, async () => {
      await patch(pathOf(namespace), body);
      return untilWhole(namespace);
    });
    expect(took).toBeLessThanOrEqual(SECOND);
  });

  it("is back within a second where it was deleted", async () => {
    const namespace = await suite.namespace();
    const before = await suite.configMap(namespace, NAME);
    const took = await quickest(SECOND, async () => {
      await must(suite.kube, { method: "DELETE", path: pathOf(namespace) });
      return untilWhole(namespace);
    });
    expect((await suite.configMap(namespace, NAME))?.metadata.uid).not.toBe(before?.metadata.uid);
    expect(took).toBeLessThanOrEqual(SECOND);
  });

  it("stays away from a namespace that is not selected, comes with the label and leaves with it", async () => {
    const namespace = await suite.kube.makeNamespace({ mesh: "off" });
    const other = await suite.namespace();
    expect(other).not.toBe(namespace);
    expect(await suite.configMap(namespace, NAME)).toBeUndefined();
    await patch(`/api/v1/namespaces/${namespace}`, { metadata: { labels: { mesh: "on" } } });
    await untilWhole(namespace);
    await patch(`/api/v1/namespaces/${namespace}`, { metadata: { labels: { mesh: "off" } } });
    await suite.untilGone(pathOf(namespace));
  });

  it("leaves a ConfigMap of another that has its name, and says so on the TrustDomain until it is gone", async () => {
    const namespace = await suite.kube.makeNamespace({ mesh: "off" });
    const squatted = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: NAME },
      data: { "ca.crt": "a tenant's own" },
    };
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    await must(suite.kube, { method: "POST", path, body: squatted });
    const before = await suite.configMap(namespace, NAME);
    await patch(`/api/v1/namespaces/${namespace}`, { metadata: { labels: { mesh: "on" } } });
    const published = async (): Promise<Readonly<Record<string, unknown>> | undefined> => {
      const { status } = await suite.trustDomain();
      return status?.conditions?.find(({ type }) => type === "BundlePublished") as never;
    };
    const conflict = await until("BundleConflict", async () => {
      const found = await published();
      return found?.["reason"] === "BundleConflict" ? found : undefined;
    });
    expect(conflict["message"]).toContain(namespace);
    expect(await suite.configMap(namespace, NAME)).toEqual(before);
    await until("an Event", async () => {
      const { body } = await suite.kube.request({
        method: "GET",
        path: "/apis/events.k8s.io/v1/namespaces/default/events",
      });
      const { items } = body as {
        readonly items: readonly { readonly reason: string; readonly note: string }[];
      };
      return items.find(({ reason, note }) => reason === "BundleConflict" && note.includes(namespace));
    });
    await must(suite.kube, { method: "DELETE", path: pathOf(namespace) });
    // Nobody tells of the deletion of another's object: it is looked at every minute, and when the namespace is selected.
    await patch(`/api/v1/namespaces/${namespace}`, { metadata: { labels: { mesh: "off" } } });
    await patch(`/api/v1/namespaces/${namespace}`, { metadata: { labels: { mesh: "on" } } });
    await untilWhole(namespace);
    await until("Published", async () =>
      (await published())?.["reason"] === "Published" ? true : undefined,
    );
  });

  it("goes where the TrustDomain says, under the name that it says, and is taken away from elsewhere", async () => {
    const chosen = await suite.kube.makeNamespace({ mesh: "chosen" });
    await untilWhole(chosen);
    const { metadata } = await suite.trustDomain();
    const path = `/apis/meshid.dev/v1alpha1/trustdomains/${metadata.name}`;
    await patch(path, {
      spec: { bundle: { namespaceSelector: { matchExpressions: null, matchLabels: { mesh: "chosen" } } } },
    });
    await suite.untilGone(pathOf("default"));
    expect((await suite.configMap(chosen, NAME))?.data?.["ca.crt"]).toContain("BEGIN CERTIFICATE");
    await patch(path, { spec: { bundle: { configMapName: "roots" } } });
    await until("the new name", () => suite.configMap(chosen, "roots"));
    await suite.untilGone(pathOf(chosen));
  });

  it("costs no request while nothing changes, and none is refused", async () => {
    await suite.audit.whenQuiet(suite.audit.mark(), { silence: 3000 });
    const mark = suite.audit.mark();
    await suite.kube.makeNamespace();
    const requests = await suite.audit.whenQuiet(mark);
    expect(requests.filter(isWrite).map(lineOf)).toEqual([]);
    expect(refusedByRbac(suite.audit.all())).toEqual([]);
    const others = /configmaps \S+ → 409/;
    expect(conflicts(suite.audit.all()).filter((line) => !others.test(line))).toEqual([]);
  });
});
