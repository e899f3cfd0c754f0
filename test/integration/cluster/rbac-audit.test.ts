/**
 * The rights that the chart gives against those that the controller uses: everything that meshid ever does is done once,
 * then the audit log is held against the rendered roles.
 */

import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { ClusterSuite, DOMAIN, START_LIMIT } from "../../support/cluster-suite.ts";
import { describeCluster } from "../../support/control-plane/shared.ts";
import { must } from "../../support/controller-process.ts";
import { until } from "../../support/local-process.ts";
import {
  describeRight,
  type Right,
  refusedByRbac,
  rightsOf,
  unusedRights,
} from "../../support/rbac-audit.ts";

const PEER_AUTHENTICATIONS = fileURLToPath(
  new URL("../../support/istio/peerauthentications.yaml", import.meta.url),
);
const MERGE = "application/merge-patch+json";
const FULL = {
  jwt: { tokens: [{ audience: "orders.shop" }] },
  mtls: { mode: "Permissive", selector: { matchLabels: { app: "a" } } },
};

describeCluster.each([
  ["for the whole cluster", undefined],
  ["for some namespaces", ["team-a", "team-b"]],
] as const)("the rights of the chart, %s", (_, watchNamespaces) => {
  let suite: ClusterSuite;
  let rights: readonly Right[];

  beforeAll(async () => {
    const values = watchNamespaces === undefined ? {} : { watchNamespaces };
    const prepare = async (one: ClusterSuite["kube"]): Promise<void> => {
      for (const name of ["team-a", "team-b"]) {
        const body = { apiVersion: "v1", kind: "Namespace", metadata: { name } };
        await must(one, { method: "POST", path: "/api/v1/namespaces", body });
      }
    };
    suite = await ClusterSuite.start({ values, prepare, trustDomain: { rotation: { propagation: "1s" } } });
    rights = rightsOf(suite.rendered);
    expect(await suite.kube.kubectl(["apply", "-f", PEER_AUTHENTICATIONS])).toMatchObject({ code: 0 });
    const first = await suite.chart.start();
    await doEverything();
    // Another holder of the Lease, and a start beside what is there.
    await first.stop();
    await suite.chart.start();
    await suite.renew("team-a", "full", "2");
    await until("a renewal", async () => {
      const { status } = await suite.get("team-a", "full");
      return status?.lastManualRenewal === "2" || undefined;
    });
    await suite.audit.whenQuiet(suite.audit.mark());
  }, START_LIMIT);

  afterAll(async () => {
    await suite?.[Symbol.asyncDispose]();
  });

  const squat = (path: string, body: object): Promise<unknown> =>
    must(suite.kube, { method: "POST", path, body });

  /** Everything that meshid does in its life, in one namespace after the other. */
  const doEverything = async (): Promise<void> => {
    for (const namespace of ["team-a", "team-b"]) {
      await until("the bundle", () => suite.configMap(namespace, "meshid-bundle"));
      await suite.identity(namespace, "full", FULL);
      await suite.untilReason([namespace, "full"], "MTLSApplied", "Applied");
      // A certificate that follows another spec, tokens that are amended, parts that are dropped.
      await suite.patch(namespace, "full", {
        spec: { jwt: { tokens: [{ audience: "a" }, { audience: "b" }] } },
      });
      await until("two tokens", async () => (await suite.get(namespace, "full")).status?.jwt?.tokens?.[1]);
      await suite.patch(namespace, "full", { spec: { jwt: null, mtls: null } });
      await suite.untilGone(`/api/v1/namespaces/${namespace}/secrets/full-jwt`);
      const policies = `/apis/security.istio.io/v1/namespaces/${namespace}/peerauthentications`;
      await suite.untilGone(`${policies}/full`);
      // Objects of others where ours would be.
      const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "squatted-tls" } };
      await squat(`/api/v1/namespaces/${namespace}/secrets`, secret);
      await suite.identity(namespace, "squatted");
      await suite.untilReason([namespace, "squatted"], "X509Issued", "SecretConflict");
      // The same trouble twice is one Event that counts.
      await must(suite.kube, {
        method: "DELETE",
        path: `/api/v1/namespaces/${namespace}/secrets/squatted-tls`,
      });
      await suite.renew(namespace, "squatted", "1");
      await suite.ready(namespace, "squatted");
      const name = "squatted-tls";
      await must(suite.kube, { method: "DELETE", path: `/api/v1/namespaces/${namespace}/secrets/${name}` });
      await suite.ready(namespace, "squatted");
      await selectBundle({
        matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "NotIn", values: [namespace] }],
      });
      await suite.untilGone(`/api/v1/namespaces/${namespace}/configmaps/meshid-bundle`);
      const config = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "meshid-bundle" } };
      await squat(`/api/v1/namespaces/${namespace}/configmaps`, config);
      await selectBundle({ matchExpressions: [] });
      await until("BundleConflict", async () => {
        const { status } = await suite.trustDomain();
        // The one before may still be looked for.
        return status?.conditions?.find(
          ({ reason, message }) => reason === "BundleConflict" && message.includes(namespace),
        );
      });
      await must(suite.kube, {
        method: "DELETE",
        path: `/api/v1/namespaces/${namespace}/configmaps/meshid-bundle`,
      });
    }
    const other = {
      apiVersion: "meshid.dev/v1alpha1",
      kind: "TrustDomain",
      metadata: { name: "other.example" },
      spec: {},
    };
    await squat("/apis/meshid.dev/v1alpha1/trustdomains", other);
    await until("NotServed", async () => {
      const found = await suite.object("/apis/meshid.dev/v1alpha1/trustdomains/other.example");
      return JSON.stringify(found?.["status"] ?? {}).includes("NotServed") || undefined;
    });
    await rotate();
  };

  const patchDomain = (body: unknown): Promise<unknown> =>
    must(suite.kube, {
      method: "PATCH",
      path: `/apis/meshid.dev/v1alpha1/trustdomains/${DOMAIN}`,
      contentType: MERGE,
      body,
    });

  const selectBundle = (namespaceSelector: unknown): Promise<unknown> =>
    patchDomain({ spec: { bundle: { namespaceSelector } } });

  /** Keys that come and go. */
  const rotate = async (): Promise<void> => {
    await patchDomain({ metadata: { annotations: { "meshid.dev/rotate-jwt": "1" } } });
    await until("another JWT key", async () => {
      const { status } = await suite.trustDomain();
      const states = status?.authorities?.filter(({ kind }) => kind === "JWT").map(({ state }) => state);
      return states?.includes("Retired") || undefined;
    });
  };

  it("are all used", () => {
    expect(unusedRights(rights, suite.audit.all())).toEqual([]);
  });

  it("are all that it asks for", () => {
    expect(refusedByRbac(suite.audit.all())).toEqual([]);
  });

  it("name no right over everything, and none that would let it take more", () => {
    const lines = rights.map(describeRight);
    expect(lines.filter((line) => line.includes("*"))).toEqual([]);
    const verbs = new Set(rights.map(({ verb }) => verb));
    for (const verb of ["escalate", "bind", "impersonate", "deletecollection"])
      expect(verbs).not.toContain(verb);
    expect(lines.filter((line) => /pods|tokens?\b|serviceaccounts\/|roles/.test(line))).toEqual([]);
  });
});
