/**
 * Istio: is it there, does it mean the same trust domain, and does what we ask of it take effect?
 */

import { shadowingPolicy } from "../../../reconcile/mesh.ts";
import { x509SecretName } from "../../../registration/secret-names.ts";
import type { MtlsSpec, ServiceIdentity } from "../../../registration/service-identity.ts";
import { servedAmong } from "../../cluster-cli/identities.ts";
import type { Facts } from "../facts.ts";
import { counted, failed, named, ok, skipped, type Verdict, warning } from "../finding.ts";

/** The first with `security.istio.io/v1`. */
const MIN_ISTIO = { major: 1, minor: 22 } as const;

export function checkIstio({ mesh, identities }: Facts): Verdict {
  const { servesPolicies, controlPlanes, rootNamespace } = mesh;
  const users = meshedNames(identities);
  const found = controlPlanes.known ? controlPlanes.value : [];
  const old = found.filter(({ version }) => isOld(version));
  if (old.length > 0)
    return failed(
      `istiod ${named(old.map(({ version }) => version))} is older than ${MIN_ISTIO.major}.${MIN_ISTIO.minor}: it knows no security.istio.io/v1`,
      `upgrade Istio to ${MIN_ISTIO.major}.${MIN_ISTIO.minor} or later`,
    );
  if (!servesPolicies.known) return skipped(servesPolicies.why);
  if (!servesPolicies.value && users.length > 0)
    return warning(
      `the cluster serves no PeerAuthentication, and ${counted(users.length, "identity asks", "identities ask")} for mTLS: ${named(users)}`,
      "install Istio (it is picked up without a restart), or remove spec.mtls",
      users,
    );
  if (!servesPolicies.value) return ok("Istio is not installed, and no identity asks for mTLS");
  if (!controlPlanes.known) return ok(`PeerAuthentication v1 is served; ${controlPlanes.why}`);
  if (found.length === 0)
    return warning(
      `PeerAuthentications are served, but no istiod is to be seen in ${rootNamespace}: nobody may be carrying them out`,
      "if Istio runs elsewhere: the chart's mesh.rootNamespace must name the place",
    );
  const versions = found.map(({ revision, version }) => `${version} (revision ${revision})`);
  return ok(`istiod ${named(versions)}, PeerAuthentication v1 is served`);
}

function isOld(version: string): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  if (major === undefined || minor === undefined) return false;
  return (
    Number(major) < MIN_ISTIO.major || (Number(major) === MIN_ISTIO.major && Number(minor) < MIN_ISTIO.minor)
  );
}

export function checkIstioTrustDomain({ mesh, trustDomains, identities }: Facts): Verdict {
  const { configs } = mesh;
  if (!configs.known) return skipped(configs.why);
  if (configs.value.length === 0) return skipped("there is no mesh configuration of Istio");
  if (!trustDomains.known) return skipped(trustDomains.why);
  const name = servedAmong(trustDomains.value)?.metadata.name;
  if (name === undefined) return skipped("there is no TrustDomain");
  const other = configs.value.filter(
    ({ trustDomain, aliases }) => trustDomain !== name && !aliases.includes(name),
  );
  if (other.length === 0) return ok(`Istio and meshid mean the same trust domain, ${name}`);
  const says = other.map((config) => `${config.name} says ${config.trustDomain}`);
  const message = `meshid's trust domain is ${name}, but Istio's ConfigMap ${named(says)}: policies with principals do not match meshid's SPIFFE IDs`;
  const remedy = `set meshConfig.trustDomain: ${name}, or add it to meshConfig.trustDomainAliases; then restart the workloads`;
  return meshedNames(identities).length > 0 ? failed(message, remedy) : warning(message, remedy);
}

/** Istio follows the oldest policy of a scope, without a word to anyone. */
export function checkMeshPolicies({ mesh, identities }: Facts): Verdict {
  if (!identities.known) return skipped(identities.why);
  const meshed = meshedIdentities(identities);
  if (meshed.length === 0) return ok("no identity asks for mTLS");
  if (!mesh.policies.known) return skipped(mesh.policies.why);
  const { value: policies } = mesh.policies;
  const shadowed = meshed.flatMap(({ identity, mtls }): readonly string[] => {
    const { namespace, name, uid } = identity.metadata;
    const here = policies.filter(({ ref }) => ref.namespace === namespace);
    const own = here.find(({ ref, ownerUid }) => ref.name === name && ownerUid === uid);
    const other = shadowingPolicy(here, own, mtls.selector.matchLabels);
    return other === undefined ? [] : [`${namespace}/${other.ref.name} before ${namespace}/${name}`];
  });
  if (shadowed.length > 0)
    return failed(
      `Istio follows an older PeerAuthentication in place of ours: ${named(shadowed)}`,
      "delete the older one or narrow its selector: kubectl get peerauthentication -n NAMESPACE --sort-by=.metadata.creationTimestamp",
      shadowed,
    );
  return ok(`no policy stands before those of ${counted(meshed.length, "identity", "identities")}`);
}

/** STRICT cuts off who has no certificate that its peers know. */
export function checkMeshPods({ mesh, identities }: Facts): Verdict {
  if (!identities.known) return skipped(identities.why);
  const meshed = meshedIdentities(identities);
  if (meshed.length === 0) return ok("no identity asks for mTLS");
  if (!mesh.pods.known) return skipped(mesh.pods.why);
  const { value: pods } = mesh.pods;
  let seen = 0;
  const without = meshed.flatMap(({ identity, mtls }) => {
    const { namespace, name } = identity.metadata;
    const secret = x509SecretName(identity);
    const selected = pods.filter(
      (pod) => pod.namespace === namespace && isSelected(pod.labels, mtls.selector.matchLabels),
    );
    seen += selected.length;
    return selected
      .filter(({ secrets }) => !secrets.includes(secret))
      .map(
        (pod) =>
          `${namespace}/${pod.name} (${pod.hasSidecar ? "sidecar" : "no sidecar"}, identity ${name}, Secret ${secret})`,
      );
  });
  if (without.length > 0)
    return warning(
      `${counted(without.length, "pod")} under an mTLS selector without the Secret of the identity: ${named(without)}`,
      "mount it (annotation inject.istio.io/templates: sidecar,meshid and a new pod); a sidecar with istiod's certificate works only while each side knows both roots: bundle.additionalRoots here, caCertificates in Istio's mesh config",
      without,
    );
  return ok(`${counted(seen, "pod")} under mTLS selectors, all with their Secret`);
}

function isSelected(
  labels: Readonly<Record<string, string>>,
  wanted: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}

interface Meshed {
  readonly identity: ServiceIdentity;
  readonly mtls: MtlsSpec;
}

/** Those that want mTLS, not those that want it off. */
function meshedIdentities(identities: Facts["identities"]): readonly Meshed[] {
  if (!identities.known) return [];
  return identities.value.flatMap(({ identity }) => {
    const { mtls } = identity.spec;
    return mtls === undefined || mtls.mode === "Disabled" ? [] : [{ identity, mtls }];
  });
}

function meshedNames(identities: Facts["identities"]): readonly string[] {
  return meshedIdentities(identities).map(
    ({ identity: { metadata } }) => `${metadata.namespace}/${metadata.name}`,
  );
}
