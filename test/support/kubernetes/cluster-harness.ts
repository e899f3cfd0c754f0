/**
 * The Kubernetes adapter on a control plane for tests, without the engine: what the controller composes, and the hands of
 * users and strangers.
 */

import { systemClock } from "../../../src/core/clock.ts";
import { systemRandom } from "../../../src/core/random.ts";
import { Cluster, type ClusterOptions } from "../../../src/kubernetes/cluster.ts";
import type { KubeObject } from "../../../src/kubernetes/objects.ts";
import {
  CONFIG_MAPS,
  collectionPath,
  objectPath,
  PEER_AUTHENTICATIONS,
  type Resource,
  SECRETS,
  SERVICE_IDENTITIES,
  TRUST_DOMAINS,
} from "../../../src/kubernetes/resources.ts";
import type { ObjectRef } from "../../../src/reconcile/state.ts";
import { parseTrustDomain } from "../../../src/spiffe/trust-domain.ts";
import type { ApiResponse, ControlPlane } from "../control-plane/types.ts";
import { RecordedChanges } from "../directory.ts";
import { asAdmin } from "./connected.ts";
import { SpiedClient } from "./spied.ts";

export const RESOURCES: Readonly<Record<ObjectRef["kind"], Resource>> = {
  Secret: SECRETS,
  ConfigMap: CONFIG_MAPS,
  PeerAuthentication: PEER_AUTHENTICATIONS,
};

export interface FollowedCluster extends AsyncDisposable {
  readonly cluster: Cluster;
  readonly changes: RecordedChanges;
  /** What the cluster and whoever takes it asks of the server. */
  readonly client: SpiedClient;
  readonly errors: readonly unknown[];
}

/** A cluster in memory that follows the real one; resolves when it has read everything. */
export async function followCluster(
  plane: ControlPlane,
  options: Pick<ClusterOptions, "operatorNamespace" | "watchNamespaces"> &
    Partial<ClusterOptions> & { readonly domain: string },
): Promise<FollowedCluster> {
  const admin = await asAdmin(plane);
  const client = new SpiedClient(admin.client);
  const errors: unknown[] = [];
  const cluster = new Cluster({
    client,
    clock: systemClock,
    random: systemRandom,
    trustDomain: parseTrustDomain(options.domain),
    meshRootNamespace: "istio-system",
    onOperatorSecret: () => {},
    onRelist: () => {},
    onError: (_, error) => errors.push(error),
    ...options,
  });
  const changes = new RecordedChanges();
  const stop = new AbortController();
  cluster.attach(changes);
  const running = cluster.run(stop.signal);
  await cluster.synced();
  return {
    cluster,
    changes,
    client,
    errors,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
      admin[Symbol.dispose]();
    },
  };
}

/** What people do with kubectl, in a few milliseconds. */
export interface Hands {
  get(resource: Resource, namespace: string | undefined, name: string): Promise<KubeObject | undefined>;
  /** Creates or changes what is named in `content`. */
  put(
    resource: Resource,
    at: { readonly namespace?: string; readonly name: string },
    content: object,
  ): Promise<KubeObject>;
  /** A merge patch of an object that is there. */
  edit(
    resource: Resource,
    at: { readonly namespace?: string; readonly name: string },
    content: object,
  ): Promise<KubeObject>;
  remove(resource: Resource, at: { readonly namespace?: string; readonly name: string }): Promise<void>;
  putIdentity(namespace: string, name: string, spec?: object): Promise<KubeObject>;
  putTrustDomain(name: string, spec?: object): Promise<KubeObject>;
}

export function handsOf(plane: ControlPlane): Hands {
  const good = ({ status, body }: ApiResponse): KubeObject => {
    if (status >= 300) throw new Error(`${status} ${JSON.stringify(body)}`);
    return body as KubeObject;
  };
  const put: Hands["put"] = async (resource, { namespace, name }, content) => {
    const at = { ...(namespace === undefined ? {} : { namespace }), name };
    const { metadata = {}, ...rest } = content as { readonly metadata?: object };
    const { apiVersion, kind } = resource;
    return good(
      await plane.request({
        method: "PATCH",
        path: `${objectPath(resource, at)}?fieldManager=user&force=true`,
        contentType: "application/apply-patch+yaml",
        body: { apiVersion, kind, metadata: { ...metadata, ...at }, ...rest },
      }),
    );
  };
  return {
    get: async (resource, namespace, name) => {
      const path = objectPath(resource, { ...(namespace === undefined ? {} : { namespace }), name });
      const answer = await plane.request({ method: "GET", path });
      return answer.status === 404 ? undefined : good(answer);
    },
    put,
    edit: async (resource, at, body) =>
      good(
        await plane.request({
          method: "PATCH",
          path: `${objectPath(resource, at)}?fieldManager=editor`,
          contentType: "application/merge-patch+json",
          body,
        }),
      ),
    remove: async (resource, at) => {
      good(await plane.request({ method: "DELETE", path: objectPath(resource, at) }));
    },
    putIdentity: (namespace, name, spec = {}) => put(SERVICE_IDENTITIES, { namespace, name }, { spec }),
    putTrustDomain: (name, spec = {}) => put(TRUST_DOMAINS, { name }, { spec }),
  };
}

/** Deletes all objects of a collection. */
export async function clear(plane: ControlPlane, resource: Resource, namespace: string): Promise<void> {
  const path = collectionPath(resource, namespace);
  await plane.request({ method: "DELETE", path });
}

/** The content of a Secret or ConfigMap as a consumer reads it; of another kind its spec. */
export function contentOf(object: KubeObject): Readonly<Record<string, string>> {
  const data = (object["data"] ?? {}) as Readonly<Record<string, string>>;
  const isSecret = object["kind"] === "Secret";
  if (object["spec"] !== undefined) return { spec: JSON.stringify(object["spec"]) };
  return Object.fromEntries(
    Object.entries(data).map(([key, text]) => [
      key,
      isSecret ? Buffer.from(text, "base64").toString("utf8") : text,
    ]),
  );
}

/** Resolves when `isSo`. @throws Error after 20 s. */
export async function eventually(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 60_000; !(await isSo()); ) {
    if (performance.now() > end) throw new Error(`${what}: not seen within 60 s`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
