/**
 * Facts about Istio and the pods that our policies select.
 */

import { parse } from "yaml";
import { asRecord } from "../../core/strict-json.ts";
import { configMapContent, type KubeObject, ownerUidOf, refOf } from "../../kubernetes/objects.ts";
import { CONFIG_MAPS, PEER_AUTHENTICATIONS, type Resource } from "../../kubernetes/resources.ts";
import type { ObservedPeerAuthentication } from "../../reconcile/state.ts";
import { getObject, isUnknownKind, listObjects } from "../cluster-cli/objects.ts";
import type { IdentityFact, IstiodFact, MeshConfigFact, MeshFacts, PodFact } from "./facts.ts";
import type { Known } from "./finding.ts";
import { DEPLOYMENTS } from "./gather-installation.ts";
import { type Gathering, known, recordsIn } from "./gathering.ts";

const PODS: Resource = { apiVersion: "v1", kind: "Pod", plural: "pods", isNamespaced: true };
const ISTIO_GROUP = "/apis/security.istio.io/v1";
const DEFAULT_TRUST_DOMAIN = "cluster.local";
const SIDECAR = "istio-proxy";
/** Pods are large, so they are read of so many namespaces only. */
const MAX_NAMESPACES = 100;

export async function gatherMesh(
  gathering: Gathering,
  rootNamespace: string,
  identities: Known<readonly IdentityFact[]>,
): Promise<MeshFacts> {
  const [servesPolicies, controlPlanes, policies, pods] = await Promise.all([
    gatherServed(gathering),
    gatherControlPlanes(gathering, rootNamespace),
    gatherPolicies(gathering),
    gatherPods(gathering, identities),
  ]);
  const configs = await gatherConfigs(gathering, rootNamespace, controlPlanes);
  return { rootNamespace, servesPolicies, controlPlanes, configs, policies, pods };
}

function gatherServed(gathering: Gathering): Promise<Known<boolean>> {
  return known(gathering, "ask which kinds the cluster serves", async () => {
    try {
      const { body } = await gathering.session.request<KubeObject>({ method: "GET", path: ISTIO_GROUP });
      const { resources } = body;
      return recordsIn(resources).some(({ name }) => name === PEER_AUTHENTICATIONS.plural);
    } catch (error) {
      if (isUnknownKind(error)) return false;
      throw error;
    }
  });
}

function gatherControlPlanes(gathering: Gathering, namespace: string): Promise<Known<readonly IstiodFact[]>> {
  return known(gathering, `list Deployments in ${namespace}`, async () => {
    const found = await listObjects(gathering.session, DEPLOYMENTS, {
      namespace,
      labelSelector: "app=istiod",
    });
    return found.map((object) => {
      const template = asRecord(asRecord(object["spec"])?.["template"]);
      const [container] = recordsIn(asRecord(template?.["spec"])?.["containers"]);
      const image = container?.["image"];
      return {
        name: object.metadata.name,
        revision: object.metadata.labels?.["istio.io/rev"] ?? "default",
        version: typeof image === "string" ? tagOf(image) : "unknown",
      };
    });
  });
}

/** `docker.io/istio/pilot:1.27.1-distroless@sha256:…` → `1.27.1-distroless` */
function tagOf(image: string): string {
  return /:([^/:@]+)(@.*)?$/.exec(image)?.[1] ?? "unknown";
}

/** One for each revision; the name of the default one is `istio`. */
function gatherConfigs(
  gathering: Gathering,
  namespace: string,
  controlPlanes: Known<readonly IstiodFact[]>,
): Promise<Known<readonly MeshConfigFact[]>> {
  const revisions = controlPlanes.known ? controlPlanes.value.map(({ revision }) => revision) : [];
  const names = new Set([
    "istio",
    ...revisions.filter((each) => each !== "default").map((each) => `istio-${each}`),
  ]);
  return known(gathering, `read ConfigMaps in ${namespace}`, async () => {
    const read = [...names].map((name) => getObject(gathering.session, CONFIG_MAPS, { namespace, name }));
    return (await Promise.all(read)).flatMap((found) => (found === undefined ? [] : [meshConfigFact(found)]));
  });
}

function meshConfigFact(object: KubeObject): MeshConfigFact {
  const text = Buffer.from(configMapContent(object)["mesh"] ?? "").toString("utf8");
  const { trustDomain, trustDomainAliases } = meshConfigIn(text);
  const aliases: readonly unknown[] = Array.isArray(trustDomainAliases) ? trustDomainAliases : [];
  return {
    name: object.metadata.name,
    trustDomain: typeof trustDomain === "string" && trustDomain !== "" ? trustDomain : DEFAULT_TRUST_DOMAIN,
    aliases: aliases.filter((alias) => typeof alias === "string"),
  };
}

/** What istiod cannot read it does not use either: then its defaults hold. */
function meshConfigIn(text: string): Readonly<Record<string, unknown>> {
  try {
    return asRecord(parse(text, { maxAliasCount: 0 })) ?? {};
  } catch {
    return {};
  }
}

function gatherPolicies(gathering: Gathering): Promise<Known<readonly ObservedPeerAuthentication[]>> {
  const { session, scope } = gathering;
  return known(gathering, `list PeerAuthentications in ${scope ?? "all namespaces"}`, async () =>
    (await listObjects(session, PEER_AUTHENTICATIONS, { namespace: scope })).map((object) => ({
      ref: refOf("PeerAuthentication", object),
      ownerUid: ownerUidOf(object),
      annotations: object.metadata.annotations ?? {},
      creationTimestamp: object.metadata.creationTimestamp,
      spec: asRecord(object["spec"]) ?? {},
    })),
  );
}

function gatherPods(
  gathering: Gathering,
  identities: Known<readonly IdentityFact[]>,
): Promise<Known<readonly PodFact[]>> {
  const meshed = identities.known
    ? identities.value.filter(({ identity }) => identity.spec.mtls !== undefined)
    : [];
  const namespaces = [...new Set(meshed.map(({ identity }) => identity.metadata.namespace))];
  return known(gathering, "list Pods", async () => {
    const pods: PodFact[] = [];
    for (const namespace of namespaces.slice(0, MAX_NAMESPACES)) {
      const found = await listObjects(gathering.session, PODS, { namespace });
      pods.push(...found.filter(isAlive).map(podFact));
    }
    return pods;
  });
}

function isAlive({ metadata, ...pod }: KubeObject): boolean {
  const phase = asRecord(pod["status"])?.["phase"];
  return metadata.deletionTimestamp === undefined && phase !== "Succeeded" && phase !== "Failed";
}

function podFact(object: KubeObject): PodFact {
  const { namespace = "", name, labels = {} } = object.metadata;
  const spec = asRecord(object["spec"]);
  // A native sidecar is an init container that goes on.
  const containers = [...recordsIn(spec?.["containers"]), ...recordsIn(spec?.["initContainers"])];
  return {
    namespace,
    name,
    labels,
    secrets: recordsIn(spec?.["volumes"]).flatMap(secretsOf),
    hasSidecar: containers.some((container) => container["name"] === SIDECAR),
  };
}

/** Mounted by itself, or as a part of a projected volume. */
function secretsOf(volume: Readonly<Record<string, unknown>>): readonly string[] {
  const own = asRecord(volume["secret"])?.["secretName"];
  const projected = recordsIn(asRecord(volume["projected"])?.["sources"]).map(
    (source) => asRecord(source["secret"])?.["name"],
  );
  return [own, ...projected].filter((name) => typeof name === "string");
}
