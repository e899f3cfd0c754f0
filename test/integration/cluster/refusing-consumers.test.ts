/**
 * Consumers that do not take what is written for them, on a real control plane: each holds the rotation and is named, the
 * rotation goes on when it takes it, and without it when it has refused for three times the propagation.
 */

import { networkInterfaces } from "node:os";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import type { Condition } from "../../../src/registration/conditions.ts";
import { ClusterSuite, DOMAIN, START_LIMIT } from "../../support/cluster-suite.ts";
import { describeCluster } from "../../support/control-plane/shared.ts";
import { freePort } from "../../support/control-plane/start.ts";
import { type ControllerProcess, must, pause } from "../../support/controller-process.ts";
import { until } from "../../support/local-process.ts";
import { refusedByRbac } from "../../support/rbac-audit.ts";

const MERGE = "application/merge-patch+json";
/** Seconds. */
const PROPAGATION = 8;
const PATIENCE = 3 * PROPAGATION * 1000;
/** For the rest of a rotation: the propagation, a look, and what a busy machine takes. */
const REST = 15_000;

describeCluster("consumers that refuse the next key", () => {
  let suite: ClusterSuite;
  let asked = 0;

  beforeAll(async () => {
    const limits = { minTTL: "1m", maxTTL: "24h" };
    suite = await ClusterSuite.start({
      trustDomain: { rotation: { propagation: `${PROPAGATION}s` }, limits },
    });
  }, START_LIMIT);

  afterAll(async () => {
    await suite?.[Symbol.asyncDispose]();
  });

  /** Asks for another JWT key; resolves when there is one, with the milliseconds that it took. */
  const rotate = async (): Promise<() => Promise<number>> => {
    const before = await suite.activeKey("JWT");
    const annotations = { "meshid.dev/rotate-jwt": String(++asked) };
    const path = `/apis/meshid.dev/v1alpha1/trustdomains/${DOMAIN}`;
    const started = Date.now();
    await must(suite.kube, {
      method: "PATCH",
      path,
      contentType: MERGE,
      body: { metadata: { annotations } },
    });
    return async () => {
      const isOther = async (): Promise<true | undefined> =>
        (await suite.activeKey("JWT")) !== before || undefined;
      await until("another JWT key", isOther, PATIENCE + REST);
      return Date.now() - started;
    };
  };

  const untilToldOf = (reason: Condition["reason"], ...words: readonly string[]): Promise<Condition> =>
    until(
      `${reason}: ${words.join(", ")}`,
      async () => {
        const { status } = await suite.trustDomain();
        return status?.conditions?.find(
          (one) => one.reason === reason && words.every((word) => one.message.includes(word)),
        );
      },
      PATIENCE + REST,
    );

  /** What has waited has waited for longer than the propagation, and was not left out. */
  const expectHeld = (took: number): void => {
    expect(took).toBeGreaterThan(PROPAGATION * 1000);
  };

  const send = (method: "POST" | "DELETE", path: string, body?: unknown): Promise<unknown> =>
    must(suite.kube, { method, path, ...(body === undefined ? {} : { body }) });

  it("hold the rotation while an admission policy is in the way, are named with its words, and release it once that is gone", async () => {
    await suite.chart.start();
    const namespace = await suite.namespace();
    await suite.identity(namespace, "denied", { jwt: { tokens: [{ audience: "x" }] } });
    await suite.ready(namespace, "denied");
    const policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
    const bindings = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";
    const name = "no-bundles";
    await send("POST", policies, {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingAdmissionPolicy",
      metadata: { name },
      spec: {
        failurePolicy: "Fail",
        matchConstraints: {
          resourceRules: [
            {
              apiGroups: [""],
              apiVersions: ["v1"],
              operations: ["CREATE", "UPDATE"],
              resources: ["configmaps", "secrets"],
            },
          ],
        },
        validations: [
          {
            expression: "!(object.metadata.name in ['meshid-bundle', 'denied-jwt'])",
            message: "bundles are not wanted",
          },
        ],
      },
    });
    await send("POST", bindings, {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingAdmissionPolicyBinding",
      metadata: { name },
      spec: {
        policyName: name,
        validationActions: ["Deny"],
        matchResources: { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": namespace } } },
      },
    });
    const probe = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "meshid-bundle" },
      data: { probe: "1" },
    };
    await until("the policy", async () => {
      const path = `/api/v1/namespaces/${namespace}/configmaps/meshid-bundle`;
      const query = { method: "PATCH", path: `${path}?dryRun=All`, contentType: MERGE, body: probe } as const;
      return (await suite.kube.request(query)).status === 422 || undefined;
    });
    const rotated = await rotate();
    const consumers = [`ConfigMap ${namespace}/meshid-bundle (`, `Secret ${namespace}/denied-jwt (`];
    const { message } = await untilToldOf("WaitingForConsumers", ...consumers, "not wanted");
    expect(message).toMatch(/until \d{4}-.* at the latest/);
    const slot = (await suite.trustDomain()).status?.authorities?.find(({ state }) => state === "Prepared");
    expect(slot?.waitingFor).toContain(`ConfigMap ${namespace}/meshid-bundle`);
    expect(Date.parse(slot?.waitingUntil ?? "")).toBeGreaterThan(Date.now());
    await send("DELETE", `${bindings}/${name}`);
    expectHeld(await rotated());
    const { status } = await suite.trustDomain();
    expect(status?.conditions?.map(({ reason }) => reason)).not.toContain("ConsumersExcluded");
    await untilToldOf("Published");
  });

  it("are left out when a quota leaves no room for so long, and named on until they hold it", async () => {
    const namespace = await suite.namespace();
    await suite.identity(namespace, "signed", { jwt: { tokens: [{ audience: "x" }] } });
    await suite.ready(namespace, "signed");
    const quotas = `/api/v1/namespaces/${namespace}/resourcequotas`;
    await send("POST", quotas, {
      apiVersion: "v1",
      kind: "ResourceQuota",
      metadata: { name: "tight" },
      spec: { hard: { configmaps: "0" } },
    });
    await until("the quota", async () => {
      const found = await suite.object(`${quotas}/tight`);
      return (found?.["status"] as { readonly used?: unknown } | undefined)?.used;
    });
    await send("DELETE", `/api/v1/namespaces/${namespace}/configmaps/meshid-bundle`);
    const rotated = await rotate();
    await untilToldOf(
      "WaitingForConsumers",
      `ConfigMap ${namespace}/meshid-bundle (`,
      "exceeded quota: tight",
    );
    await untilToldOf(
      "ConsumersExcluded",
      `goes on without ConfigMap ${namespace}/meshid-bundle (`,
      "exceeded quota",
    );
    await rotated();
    await pause(1500);
    // The former key is still there, for the token that it has signed.
    await untilToldOf("ConsumersExcluded", `ConfigMap ${namespace}/meshid-bundle`);
    await untilToldOf("Publishing", `not taken: ConfigMap ${namespace}/meshid-bundle (`, "exceeded quota");
    await send("DELETE", `${quotas}/tight`);
    await until("the bundle", () => suite.configMap(namespace, "meshid-bundle"), REST);
    await untilToldOf("Retiring", "JWT");
  });

  it("are left out when another writer reverts them for so long", async () => {
    const namespace = await suite.namespace();
    const path = `/api/v1/namespaces/${namespace}/configmaps/meshid-bundle`;
    const { data: old } = (await suite.configMap(namespace, "meshid-bundle")) ?? {};
    const stop = new AbortController();
    let reverts = 0;
    const reverting = (async () => {
      for (; !stop.signal.aborted; await pause(50)) {
        const found = await suite.object(path);
        if (found === undefined || found.data?.["jwks.json"] === old?.["jwks.json"]) continue;
        await must(suite.kube, { method: "PATCH", path, contentType: MERGE, body: { data: old } });
        reverts += 1;
      }
    })();
    try {
      const rotated = await rotate();
      await untilToldOf("WaitingForConsumers", `ConfigMap ${namespace}/meshid-bundle (`, "by another writer");
      await untilToldOf("ConsumersExcluded", `ConfigMap ${namespace}/meshid-bundle (`, "by another writer");
      await rotated();
      // It was not answered each time.
      expect(reverts).toBeLessThan(12);
    } finally {
      stop.abort();
      await reverting;
    }
    const gone = { method: "DELETE", path: `/api/v1/namespaces/${namespace}` } as const;
    await must(suite.kube, gone);
    await until("the rotation needs nothing of a namespace that goes", async () => {
      const { status } = await suite.trustDomain();
      return status?.conditions?.every(({ message }) => !message.includes(namespace)) || undefined;
    });
  });

  it("ask for nothing that may not be asked for", () => {
    expect(refusedByRbac(suite.audit.all())).toEqual([]);
  });
});

/** Of this machine: the API server takes no endpoint on the loopback interface. */
function ownAddress(): string | undefined {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.find(({ internal, family }) => !internal && family === "IPv4")?.address;
}

describeCluster("replicas that do not show the next key", () => {
  const address = ownAddress();
  let suite: ClusterSuite;
  let leading: ControllerProcess;
  let standby: ControllerProcess;
  let asked = 0;

  const expose = async (name: string, port: number, ready: boolean): Promise<void> => {
    await must(suite.kube, {
      method: "POST",
      path: `/apis/discovery.k8s.io/v1/namespaces/${suite.chart.namespace}/endpointslices`,
      body: {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: { name, labels: { "kubernetes.io/service-name": "meshid" } },
        addressType: "IPv4",
        endpoints: [
          {
            addresses: [address],
            conditions: { ready },
            targetRef: { kind: "Pod", name, namespace: suite.chart.namespace },
          },
        ],
        ports: [{ name: "https", port, protocol: "TCP" }],
      },
    });
  };

  const startReplica = async (): Promise<ControllerProcess> => {
    const port = await freePort();
    const one = await suite.chart.start({ flags: [`--listen=${address}:${port}`] });
    await expose(one.name, port, true);
    return one;
  };

  beforeAll(async () => {
    suite = await ClusterSuite.start({ trustDomain: { rotation: { propagation: `${PROPAGATION}s` } } });
    if (address === undefined) return;
    leading = await startReplica();
    await until("a bundle", () => suite.configMap(suite.chart.namespace, "meshid-bundle"));
    standby = await startReplica();
    await expose("not-ready", await freePort(), false);
  }, START_LIMIT);

  afterAll(async () => {
    await suite?.[Symbol.asyncDispose]();
  });

  const status = async (): Promise<{ readonly active: string; readonly told: string }> => {
    const found = (await suite.trustDomain()).status;
    const active = found?.authorities?.find((one) => one.kind === "JWT" && one.state === "Active");
    const told = found?.conditions?.find(({ type }) => type === "RotationInProgress");
    return { active: active?.keyID ?? "", told: `${told?.reason}: ${told?.message}` };
  };
  const rotate = async (): Promise<() => Promise<unknown>> => {
    const before = (await status()).active;
    const annotations = { "meshid.dev/rotate-jwt": String(++asked) };
    const path = `/apis/meshid.dev/v1alpha1/trustdomains/${DOMAIN}`;
    await must(suite.kube, {
      method: "PATCH",
      path,
      contentType: MERGE,
      body: { metadata: { annotations } },
    });
    const isOther = async (): Promise<true | undefined> => (await status()).active !== before || undefined;
    return () => until("another JWT key", isOther, PATIENCE + REST);
  };
  const untilTold = (...words: readonly string[]): Promise<unknown> =>
    until(
      words.join(", "),
      async () => {
        const { told } = await status();
        return words.every((word) => told.includes(word)) || undefined;
      },
      PATIENCE + REST,
    );
  const listed = (): number =>
    suite.audit.all().filter(({ objectRef }) => objectRef?.resource === "endpointslices").length;

  // Where there is no network but the loopback there are no endpoints either.
  const withNetwork = address === undefined ? it.skip : it;

  withNetwork("are looked at before a key is used, and hold nothing up where all show it", async () => {
    const rotated = await rotate();
    await rotated();
    expect(listed()).toBeGreaterThan(1);
    const told = leading.logs().filter(({ level }) => level === "error" || level === "warn");
    expect(told).toEqual([]);
  });

  withNetwork("hold the rotation when one is frozen, are named, and release it when it thaws", async () => {
    standby.signal("SIGSTOP");
    try {
      const rotated = await rotate();
      await untilTold("WaitingForConsumers: ", `replica ${standby.name} (`, "no answer within 3 s");
      standby.signal("SIGCONT");
      await rotated();
    } finally {
      standby.signal("SIGCONT");
    }
  });

  withNetwork("are left out when one stays frozen for three times the propagation", async () => {
    standby.signal("SIGSTOP");
    try {
      const rotated = await rotate();
      await untilTold("ConsumersExcluded: ", `replica ${standby.name} (`, "no answer within 3 s");
      await rotated();
    } finally {
      standby.signal("SIGCONT");
    }
    expect(refusedByRbac(suite.audit.all())).toEqual([]);
  });
});
