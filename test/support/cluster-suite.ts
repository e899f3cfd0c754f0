/**
 * What suites of the running controller have in common: a control plane of their own with the chart on it, and short ways
 * to make and look at the objects of meshid.
 */

import type { AuthorityKind } from "../../src/authority/slot.ts";
import type { Condition, ConditionType } from "../../src/registration/conditions.ts";
import type { ServiceIdentity, TrustDomainStatus } from "../../src/registration/service-identity.ts";
import type { Rendered } from "../chart/rendered.ts";
import { AuditLog } from "./audit-log.ts";
import { startControlPlane } from "./control-plane/start.ts";
import type { OwnControlPlane } from "./control-plane/types.ts";
import { type Installation, installChart, must } from "./controller-process.ts";
import { until } from "./local-process.ts";

export const DOMAIN = "mesh.example";
const IDENTITIES = "/apis/meshid.dev/v1alpha1";

export interface SuiteOptions {
  /** The spec of the TrustDomain; by default short enough for tests. */
  readonly trustDomain?: Readonly<Record<string, unknown>>;
  /** Further values of the chart. */
  readonly values?: Readonly<Record<string, unknown>>;
  /** Flags of kube-apiserver. */
  readonly flags?: readonly string[];
  /** What has to be there before the chart. */
  readonly prepare?: (kube: OwnControlPlane) => Promise<void>;
  /** The program: default `src/main.ts`. */
  readonly main?: string;
}

/** For `beforeAll`, which needs `START_LIMIT`. */
export const START_LIMIT = 300_000;

export class ClusterSuite implements AsyncDisposable {
  readonly kube: OwnControlPlane;
  readonly chart: Installation;
  /** All that the controller asks for. */
  readonly audit: AuditLog;

  private constructor(kube: OwnControlPlane, chart: Installation) {
    this.kube = kube;
    this.chart = chart;
    this.audit = AuditLog.of(kube.auditLog, chart.user);
  }

  static async start(options: SuiteOptions = {}): Promise<ClusterSuite> {
    const kube = await startControlPlane({ flags: options.flags ?? [] });
    try {
      await options.prepare?.(kube);
      const spec = options.trustDomain ?? { rotation: { propagation: "2s" }, limits: { minTTL: "1m" } };
      const values = { trustDomain: { name: DOMAIN, spec }, ...options.values };
      const main = options.main === undefined ? {} : { main: options.main };
      return new ClusterSuite(kube, await installChart(kube, { values, ...main }));
    } catch (error) {
      await kube.stop();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.chart[Symbol.asyncDispose]();
    await this.kube.stop();
  }

  get rendered(): readonly Rendered[] {
    return this.chart.rendered;
  }

  /** A namespace whose bundle is there, so that it causes no more requests. */
  async namespace(labels: Readonly<Record<string, string>> = {}): Promise<string> {
    const name = await this.kube.makeNamespace(labels);
    await until(`the bundle of ${name}`, () => this.configMap(name, "meshid-bundle"));
    return name;
  }

  async account(namespace: string, name: string): Promise<void> {
    await must(this.kube, {
      method: "POST",
      path: `/api/v1/namespaces/${namespace}/serviceaccounts`,
      body: { apiVersion: "v1", kind: "ServiceAccount", metadata: { name } },
    });
  }

  /** Makes a ServiceIdentity and, unless it is there, its ServiceAccount. */
  async identity(
    namespace: string,
    name: string,
    spec: Readonly<Record<string, unknown>> = {},
  ): Promise<StoredIdentity> {
    const account = (spec["serviceAccountName"] as string | undefined) ?? name;
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}`;
    if ((await this.kube.request({ method: "GET", path })).status === 404)
      await this.account(namespace, account);
    return must(this.kube, {
      method: "POST",
      path: `${IDENTITIES}/namespaces/${namespace}/serviceidentities`,
      body: identityObject(namespace, name, spec),
    });
  }

  async patch(namespace: string, name: string, body: unknown): Promise<StoredIdentity> {
    return must(this.kube, {
      method: "PATCH",
      path: `${IDENTITIES}/namespaces/${namespace}/serviceidentities/${name}`,
      contentType: "application/merge-patch+json",
      body,
    });
  }

  async renew(namespace: string, name: string, value: string): Promise<void> {
    await this.patch(namespace, name, { metadata: { annotations: { "meshid.dev/renew": value } } });
  }

  async get(namespace: string, name: string): Promise<ServiceIdentity> {
    const path = `${IDENTITIES}/namespaces/${namespace}/serviceidentities/${name}`;
    return must(this.kube, { method: "GET", path });
  }

  async list(namespace?: string): Promise<readonly ServiceIdentity[]> {
    const scope = namespace === undefined ? "" : `/namespaces/${namespace}`;
    const path = `${IDENTITIES}${scope}/serviceidentities`;
    return (await must<{ readonly items: readonly ServiceIdentity[] }>(this.kube, { method: "GET", path }))
      .items;
  }

  /** Waits until a condition has one of these reasons for the present generation. */
  async untilReason(
    at: readonly [namespace: string, name: string],
    type: ConditionType,
    reason: string,
    limit = 60_000,
  ): Promise<Condition> {
    let last: unknown;
    try {
      return await until(
        `${at.join("/")}: ${type} ${reason}`,
        async () => {
          const { metadata, status } = await this.get(...at);
          last = status?.conditions;
          return status?.conditions?.find(
            (one) =>
              one.type === type && one.reason === reason && one.observedGeneration === metadata.generation,
          );
        },
        limit,
      );
    } catch (cause) {
      throw new Error(`${(cause as Error).message}: ${JSON.stringify(last)}`, { cause });
    }
  }

  /** Waits until it is issued and ready. */
  async ready(namespace: string, name: string, limit?: number): Promise<ServiceIdentity> {
    await this.untilReason([namespace, name], "X509Issued", "Issued", limit);
    return until(`${namespace}/${name} is Ready`, async () => {
      const identity = await this.get(namespace, name);
      const ready = identity.status?.conditions?.find(({ type }) => type === "Ready");
      return ready?.status === "True" ? identity : undefined;
    });
  }

  /**
   * Every state of an object of a collection after the version `since`, up to the first that `isLast`, as the API server
   * replays them: none was too short to be seen.
   */
  async history(
    collection: string,
    { name, since, isLast }: { name: string; since: string; isLast: (one: Found) => boolean },
  ): Promise<readonly Found[]> {
    const field = `fieldSelector=metadata.name%3D${name}`;
    const path = `${collection}?watch=true&resourceVersion=${since}&timeoutSeconds=1&${field}`;
    return until(`the history of ${name}`, async () => {
      const { status, body } = await this.kube.request({ method: "GET", path });
      if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body)}`);
      const seen = eventsIn(body).flatMap(({ type, object }) => (type === "DELETED" ? [] : [object]));
      const end = seen.findIndex(isLast);
      return end < 0 ? undefined : seen.slice(0, end + 1);
    });
  }

  /** Undefined: there is none. */
  async object(path: string): Promise<Found | undefined> {
    const { status, body } = await this.kube.request({ method: "GET", path });
    if (status === 404) return undefined;
    if (status >= 300) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body)}`);
    return body as Found;
  }

  secretObject(namespace: string, name: string): Promise<Found | undefined> {
    return this.object(`/api/v1/namespaces/${namespace}/secrets/${name}`);
  }

  /** The content of a Secret as text. @throws Error where there is none. */
  async secret(namespace: string, name: string): Promise<Readonly<Record<string, string>>> {
    const found = await this.secretObject(namespace, name);
    if (found === undefined) throw new Error(`no Secret ${namespace}/${name}`);
    return Object.fromEntries(
      Object.entries(found.data ?? {}).map(([key, value]) => [key, Buffer.from(value, "base64").toString()]),
    );
  }

  configMap(namespace: string, name: string): Promise<Found | undefined> {
    return this.object(`/api/v1/namespaces/${namespace}/configmaps/${name}`);
  }

  peerAuthentication(namespace: string, name: string): Promise<Found | undefined> {
    return this.object(`/apis/security.istio.io/v1/namespaces/${namespace}/peerauthentications/${name}`);
  }

  async trustDomain(): Promise<{
    readonly metadata: Found["metadata"];
    readonly status?: TrustDomainStatus;
  }> {
    return must(this.kube, { method: "GET", path: `${IDENTITIES}/trustdomains/${DOMAIN}` });
  }

  /** The ID of the key of a kind that signs. */
  async activeKey(kind: AuthorityKind): Promise<string> {
    const { status } = await this.trustDomain();
    const found = status?.authorities?.find((one) => one.kind === kind && one.state === "Active");
    if (found === undefined) throw new Error(`no active ${kind}`);
    return found.keyID;
  }

  /** PEM of the roots, from the status of the operator's own namespace. */
  async roots(): Promise<string> {
    const bundle = await until("the bundle", () => this.configMap(this.chart.namespace, "meshid-bundle"));
    return bundle.data?.["ca.crt"] ?? "";
  }

  async untilGone(path: string, limit?: number): Promise<void> {
    await until(
      `${path} is gone`,
      async () => ((await this.object(path)) === undefined ? true : undefined),
      limit,
    );
  }
}

/** As the API server holds it. */
export type StoredIdentity = ServiceIdentity & Pick<Found, "metadata">;

export interface Found {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly creationTimestamp?: string;
    readonly managedFields?: readonly { readonly time?: string }[];
    readonly generation?: number;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly Readonly<Record<string, unknown>>[];
    readonly deletionTimestamp?: string;
  };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly [member: string]: unknown;
}

interface WatchEvent {
  readonly type: string;
  readonly object: Found;
}

/** One event alone has been parsed already. */
function eventsIn(body: unknown): readonly WatchEvent[] {
  if (typeof body !== "string") return [body as WatchEvent];
  const lines = body.split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as WatchEvent);
}

export function identityObject(
  namespace: string,
  name: string,
  spec: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> {
  return {
    apiVersion: "meshid.dev/v1alpha1",
    kind: "ServiceIdentity",
    metadata: { name, namespace },
    spec,
  };
}
