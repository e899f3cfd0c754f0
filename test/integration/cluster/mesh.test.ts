/**
 * The mesh manifest on a real control plane: Istio's PeerAuthentication, written when and as Istio can bear it.
 */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, expect, it } from "@jest/globals";
import { parse } from "yaml";
import type { ServiceIdentity } from "../../../src/registration/service-identity.ts";
import { isWrite, lineOf } from "../../support/audit-log.ts";
import { ClusterSuite, type Found, START_LIMIT, type StoredIdentity } from "../../support/cluster-suite.ts";
import { describeCluster } from "../../support/control-plane/shared.ts";
import { type ControllerProcess, must, pause } from "../../support/controller-process.ts";
import { until } from "../../support/local-process.ts";
import { conflicts, refusedByRbac } from "../../support/rbac-audit.ts";

const CRD = parse(
  readFileSync(
    fileURLToPath(new URL("../../support/istio/peerauthentications.yaml", import.meta.url)),
    "utf8",
  ),
) as unknown;
const CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const ISTIO = "/apis/security.istio.io/v1";
/** Seconds; `rotation.propagation` of the suite. */
const PROPAGATION = 2;

const selecting = (app: string, mode = "Strict"): Readonly<Record<string, unknown>> => ({
  mode,
  selector: { matchLabels: { app } },
});

function mtlsReason({ status }: Found): string | undefined {
  const { conditions = [] } = (status ?? {}) as NonNullable<ServiceIdentity["status"]>;
  return conditions.find(({ type }) => type === "MTLSApplied")?.reason;
}

/** Milliseconds since 1970, whole seconds. */
function writtenAt({ metadata }: Found): number {
  return Math.max(...(metadata.managedFields ?? []).map(({ time = "" }) => Date.parse(time)));
}

describeCluster("the mesh manifest", () => {
  let suite: ClusterSuite;
  let controller: ControllerProcess;
  let shop: string;

  beforeAll(async () => {
    suite = await ClusterSuite.start({ trustDomain: { rotation: { propagation: `${PROPAGATION}s` } } });
    await must(suite.kube, {
      method: "POST",
      path: "/api/v1/namespaces",
      body: { apiVersion: "v1", kind: "Namespace", metadata: { name: "istio-system" } },
    });
    controller = await suite.chart.start();
    shop = await suite.namespace();
  }, START_LIMIT);

  afterAll(async () => {
    await suite?.[Symbol.asyncDispose]();
  });

  beforeEach(() => {
    expect(controller.isRunning()).toBe(true);
  });

  /** A PeerAuthentication of someone else. */
  const makePolicy = (
    namespace: string,
    name: string,
    { mode, app }: { readonly mode: string; readonly app?: string },
  ): Promise<Found> =>
    must(suite.kube, {
      method: "POST",
      path: `${ISTIO}/namespaces/${namespace}/peerauthentications`,
      body: {
        apiVersion: "security.istio.io/v1",
        kind: "PeerAuthentication",
        metadata: { name },
        spec: { mtls: { mode }, ...(app === undefined ? {} : { selector: { matchLabels: { app } } }) },
      },
    });

  const deletePolicy = (namespace: string, name: string): Promise<unknown> =>
    must(suite.kube, {
      method: "DELETE",
      path: `${ISTIO}/namespaces/${namespace}/peerauthentications/${name}`,
    });

  const modeOf = (policy: Found | undefined): unknown =>
    (policy?.spec as { readonly mtls?: { readonly mode?: string } } | undefined)?.mtls?.mode;

  /** Each state of a policy with another mode than before, since a version of its identity, until it has the last one. */
  const policiesSince = async (
    { metadata: { namespace, name, resourceVersion } }: StoredIdentity,
    last: string,
  ): Promise<readonly Found[]> => {
    const found = await suite.history(`${ISTIO}/namespaces/${namespace}/peerauthentications`, {
      name,
      since: resourceVersion,
      isLast: (one) => modeOf(one) === last,
    });
    return found.filter((one, index) => modeOf(one) !== modeOf(found[index - 1]));
  };
  const modesSince = async (identity: StoredIdentity, last: string): Promise<readonly unknown[]> =>
    (await policiesSince(identity, last)).map(modeOf);

  /** Each reason of MTLSApplied since a version of an identity, until it is Applied. */
  const reasonsSince = async ({
    metadata: { namespace, name, resourceVersion },
  }: StoredIdentity): Promise<readonly string[]> => {
    const found = await suite.history(`/apis/meshid.dev/v1alpha1/namespaces/${namespace}/serviceidentities`, {
      name,
      since: resourceVersion,
      isLast: (one) => mtlsReason(one) === "Applied",
    });
    const reasons = found.flatMap((one) => mtlsReason(one) ?? []);
    return reasons.filter((reason, index) => reason !== reasons[index - 1]);
  };

  it("is missing where Istio is, which the identity says while it is ready otherwise", async () => {
    await suite.identity(shop, "early", { mtls: selecting("early") });
    const { message } = await suite.untilReason([shop, "early"], "MTLSApplied", "IstioNotInstalled");
    expect(message).toContain("install Istio");
    const { status } = await suite.ready(shop, "early");
    expect(status?.conditions?.find(({ type }) => type === "Ready")).toMatchObject({
      status: "True",
      reason: "Degraded",
    });
    expect(status?.mtls).toBeUndefined();
  });

  it("follows as soon as Istio is installed, without a restart", async () => {
    await must(suite.kube, { method: "POST", path: CRDS, body: CRD });
    await suite.untilReason([shop, "early"], "MTLSApplied", "Applied", 40_000);
    expect(modeOf(await suite.peerAuthentication(shop, "early"))).toBe("STRICT");
    const { status } = await suite.ready(shop, "early");
    expect(status?.conditions?.find(({ type }) => type === "Ready")).toMatchObject({ reason: "Issued" });
    expect(status?.mtls).toEqual({ mode: "Strict", peerAuthentication: "early" });
  });

  it("is STRICT only when the certificate has had the time to arrive", async () => {
    const made = await suite.identity(shop, "patient", { mtls: selecting("patient") });
    await suite.untilReason([shop, "patient"], "MTLSApplied", "Applied");
    expect(await reasonsSince(made)).toEqual(["WaitingForCertificate", "Applied"]);
    const [policy, ...others] = await policiesSince(made, "STRICT");
    expect(others).toEqual([]);
    expect(policy?.spec).toEqual({ selector: { matchLabels: { app: "patient" } }, mtls: { mode: "STRICT" } });
    const secret = await suite.secretObject(shop, "patient-tls");
    const issuedSince = secret?.metadata.annotations?.["meshid.dev/issued-since"] ?? "";
    const waited = Date.parse(policy?.metadata.creationTimestamp ?? "") - Date.parse(issuedSince);
    expect(waited).toBeGreaterThanOrEqual(PROPAGATION * 1000);
  });

  it("waits as long as no certificate can be issued", async () => {
    await must(suite.kube, {
      method: "POST",
      path: `/apis/meshid.dev/v1alpha1/namespaces/${shop}/serviceidentities`,
      body: {
        apiVersion: "meshid.dev/v1alpha1",
        kind: "ServiceIdentity",
        metadata: { name: "never", namespace: shop },
        spec: { serviceAccountName: "nobody", mtls: selecting("never") },
      },
    });
    await suite.untilReason([shop, "never"], "MTLSApplied", "WaitingForCertificate");
    await pause((PROPAGATION + 1) * 1000);
    expect(await suite.peerAuthentication(shop, "never")).toBeUndefined();
  });

  it("does not wait for what takes nothing away, and names ports as Istio does", async () => {
    const mtls = {
      ...selecting("ports", "Permissive"),
      exceptions: [
        { port: 9090, mode: "Permissive" },
        { port: 8080, mode: "Disabled" },
      ],
    };
    const made = await suite.identity(shop, "ports", { mtls });
    const { message } = await suite.untilReason([shop, "ports"], "MTLSApplied", "Applied");
    expect(await reasonsSince(made)).toEqual(["Applied"]);
    expect(message).toContain("2 port exceptions");
    expect((await suite.peerAuthentication(shop, "ports"))?.spec).toEqual({
      selector: { matchLabels: { app: "ports" } },
      mtls: { mode: "PERMISSIVE" },
      portLevelMtls: { "9090": { mode: "PERMISSIVE" }, "8080": { mode: "DISABLE" } },
    });
  });

  it("waits with one STRICT port for the certificate as with all of them", async () => {
    const mtls = { ...selecting("port", "Permissive"), exceptions: [{ port: 8080, mode: "Strict" }] };
    const made = await suite.identity(shop, "port", { mtls });
    await suite.untilReason([shop, "port"], "MTLSApplied", "Applied");
    expect(await reasonsSince(made)).toEqual(["WaitingForCertificate", "Applied"]);
    expect((await suite.peerAuthentication(shop, "port"))?.spec).toMatchObject({
      portLevelMtls: { "8080": { mode: "STRICT" } },
    });
  });

  it.each([
    ["the namespace", "default-of-namespace"],
    ["the whole mesh", "default-of-mesh"],
  ])("goes by way of PERMISSIVE where mTLS was disabled for %s", async (scope, name) => {
    const namespace = await suite.namespace();
    const at = scope === "the namespace" ? namespace : "istio-system";
    await makePolicy(at, name, { mode: "DISABLE" });
    const made = await suite.identity(namespace, "slow", { mtls: selecting("slow") });
    await suite.untilReason([namespace, "slow"], "MTLSApplied", "Applied");
    expect((await reasonsSince(made)).slice(-2)).toEqual(["PermissiveFirst", "Applied"]);
    const policies = await policiesSince(made, "STRICT");
    expect(policies.map(modeOf)).toEqual(["PERMISSIVE", "STRICT"]);
    const [permissive, strict] = policies.map(writtenAt);
    expect(Number(strict) - Number(permissive)).toBeGreaterThanOrEqual((PROPAGATION - 1) * 1000);
    await deletePolicy(at, name);
  });

  it("goes to STRICT at once where PERMISSIVE was in force, and back without a detour", async () => {
    const namespace = await suite.namespace();
    await makePolicy(namespace, "default", { mode: "PERMISSIVE" });
    const made = await suite.identity(namespace, "direct", { mtls: selecting("direct") });
    expect(await modesSince(made, "STRICT")).toEqual(["STRICT"]);
    const disabled = await suite.patch(namespace, "direct", { spec: { mtls: { mode: "Disabled" } } });
    expect(await modesSince(disabled, "DISABLE")).toEqual(["DISABLE"]);
  });

  it("goes by way of PERMISSIVE from DISABLE of its own", async () => {
    const namespace = await suite.namespace();
    await suite.identity(namespace, "own", { mtls: selecting("own", "Disabled") });
    await suite.untilReason([namespace, "own"], "MTLSApplied", "Applied");
    await pause(PROPAGATION * 1000);
    const strict = await suite.patch(namespace, "own", { spec: { mtls: { mode: "Strict" } } });
    expect(await modesSince(strict, "STRICT")).toEqual(["PERMISSIVE", "STRICT"]);
  });

  it("tells which older policy of the same workloads stands before it, and when that one has gone", async () => {
    const namespace = await suite.namespace();
    await makePolicy(namespace, "elder", { mode: "PERMISSIVE", app: "late" });
    await pause(1100);
    await suite.identity(namespace, "late", { mtls: selecting("late") });
    const shadowed = await suite.untilReason([namespace, "late"], "MTLSApplied", "ShadowedByOlderPolicy");
    expect(shadowed.message).toContain(`PeerAuthentication ${namespace}/elder`);
    const { status } = await suite.ready(namespace, "late");
    expect(status?.conditions?.find(({ type }) => type === "Ready")).toMatchObject({ reason: "Degraded" });
    await deletePolicy(namespace, "elder");
    await suite.untilReason([namespace, "late"], "MTLSApplied", "Applied");
  });

  it("is not shadowed by a younger policy, by one for others, nor by one for the namespace", async () => {
    const namespace = await suite.namespace();
    await makePolicy(namespace, "everyone", { mode: "PERMISSIVE" });
    await makePolicy(namespace, "others", { mode: "PERMISSIVE", app: "others" });
    await suite.identity(namespace, "clear", { mtls: selecting("clear") });
    await suite.untilReason([namespace, "clear"], "MTLSApplied", "Applied");
    await pause(1100);
    await makePolicy(namespace, "younger", { mode: "DISABLE", app: "clear" });
    await suite.audit.whenQuiet(suite.audit.mark());
    await suite.untilReason([namespace, "clear"], "MTLSApplied", "Applied");
  });

  it("leaves a policy of another that has its name", async () => {
    const namespace = await suite.namespace();
    const foreign = await makePolicy(namespace, "taken", { mode: "PERMISSIVE", app: "elsewhere" });
    await suite.identity(namespace, "taken", { mtls: selecting("taken") });
    const { message } = await suite.untilReason(
      [namespace, "taken"],
      "MTLSApplied",
      "PeerAuthenticationConflict",
    );
    expect(message).toContain(`PeerAuthentication ${namespace}/taken`);
    expect(await suite.peerAuthentication(namespace, "taken")).toEqual(foreign);
  });

  it("is put right where someone edits or deletes it", async () => {
    const path = `${ISTIO}/namespaces/${shop}/peerauthentications/early`;
    const body = { spec: { mtls: { mode: "DISABLE" } } };
    await must(suite.kube, { method: "PATCH", path, contentType: "application/merge-patch+json", body });
    await until("STRICT again", async () =>
      modeOf(await suite.peerAuthentication(shop, "early")) === "STRICT" ? true : undefined,
    );
    const before = await suite.peerAuthentication(shop, "early");
    await must(suite.kube, { method: "DELETE", path });
    await until("another", async () => {
      const found = await suite.peerAuthentication(shop, "early");
      return (found !== undefined && found.metadata.uid !== before?.metadata.uid) || undefined;
    });
    await suite.untilReason([shop, "early"], "MTLSApplied", "Applied");
  });

  it("goes first when mtls is dropped, and the certificate stays", async () => {
    const certificate = await suite.secretObject(shop, "patient-tls");
    await suite.patch(shop, "patient", { spec: { mtls: null } });
    await suite.untilGone(`${ISTIO}/namespaces/${shop}/peerauthentications/patient`);
    const identity = await until("no condition", async () => {
      const found = await suite.get(shop, "patient");
      const isDropped = found.status?.conditions?.every(({ type }) => type !== "MTLSApplied");
      return isDropped === true && found.status?.mtls === undefined ? found : undefined;
    });
    expect(identity.status?.conditions?.map(({ type }) => type)).toEqual(["Ready", "X509Issued"]);
    expect(await suite.secretObject(shop, "patient-tls")).toEqual(certificate);
  });

  it("goes with the identity", async () => {
    expect(await suite.kube.kubectl(["delete", "si", "early", "-n", shop])).toMatchObject({ code: 0 });
    await suite.untilGone(`${ISTIO}/namespaces/${shop}/peerauthentications/early`);
    await suite.untilGone(`/api/v1/namespaces/${shop}/secrets/early-tls`);
  });

  it("is said to be missing again where Istio is removed", async () => {
    await must(suite.kube, { method: "DELETE", path: `${CRDS}/peerauthentications.security.istio.io` });
    await suite.untilReason([shop, "ports"], "MTLSApplied", "IstioNotInstalled", 40_000);
    await suite.audit.whenQuiet(suite.audit.mark());
    const mark = suite.audit.mark();
    await pause(3000);
    expect(
      suite.audit
        .since(mark)
        .filter(isWrite)
        .map(lineOf)
        .filter((line) => !line.includes("leases")),
    ).toEqual([]);
  });

  it("asks for nothing that it may not have", () => {
    expect(refusedByRbac(suite.audit.all())).toEqual([]);
    expect(conflicts(suite.audit.all())).toEqual([]);
    expect(controller.logs().filter(({ level }) => level === "error" || level === "none")).toEqual([]);
  });
});
