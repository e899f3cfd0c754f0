import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, it } from "@jest/globals";
import { parse } from "yaml";
import {
  chartFiles,
  HELM_TEMPLATE_ARGS,
  INSTALL_MANIFEST,
  installManifest,
} from "../../hack/generate-chart.ts";
import { parseArguments } from "../../src/app/arguments.ts";
import { type ControllerConfig, parseControllerConfig } from "../../src/app/controller-config.ts";
import { CONTROLLER_DEFAULTS } from "../../src/app/controller-options.ts";
import { PROBE_PATHS } from "../../src/http/probe-routes.ts";
import { METRICS } from "../../src/telemetry/metric-catalogue.ts";
import { controlPlane, describeCluster } from "../support/control-plane/shared.ts";
import type { ControlPlane } from "../support/control-plane/types.ts";
import { CHART, only, type Rendered, render } from "./rendered.ts";

const onDisk = (path: string): Promise<string> => readFile(new URL(`../../${path}`, import.meta.url), "utf8");

const EVERYTHING = {
  podDisruptionBudget: { enabled: true },
  networkPolicy: {
    enabled: true,
    metricsFrom: [{ namespaceSelector: { matchLabels: { name: "monitoring" } } }],
  },
  serviceMonitor: { enabled: true, labels: { release: "prometheus" } },
  prometheusRule: { enabled: true, labels: { release: "prometheus" } },
  imagePullSecrets: ["registry"],
  priorityClassName: "system-cluster-critical",
  nodeSelector: { "kubernetes.io/os": "linux" },
  tolerations: [{ operator: "Exists" }],
  affinity: { nodeAffinity: {} },
  topologySpreadConstraints: [
    {
      maxSkew: 1,
      topologyKey: "zone",
      whenUnsatisfiable: "DoNotSchedule",
      labelSelector: { matchLabels: { "app.kubernetes.io/name": "meshid" } },
    },
  ],
  podAnnotations: { "example.org/a": "b" },
  podLabels: { team: "platform" },
  serviceAnnotations: { "example.org/c": "d" },
};

describe("the generated files of the chart", () => {
  it("are what hack/generate makes", async () => {
    for (const [path, content] of await chartFiles())
      expect({ path, content: await onDisk(path) }).toEqual({ path, content });
  });

  it("have the version of the package", async () => {
    const { version } = JSON.parse(await onDisk("package.json")) as { readonly version: string };
    expect(parse(await onDisk("charts/meshid/Chart.yaml"))).toMatchObject({ version, appVersion: version });
  });
});

describeCluster("the chart", () => {
  let kube: ControlPlane;
  let plain: readonly Rendered[];
  let full: readonly Rendered[];

  beforeAll(async () => {
    kube = await controlPlane();
    [plain, full] = await Promise.all([render(kube), render(kube, EVERYTHING)]);
  });

  it("makes charts/install.yaml, as hack/generate writes it", async () => {
    const { stdout } = await kube.helm([
      ...HELM_TEMPLATE_ARGS.slice(0, 2),
      CHART,
      ...HELM_TEMPLATE_ARGS.slice(3),
    ]);
    expect(await onDisk(INSTALL_MANIFEST)).toBe(installManifest(stdout));
  });

  it("has nothing that helm lint finds fault with", async () => {
    const args = ["lint", CHART, "--strict", "--namespace", "meshid-system", "--values", "-"];
    const { code, stdout } = await kube.helm(args, { input: JSON.stringify(EVERYTHING) });
    expect({ code, faults: /WARNING|ERROR/.exec(stdout)?.[0] }).toEqual({ code: 0, faults: undefined });
  });

  it("makes the optional objects only where they are asked for", () => {
    const optional = (kinds: readonly Rendered[]): readonly string[] =>
      kinds
        .map(({ kind, metadata }) => `${kind} ${metadata.name}`)
        .filter((name) => /Disruption|NetworkPolicy|Monitor|PrometheusRule|metrics/.test(name))
        .sort();
    expect(optional(plain)).toEqual([]);
    expect(optional(full)).toEqual([
      "NetworkPolicy meshid",
      "PodDisruptionBudget meshid",
      "PrometheusRule meshid",
      "Service meshid-metrics",
      "ServiceMonitor meshid",
    ]);
  });

  it.each([
    [{ admissionPolicies: { enabled: false } }, /ValidatingAdmissionPolicy/],
    [{ crds: { install: false } }, /CustomResourceDefinition/],
    [{ rbac: { aggregateToUserRoles: false } }, /meshid-serviceidentities-(view|edit)/],
    [{ mesh: { sidecarTemplate: false } }, /meshid-istio-sidecar/],
  ])("leaves out with %j what was there", async (values, pattern) => {
    const has = (objects: readonly Rendered[]): boolean =>
      objects.some(({ kind, metadata }) => pattern.test(`${kind} ${metadata.name}`));
    expect([has(plain), has(await render(kube, values))]).toEqual([true, false]);
  });

  it.each([
    ["colour", { colour: "red" }],
    ["image.name", { image: { name: "meshid" } }],
    ["trustDomain.spec.jwt.issuerUrl", { trustDomain: { spec: { jwt: { issuerUrl: "https://a" } } } }],
    [
      "trustDomain.spec.rotation.propagation",
      { trustDomain: { spec: { rotation: { propagation: "90d" } } } },
    ],
    ["trustDomain.name", { trustDomain: { name: "Example.org" } }],
    ["image.pullPolicy", { image: { pullPolicy: "Sometimes" } }],
    ["replicas", { replicas: "two" }],
    ["workers", { workers: 65 }],
    ["watchNamespaces", { watchNamespaces: "shop" }],
    ["resources.claims", { resources: { claims: [] } }],
    ["prometheusRule.alerts", { prometheusRule: { alerts: [] } }],
  ])("refuses a value that is not there or not so: %s", async (path, values) => {
    const last = path.split(".").at(-1) ?? "";
    await expect(render(kube, values)).rejects.toThrow(new RegExp(`values.*schema[^]*${last}`, "i"));
  });

  it("runs restricted pods: the API server takes them where nothing else is allowed", async () => {
    const namespace = await kube.makeNamespace({ "pod-security.kubernetes.io/enforce": "restricted" });
    const { template } = only(plain, "Deployment")["spec"];
    const spec = { ...template.spec, serviceAccountName: "default" };
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "meshid", namespace }, spec };
    const dryRun = ["create", "--dry-run=server", "--validate=strict", "-f", "-"];
    const taken = await kube.kubectl(dryRun, { input: JSON.stringify(pod) });
    expect(taken).toMatchObject({ code: 0, stderr: "" });
    // Restricted does not ask for this one.
    expect(template.spec.containers[0].securityContext.readOnlyRootFilesystem).toBe(true);
    const root = { ...pod, spec: { ...spec, securityContext: {} } };
    expect(await kube.kubectl(dryRun, { input: JSON.stringify(root) })).toMatchObject({ code: 1 });
  });

  it("makes objects without a field that the API server does not know", async () => {
    await kube.installCrds();
    const namespace = await kube.makeNamespace();
    const known = (await render(kube, EVERYTHING, namespace)).filter(
      ({ kind }) => !["ServiceMonitor", "PrometheusRule", "CustomResourceDefinition"].includes(kind),
    );
    const input = JSON.stringify({ apiVersion: "v1", kind: "List", items: known });
    const { code, stderr } = await kube.kubectl(
      ["create", "--dry-run=server", "--validate=strict", "-f", "-"],
      { input },
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(known.length).toBeGreaterThan(15);
  });

  it("reads and writes no Secret of the cluster where it serves some namespaces only", async () => {
    const objects = await render(kube, { watchNamespaces: ["shop", "orders"] });
    const wide = objects.filter(({ kind }) => kind === "ClusterRole").flatMap((role) => role["rules"]);
    const granted = wide.flatMap(({ resources, verbs }) =>
      (resources as readonly string[]).map(
        (resource) => `${resource}: ${(verbs as readonly string[]).join()}`,
      ),
    );
    expect(granted.filter((right) => !/^(trustdomains|events)/.test(right)).sort()).toEqual([
      "namespaces: list,watch",
      "peerauthentications: list,watch",
      // The two that users' roles are made of.
      "serviceidentities: create,update,patch,delete,deletecollection",
      "serviceidentities: get,list,watch",
    ]);
    for (const namespace of ["shop", "orders"]) {
      for (const name of ["meshid-read", "meshid-write"]) {
        const { rules } = only(objects, "Role", name, namespace);
        expect(rules.flatMap((rule: { resources: unknown }) => rule.resources)).toContain("secrets");
        const { roleRef, subjects } = only(objects, "RoleBinding", name, namespace);
        expect({ roleRef, subjects }).toMatchObject({
          roleRef: { kind: "Role", name },
          subjects: [{ kind: "ServiceAccount", name: "meshid", namespace: "meshid-system" }],
        });
      }
    }
    const own = only(objects, "Role", "meshid-operator")["rules"];
    expect(own.some((rule: { resources: unknown }) => String(rule.resources) === "secrets")).toBe(true);
  });

  it("never uses a wildcard and never grants rights beyond meshid's own, in any role", () => {
    const roles = plain.filter(({ kind }) => kind === "ClusterRole" || kind === "Role");
    const granted = roles.flatMap(({ rules }) => rules as readonly Record<string, readonly string[]>[]);
    expect(
      granted.flatMap((rule) => Object.values(rule).flat()).filter((word) => word.includes("*")),
    ).toEqual([]);
    expect([...new Set(granted.flatMap((rule) => rule["resources"] ?? []))].sort()).toEqual([
      "configmaps",
      "endpointslices",
      "events",
      "leases",
      "namespaces",
      "peerauthentications",
      "secrets",
      "serviceaccounts",
      "serviceidentities",
      "serviceidentities/status",
      "trustdomains",
      "trustdomains/status",
    ]);
  });

  it("names the issuer by the namespace of the release, unless values name one", async () => {
    const specOf = async (values: unknown, namespace?: string): Promise<unknown> => {
      const { data } = only(await render(kube, values, namespace), "ConfigMap", "meshid-trust-domain");
      return parse(data["trust-domain.yaml"]);
    };
    expect(await specOf({})).toEqual({});
    expect(await specOf({}, "mesh")).toEqual({ jwt: { issuer: "https://meshid.mesh.svc" } });
    const spec = {
      jwt: { issuer: "https://id.example.org", algorithm: "RS256" },
      rotation: { propagation: "1h" },
    };
    expect(await specOf({ trustDomain: { spec } }, "mesh")).toEqual(spec);
    const partly = { jwt: { algorithm: "RS256" } };
    expect(await specOf({ trustDomain: { spec: partly } }, "mesh")).toEqual({
      jwt: { issuer: "https://meshid.mesh.svc", algorithm: "RS256" },
    });
  });

  it("takes the image by digest before its tag, and the chart's version without either", async () => {
    const imageOf = async (image: unknown): Promise<unknown> =>
      only(await render(kube, { image }), "Deployment")["spec"].template.spec.containers[0].image;
    const digest = `sha256:${"a".repeat(64)}`;
    expect(await imageOf({})).toBe("meshid:0.1.0");
    expect(await imageOf({ repository: "registry.example.org:5000/a/meshid", tag: "x" })).toBe(
      "registry.example.org:5000/a/meshid:x",
    );
    expect(await imageOf({ tag: "x", digest })).toBe(`meshid@${digest}`);
  });

  it("alerts only on metrics that meshid has, with labels that they have", () => {
    const rules = only(full, "PrometheusRule")["spec"].groups[0].rules as readonly {
      alert: string;
      expr: string;
    }[];
    expect(rules.map(({ alert }) => alert)).toEqual([
      "MeshidNoLeader",
      "MeshidSVIDNearExpiry",
      "MeshidIdentitiesNotReady",
      "MeshidSVIDFailures",
      "MeshidRotationWaiting",
      "MeshidAuthorityInLastQuarter",
      "MeshidReconcileErrors",
      "MeshidWatchSilent",
    ]);
    const known = METRICS as Readonly<
      Record<string, { readonly labels: Readonly<Record<string, readonly string[]>> }>
    >;
    const faults = rules.flatMap(({ alert, expr }) => {
      const used = [...expr.matchAll(/([a-z_]+)\{([^}]*)\}/g)];
      const wrong = used.flatMap(([, name = "", matchers = ""]) => {
        const metric = known[name];
        if (metric === undefined) return [name];
        return [...matchers.matchAll(/([a-z]+)="([^"]*)"/g)]
          .filter(
            ([, label = "", value = ""]) =>
              label !== "namespace" && metric.labels[label]?.includes(value) !== true,
          )
          .map(([matcher]) => `${name}{${matcher}}`);
      });
      return used.length === 0 ? [`${alert}: no metric`] : wrong.map((what) => `${alert}: ${what}`);
    });
    expect(faults).toEqual([]);
  });

  it("counts a long wait from the propagation, and the last quarter of an authority's life from its own life", async () => {
    const exprOf = async (propagation: string, alert: string): Promise<string> => {
      const spec = { rotation: { propagation } };
      const objects = await render(kube, { prometheusRule: { enabled: true }, trustDomain: { spec } });
      const { rules } = only(objects, "PrometheusRule")["spec"].groups[0] as {
        readonly rules: readonly Readonly<Record<string, string>>[];
      };
      return rules.find((rule) => rule["alert"] === alert)?.["expr"] ?? "";
    };
    expect(await exprOf("1h", "MeshidRotationWaiting")).toMatch(/> 21600$/);
    // Time for consumers that refuse to be left out, at the least.
    expect(await exprOf("1m", "MeshidRotationWaiting")).toMatch(/> 7200$/);
    const lastQuarter = await exprOf("1h", "MeshidAuthorityInLastQuarter");
    expect(lastQuarter).toMatch(
      /^\(.*not_after.* - time\(\)\) \/ \(.*not_after.* - .*not_before.* > 0\) < 0\.25$/,
    );
    expect(lastQuarter.match(/state="Active"/g)).toHaveLength(3);
  });

  it("lets its own pods reach each other where a NetworkPolicy holds them, and nothing but them and the API server", () => {
    const { egress, podSelector } = only(full, "NetworkPolicy")["spec"];
    expect(egress).toEqual([
      { ports: [443, 6443].map((port) => ({ port, protocol: "TCP" })) },
      { to: [{ podSelector }], ports: [{ port: "https", protocol: "TCP" }] },
    ]);
    expect(only(plain, "Deployment")["spec"].template.metadata.labels).toMatchObject(podSelector.matchLabels);
  });

  it("starts the controller with options that it knows, and every value arrives", async () => {
    const configOf = async (values: unknown): Promise<ControllerConfig> => {
      const [container] = only(await render(kube, values), "Deployment")["spec"].template.spec.containers;
      // The file is mounted in a pod only.
      const args = (container.args as readonly string[]).filter(
        (arg) => !arg.startsWith("--trust-domain-file"),
      );
      expect(container.args).toContain("--trust-domain-file=/etc/meshid/trust-domain.yaml");
      const names = (container.env as readonly { readonly name: string }[]).map(({ name }) => [
        name,
        `of-${name.toLowerCase()}`,
      ]);
      const env = Object.fromEntries(
        names.map(([name = "", value = ""]) => [name, value.replaceAll("_", "-")]),
      );
      const { command, options } = parseArguments(args, env);
      expect(command.name).toBe("controller");
      return parseControllerConfig(options, { isErrorTTY: true });
    };
    expect(await configOf({})).toEqual({
      trustDomain: "cluster.local",
      trustDomainSpec: {},
      namespace: "of-meshid-namespace",
      watchNamespaces: undefined,
      clusterDomain: "cluster.local",
      serviceName: "meshid",
      meshRootNamespace: "istio-system",
      listen: { host: "::", port: 8443 },
      probes: { host: "::", port: 8081 },
      identity: "of-meshid-identity",
      workers: 16,
      kubeconfig: undefined,
      context: undefined,
      logLevel: "info",
      logFormat: "json",
    });
    expect(
      await configOf({
        trustDomain: { name: "example.org" },
        clusterDomain: "k8s.example",
        watchNamespaces: ["shop", "orders"],
        workers: 8,
        log: { level: "debug", format: "pretty" },
        mesh: { rootNamespace: "mesh" },
      }),
    ).toMatchObject({
      trustDomain: "example.org",
      clusterDomain: "k8s.example",
      watchNamespaces: ["shop", "orders"],
      workers: 8,
      logLevel: "debug",
      logFormat: "pretty",
      meshRootNamespace: "mesh",
    });
  });

  it("probes and serves at ports that the controller listens on", () => {
    const [container] = only(plain, "Deployment")["spec"].template.spec.containers;
    const ports = Object.fromEntries(
      container.ports.map((port: { name: string; containerPort: number }) => [port.name, port.containerPort]),
    );
    expect(ports).toEqual({
      https: CONTROLLER_DEFAULTS.listen.port,
      probes: CONTROLLER_DEFAULTS.probes.port,
    });
    for (const [probe, path] of [
      ["startupProbe", "/livez"],
      ["livenessProbe", "/livez"],
      ["readinessProbe", "/readyz"],
    ] as const) {
      expect(container[probe].httpGet).toEqual({ path, port: "probes" });
      expect(Object.values(PROBE_PATHS)).toContain(path);
    }
    expect(only(plain, "Service")["spec"].ports).toMatchObject([{ port: 443, targetPort: "https" }]);
  });

  it("ships an injection template that is YAML once istiod has filled it in", () => {
    const { data } = only(plain, "ConfigMap", "meshid-istio-sidecar");
    const values = parse(data["istiod-values.yaml"]);
    const template: string = values.sidecarInjectorWebhook.templates.meshid;
    const [volume] = parse(template.replace(/\{\{.*\}\}/, "payments-tls")).spec.volumes;
    expect(volume).toEqual({
      name: "workload-certs",
      emptyDir: null,
      secret: { secretName: "payments-tls" },
    });
  });
});
