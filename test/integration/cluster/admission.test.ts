/**
 * The chart's ValidatingAdmissionPolicies on a real API server, asked by users of different rights. Policies belong to the
 * whole cluster: here each is bound to this suite's namespaces only, so that other suites do not meet them.
 */

import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { parseAllDocuments } from "yaml";
import { controlPlane, describeCluster } from "../../support/control-plane/shared.ts";
import type { Completed, ControlPlane } from "../../support/control-plane/types.ts";

const CHART = fileURLToPath(new URL("../../../charts/meshid", import.meta.url));
const SUITE = `admission-${randomBytes(4).toString("hex")}`;
const DOMAIN = `${SUITE}.example`;

interface KubeObject {
  readonly kind: string;
  readonly metadata: Record<string, unknown> & { readonly name: string; readonly namespace?: string };
  readonly [member: string]: unknown;
}

describeCluster("the admission policies of the chart", () => {
  let kube: ControlPlane;
  /** Where teams work, and where meshid does. */
  let shop: string;
  let system: string;
  let made: readonly KubeObject[] = [];
  const config = new Map<string, string>();

  beforeAll(async () => {
    kube = await controlPlane();
    await kube.installCrds();
    const labels = { "test/suite": SUITE };
    [shop, system] = await Promise.all([kube.makeNamespace(labels), kube.makeNamespace(labels)]);
    const args = ["template", "meshid", CHART, "-n", system, "--set", `trustDomain.name=${DOMAIN}`];
    const rendered = await kube.helm(args);
    expect(rendered).toMatchObject({ code: 0 });
    made = boundHere(
      parseAllDocuments(rendered.stdout).flatMap(
        (document) => (document.toJSON() as KubeObject | null) ?? [],
      ),
    );
    made = [...made, ...clusterRights(`system:serviceaccount:${system}:meshid`)];
    await apply(JSON.stringify({ apiVersion: "v1", kind: "List", items: [...made, ...rightsIn(shop)] }));
    // Who may write ServiceIdentities and nothing else; who has the built-in role edit; meshid; who may create one token.
    const account = (name: string): string => `system:serviceaccount:${system}:${name}`;
    config.set("writer", await kube.userKubeconfig(`${SUITE}-writer`));
    config.set("editor", await kube.userKubeconfig(`${SUITE}-editor`));
    config.set("payer", await kube.userKubeconfig(`${SUITE}-payer`));
    config.set("meshid", await kube.userKubeconfig(account("meshid"), ["system:serviceaccounts"]));
    await makeOwners();
    await untilEnforced();
  });

  afterAll(async () => {
    if (made.length === 0) return;
    const input = JSON.stringify({ apiVersion: "v1", kind: "List", items: made });
    await kube.kubectl(["delete", "--ignore-not-found", "--wait=false", "-f", "-"], { input });
    await kube.kubectl(["delete", "trustdomain", `owner.${DOMAIN}`, "--ignore-not-found", "--wait=false"]);
  });

  const apply = async (input: string): Promise<void> => {
    const done = await kube.kubectl(["apply", "--server-side", "-f", "-"], { input });
    if (done.code !== 0) throw new Error(done.stderr);
  };

  const send = (user: string | undefined, args: readonly string[], object?: unknown): Promise<Completed> => {
    const input = object === undefined ? {} : { input: JSON.stringify(object) };
    const kubeconfig = user === undefined ? {} : { kubeconfig: config.get(user) ?? "" };
    return kube.kubectl(args, { ...input, ...kubeconfig });
  };

  const create = (user: string | undefined, object: unknown): Promise<Completed> =>
    send(user, ["create", "-f", "-"], object);

  const identity = (name: string, spec: unknown = {}, annotations = {}): unknown => ({
    apiVersion: "meshid.dev/v1alpha1",
    kind: "ServiceIdentity",
    metadata: { name, namespace: shop, annotations },
    spec,
  });

  /** A policy takes a moment to be known to the API server. */
  const untilEnforced = async (): Promise<void> => {
    for (const end = Date.now() + 20_000; ; ) {
      const refusals = await Promise.all([
        send("writer", ["create", "--dry-run=server", "-f", "-"], identity("probe")),
        send("meshid", ["create", "--dry-run=server", "-f", "-"], secret(shop, "probe")),
      ]);
      if (refusals.every(({ stderr }) => stderr.includes("ValidatingAdmissionPolicy"))) return;
      if (Date.now() > end) throw new Error(`not enforced: ${JSON.stringify(refusals)}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };

  const secret = (namespace: string, name: string, more: Readonly<Record<string, unknown>> = {}): unknown => {
    const { type = "Opaque", ...metadata } = more;
    return { apiVersion: "v1", kind: "Secret", type, metadata: { name, namespace, ...metadata } };
  };

  const MANAGED = { "app.kubernetes.io/managed-by": "meshid" };
  /** Of objects that exist: what an unknown one owns is collected at once. */
  const uids = { first: "", second: "", domain: "" };
  const owner = (kind: string, name: keyof typeof uids, more = {}): unknown => ({
    apiVersion: "meshid.dev/v1alpha1",
    kind,
    name: name === "domain" ? `owner.${DOMAIN}` : name,
    uid: uids[name],
    controller: true,
    ...more,
  });
  const owned = (kind = "ServiceIdentity", more = {}): Readonly<Record<string, unknown>> => ({
    labels: MANAGED,
    ownerReferences: [owner(kind, kind === "TrustDomain" ? "domain" : "first", more)],
  });

  const makeOwners = async (): Promise<void> => {
    const make = async (object: unknown): Promise<string> => {
      const args = ["create", "-f", "-", "-o", "jsonpath={.metadata.uid}"];
      const { code, stdout, stderr } = await send(undefined, args, object);
      if (code !== 0) throw new Error(stderr);
      return stdout;
    };
    uids.first = await make(identity("first"));
    uids.second = await make(identity("second"));
    uids.domain = await make(trustDomain(`owner.${DOMAIN}`));
  };

  const trustDomain = (name: string): unknown => ({
    apiVersion: "meshid.dev/v1alpha1",
    kind: "TrustDomain",
    metadata: { name },
    spec: {},
  });

  it("are the whole of what was rendered: two policies and their bindings", () => {
    const policies = made.filter(({ kind }) => kind.startsWith("ValidatingAdmission"));
    expect(policies.map(({ kind }) => kind).sort()).toEqual([
      "ValidatingAdmissionPolicy",
      "ValidatingAdmissionPolicy",
      "ValidatingAdmissionPolicyBinding",
      "ValidatingAdmissionPolicyBinding",
    ]);
  });

  it("have expressions that the API server finds nothing wrong with", async () => {
    for (const { metadata } of made.filter(({ kind }) => kind === "ValidatingAdmissionPolicy")) {
      const checked = await typeChecked(metadata.name);
      expect({ policy: metadata.name, ...checked }).toEqual({ policy: metadata.name });
    }
  });

  /** What kube-controller-manager says of the expressions, once it has looked. */
  const typeChecked = async (name: string): Promise<object> => {
    const path = `/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/${name}`;
    for (const end = Date.now() + 20_000; Date.now() < end; ) {
      const { body } = await kube.request({ method: "GET", path });
      const { status } = body as { readonly status?: { readonly typeChecking?: object } };
      if (status?.typeChecking !== undefined) return status.typeChecking;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    throw new Error(`${name}: not type-checked`);
  };

  it("refuse an identity to who may write ServiceIdentities and has no right to that ServiceAccount's token", async () => {
    const { code, stderr } = await create("writer", identity("a1"));
    expect(code).toBe(1);
    expect(stderr).toContain(
      `user "${SUITE}-writer" may not have the identity of ServiceAccount "${shop}/a1"; expected the right to create serviceaccounts/token of it`,
    );
  });

  it("let the built-in role edit, and who may create just this token, have the identity", async () => {
    expect(await create("editor", identity("a2"))).toMatchObject({ code: 0 });
    expect(await create("payer", identity("payments"))).toMatchObject({ code: 0 });
  });

  it("ask for the token of the ServiceAccount that the spec names, not of the object's name", async () => {
    const other = await create("payer", identity("payments-2", { serviceAccountName: "admin" }));
    expect(other.stderr).toContain(`ServiceAccount "${shop}/admin"`);
    expect(await create("payer", identity("any-name", { serviceAccountName: "payments" }))).toMatchObject({
      code: 0,
    });
  });

  it("know a name that the server makes up, and an apply that creates", async () => {
    const generated = { ...(identity("") as object), metadata: { generateName: "gen-", namespace: shop } };
    const refused = await create("writer", generated);
    expect(refused.stderr).toMatch(new RegExp(`identity of ServiceAccount "${shop}/gen-[a-z0-9]+"`));
    expect(await create("editor", generated)).toMatchObject({ code: 0 });
    const apply = ["apply", "--server-side", "-f", "-"];
    expect((await send("writer", apply, identity("applied"))).stderr).toContain(`"${shop}/applied"`);
    expect(await send("editor", apply, identity("applied"))).toMatchObject({ code: 0 });
  });

  it("ask again when the spec or an annotation of meshid changes, and not for anything else", async () => {
    expect(await create("editor", identity("a3", {}, { "meshid.dev/renew": "1" }))).toMatchObject({
      code: 0,
    });
    const patch = (user: string, body: unknown): Promise<Completed> =>
      send(user, ["-n", shop, "patch", "si", "a3", "--type=merge", "-p", JSON.stringify(body)]);
    const annotate = (annotations: unknown): unknown => ({ metadata: { annotations } });

    expect((await patch("writer", { spec: { x509: { ttl: "2h" } } })).stderr).toContain(
      "may not have the identity",
    );
    expect((await patch("writer", { spec: { serviceAccountName: "admin" } })).stderr).toContain(
      `"${shop}/admin"`,
    );
    expect((await patch("writer", annotate({ "meshid.dev/renew": "2" }))).code).toBe(1);
    expect((await patch("writer", annotate({ "meshid.dev/other": "1" }))).code).toBe(1);
    expect((await patch("writer", annotate({ "meshid.dev/renew": null }))).code).toBe(1);
    expect(await patch("writer", annotate({ "example.org/note": "1" }))).toMatchObject({ code: 0 });
    expect(await patch("writer", { metadata: { labels: { team: "a" } } })).toMatchObject({ code: 0 });
    expect(await patch("editor", annotate({ "meshid.dev/renew": "3" }))).toMatchObject({ code: 0 });
  });

  it("let go of an object that is being deleted, whoever takes its finalizer away", async () => {
    const held = identity("a4") as { metadata: Record<string, unknown> };
    held.metadata["finalizers"] = ["example.org/held"];
    expect(await create("editor", held)).toMatchObject({ code: 0 });
    expect(await send("writer", ["-n", shop, "delete", "si", "a4", "--wait=false"])).toMatchObject({
      code: 0,
    });
    const body = JSON.stringify({ spec: { x509: { ttl: "3h" } }, metadata: { finalizers: null } });
    expect(await send("writer", ["-n", shop, "patch", "si", "a4", "--type=merge", "-p", body])).toMatchObject(
      { code: 0 },
    );
  });

  it.each([
    ["payments.SHOP.svc", true],
    ["v1.payments.SHOP.svc", true],
    ["payments.SHOP.svc.cluster.local", true],
    ["payments.orders.svc", false],
    ["payments.SHOP.svc.example.org", false],
    ["payments.SHOP.svc.clusterXlocal", false],
    ["SHOP.orders.svc.cluster.local", false],
    ["a.b.payments.SHOP.svc", false],
  ])("DNS name %s: allowed is %s", async (name, isAllowed) => {
    const dnsName = name.replace("SHOP", shop).replace("clusterXlocal", "clusterxlocal");
    const args = ["create", "--dry-run=server", "-f", "-"];
    const { code, stderr } = await send("editor", args, identity("a5", { x509: { dnsNames: [dnsName] } }));
    expect({ code, stderr }).toMatchObject({ code: isAllowed ? 0 : 1 });
    // Three labels before the namespace are refused by the schema already.
    if (!isAllowed && !name.startsWith("a.b."))
      expect(stderr).toContain(`${dnsName} is not a Service of namespace ${shop}`);
  });

  it("keep the names of meshid's own Secrets free in its namespace, from the admin too", async () => {
    const at = (namespace: string, name: string, spec: unknown): unknown => ({
      ...(identity(name, spec) as object),
      metadata: { name, namespace },
    });
    const dryRun = ["create", "--dry-run=server", "-f", "-"];
    const squatter = at(system, "journal", { x509: { secretName: "meshid-authority" } });
    expect((await send(undefined, dryRun, squatter)).stderr).toContain("belong to meshid itself");
    expect((await send(undefined, dryRun, at(system, "meshid", {}))).stderr).toContain(
      "belong to meshid itself",
    );
    expect(await send(undefined, dryRun, at(shop, "meshid", {}))).toMatchObject({ code: 0 });
  });

  it("let meshid write objects that a ServiceIdentity or the TrustDomain controls", async () => {
    expect(await create("meshid", secret(shop, "m1", owned()))).toMatchObject({ code: 0 });
    const bundle = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "m1", namespace: shop, ...owned("TrustDomain") },
    };
    expect(await create("meshid", bundle)).toMatchObject({ code: 0 });
    const patch = JSON.stringify({ stringData: { a: "b" }, metadata: { labels: null } });
    const labelled = JSON.stringify({ stringData: { a: "b" }, metadata: { labels: MANAGED } });
    // Someone has taken the label away: it is still meshid's, and meshid puts it back.
    expect(await send(undefined, ["-n", shop, "patch", "secret", "m1", "-p", patch])).toMatchObject({
      code: 0,
    });
    expect(await send("meshid", ["-n", shop, "patch", "secret", "m1", "-p", labelled])).toMatchObject({
      code: 0,
    });
    expect(await send("meshid", ["-n", shop, "delete", "secret/m1", "configmap/m1"])).toMatchObject({
      code: 0,
    });
  });

  it.each<[string, () => Readonly<Record<string, unknown>>]>([
    ["no label", () => ({ ownerReferences: [owner("ServiceIdentity", "first")] })],
    ["another's label", () => ({ ...owned(), labels: { "app.kubernetes.io/managed-by": "Helm" } })],
    ["no owner", () => ({ labels: MANAGED })],
    ["an owner that is no controller", () => owned("ServiceIdentity", { controller: false })],
    ["an owner of another kind", () => owned("TrustDomain")],
    ["an owner of another group", () => owned("ServiceIdentity", { apiVersion: "example.org/v1" })],
    [
      "a group that only looks alike",
      () => owned("ServiceIdentity", { apiVersion: "meshid.dev.example.org/v1" }),
    ],
    [
      "the type of a ServiceAccount's token",
      () => ({ ...owned(), type: "kubernetes.io/service-account-token" }),
    ],
  ])("refuse meshid a Secret with %s", async (_, more) => {
    const annotations = { "kubernetes.io/service-account.name": "default" };
    const { code, stderr } = await create("meshid", secret(shop, "m2", { annotations, ...more() }));
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("meshid-own-objects") });
  });

  it("refuse meshid a ConfigMap that a ServiceIdentity controls, and a Secret meshid-* outside its namespace", async () => {
    const configMap = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "m3", namespace: shop, ...owned() },
    };
    expect((await create("meshid", configMap)).stderr).toContain("a controller of kind TrustDomain");
    expect((await create("meshid", secret(shop, "meshid-authority"))).stderr).toContain("meshid-own-objects");
  });

  it("refuse meshid to change, take over or delete what is another's, whatever it makes of it", async () => {
    expect(await create(undefined, secret(shop, "foreign"))).toMatchObject({ code: 0 });
    expect(
      await create(
        undefined,
        secret(shop, "twin", { ownerReferences: [owner("ServiceIdentity", "second")] }),
      ),
    ).toMatchObject({ code: 0 });
    const take = (name: string): Promise<Completed> => {
      const body = JSON.stringify({ metadata: owned(), stringData: { a: "b" } });
      return send("meshid", ["-n", shop, "patch", "secret", name, "--type=merge", "-p", body]);
    };
    expect((await take("foreign")).stderr).toContain("changes and deletes only objects of its own");
    expect((await take("twin")).stderr).toContain("never takes an object over");
    expect((await send("meshid", ["-n", shop, "delete", "secret", "foreign"])).stderr).toContain(
      "deletes only objects of its own",
    );
    expect(await send(undefined, ["-n", shop, "get", "secret", "foreign"])).toMatchObject({ code: 0 });
  });

  it("let meshid keep Secrets meshid-* without an owner in its own namespace, and no others", async () => {
    expect(await create("meshid", secret(system, "meshid-authority"))).toMatchObject({ code: 0 });
    const labelled = JSON.stringify({ metadata: { labels: MANAGED } });
    const patch = ["-n", system, "patch", "secret", "meshid-authority", "-p", labelled];
    expect(await send("meshid", patch)).toMatchObject({ code: 0 });
    expect(await send("meshid", ["-n", system, "delete", "secret", "meshid-authority"])).toMatchObject({
      code: 0,
    });
    expect((await create("meshid", secret(system, "byo-ca"))).stderr).toContain("meshid-own-objects");
  });

  it("refuse meshid any TrustDomain but the one that it serves", async () => {
    const dryRun = ["create", "--dry-run=server", "-f", "-"];
    expect(await send("meshid", dryRun, trustDomain(DOMAIN))).toMatchObject({ code: 0 });
    expect((await send("meshid", dryRun, trustDomain(`other.${DOMAIN}`))).stderr).toContain(
      `only the TrustDomain that it serves, ${DOMAIN}`,
    );
  });

  it("let others write what they like", async () => {
    expect(await create("editor", secret(shop, "o1", owned()))).toMatchObject({ code: 0 });
    expect(await send("editor", ["-n", shop, "delete", "secret", "o1"])).toMatchObject({ code: 0 });
  });

  /** What the test users may do in `namespace`; meshid is given more than by the chart, so that only the policy says no. */
  function rightsIn(namespace: string): readonly unknown[] {
    const bind = (role: string, user: string, at = namespace, kind = "ClusterRole"): unknown => ({
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      metadata: { name: `${role}-${user.replaceAll(":", "-")}`, namespace: at },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind, name: role },
      subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: user }],
    });
    const role = (name: string, rules: readonly unknown[]): unknown => ({
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "Role",
      metadata: { name, namespace },
      rules,
    });
    const identities = { apiGroups: ["meshid.dev"], resources: ["serviceidentities"], verbs: ["*"] };
    const token = {
      apiGroups: [""],
      resources: ["serviceaccounts/token"],
      resourceNames: ["payments"],
      verbs: ["create"],
    };
    return [
      role("identities", [identities]),
      role("one-token", [token]),
      bind("identities", `${SUITE}-writer`, namespace, "Role"),
      bind("identities", `${SUITE}-editor`, namespace, "Role"),
      bind("identities", `${SUITE}-payer`, namespace, "Role"),
      bind("one-token", `${SUITE}-payer`, namespace, "Role"),
      bind("edit", `${SUITE}-editor`),
      bind("admin", `system:serviceaccount:${system}:meshid`),
      bind("admin", `system:serviceaccount:${system}:meshid`, system),
    ];
  }
});

/** Policies and bindings of the chart under names of this suite, bound to its namespaces. */
function boundHere(objects: readonly KubeObject[]): readonly KubeObject[] {
  return objects
    .filter(({ kind }) => kind.startsWith("ValidatingAdmissionPolicy"))
    .map((object) => {
      const named = { ...object, metadata: { ...object.metadata, name: `${SUITE}-${object.metadata.name}` } };
      if (object.kind === "ValidatingAdmissionPolicy") return named;
      const spec = object["spec"] as Readonly<Record<string, unknown>>;
      const namespaceSelector = { matchLabels: { "test/suite": SUITE } };
      return {
        ...named,
        spec: { ...spec, policyName: named.metadata.name, matchResources: { namespaceSelector } },
      };
    });
}

/** The name of a TrustDomain is left open, so that only the policy restricts it. */
function clusterRights(user: string): readonly KubeObject[] {
  const name = `${SUITE}-trustdomains`;
  const apiVersion = "rbac.authorization.k8s.io/v1";
  return [
    {
      apiVersion,
      kind: "ClusterRole",
      metadata: { name },
      rules: [{ apiGroups: ["meshid.dev"], resources: ["trustdomains"], verbs: ["create"] }],
    },
    {
      apiVersion,
      kind: "ClusterRoleBinding",
      metadata: { name },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
      subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: user }],
    },
  ];
}
