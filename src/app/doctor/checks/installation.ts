/**
 * Is meshid there, whole, and allowed to work?
 */

import type { DeploymentFact, Facts } from "../facts.ts";
import { counted, failed, named, ok, skipped, type Verdict, warning } from "../finding.ts";
import { describeRight } from "../rights.ts";

/** Kubernetes 1.30 brought ValidatingAdmissionPolicies. */
const MIN_MINOR = 30;
const POLICIES = ["meshid-serviceidentities", "meshid-own-objects"] as const;
const UPGRADE =
  "upgrade the chart with CRDs: helm upgrade meshid (crds.install=true), or kubectl apply --server-side -f crds/";

export function checkApiServer({ serverVersion, unanswered }: Facts): Verdict {
  if (unanswered.length > 0) {
    return failed(
      `${counted(unanswered.length, "request")} got no answer while others did: ${named(unanswered)}`,
      "look at the API server and etcd (kubectl get --raw '/readyz?verbose'); run doctor again when they answer",
      unanswered,
    );
  }
  const [, major = "0", minor = "0"] = /^v?(\d+)\.(\d+)/.exec(serverVersion) ?? [];
  if (major === "1" && Number(minor) < MIN_MINOR) {
    return failed(
      `Kubernetes ${serverVersion} is older than 1.${MIN_MINOR}, which meshid needs`,
      `upgrade the cluster to Kubernetes 1.${MIN_MINOR} or later`,
    );
  }
  return ok(`Kubernetes ${serverVersion} answers`);
}

export function checkCrds({ crds, cliVersion }: Facts): Verdict {
  if (!crds.known) return skipped(crds.why);
  const absent = crds.value.filter(({ isPresent }) => !isPresent).map(({ name }) => name);
  if (absent.length > 0)
    return failed(
      `not installed: ${named(absent)}`,
      `install meshid: helm install meshid --namespace meshid-system; ${UPGRADE}`,
      absent,
    );
  const dead = crds.value.filter(({ isEstablished, isServed }) => !isEstablished || !isServed);
  if (dead.length > 0) {
    const names = dead.map(({ name }) => name);
    return failed(
      `v1alpha1 is not served: ${named(names)}`,
      `kubectl describe crd ${names[0] ?? ""} says why; ${UPGRADE}`,
      names,
    );
  }
  const missing = crds.value.flatMap(({ name, missingFields }) =>
    missingFields.map((field) => `${name} ${field}`),
  );
  if (missing.length > 0) {
    return warning(
      `older than meshid ${cliVersion}: ${counted(missing.length, "field")} not known to the cluster: ${named(missing)}`,
      `the API server drops these fields without a word; ${UPGRADE}`,
      missing,
    );
  }
  const unknown = crds.value.flatMap(({ name, unknownFields }) =>
    unknownFields.map((field) => `${name} ${field}`),
  );
  if (unknown.length > 0) {
    return warning(
      `newer than this meshid ${cliVersion}: it does not know ${named(unknown)}`,
      "run doctor of the version that is installed",
      unknown,
    );
  }
  return ok(`v1alpha1 is served, with the schemas of meshid ${cliVersion}`);
}

export function checkOperator({ deployments, operatorNamespace, cliVersion }: Facts): Verdict {
  if (!deployments.known) return skipped(deployments.why);
  const [first, ...others] = deployments.value;
  if (first === undefined) {
    return failed(
      `no Deployment of meshid is to be seen (looked for app.kubernetes.io/name=meshid, component=controller)`,
      `install it: helm install meshid --namespace ${operatorNamespace}; if it runs elsewhere: --operator-namespace`,
    );
  }
  if (others.length > 0) {
    const names = deployments.value.map(nameOf);
    return warning(
      `${names.length} Deployments of meshid: ${named(names)}`,
      "one trust domain has one journal: only one installation per cluster is supported, uninstall the others",
      names,
    );
  }
  return checkDeployment(first, cliVersion);
}

function checkDeployment(one: DeploymentFact, cliVersion: string): Verdict {
  const { wanted, available, updated, version, namespace, name } = one;
  const look = `kubectl -n ${namespace} get pods; kubectl -n ${namespace} logs deploy/${name}`;
  if (wanted === 0)
    return failed(
      `${nameOf(one)} is scaled to 0: nothing is renewed`,
      `kubectl -n ${namespace} scale deploy/${name} --replicas=2`,
    );
  if (available === 0)
    return failed(`none of ${counted(wanted, "pod")} of ${nameOf(one)} is available`, look);
  if (available < wanted)
    return warning(`${available} of ${counted(wanted, "pod")} of ${nameOf(one)} available`, look);
  if (updated < wanted)
    return warning(
      `${nameOf(one)} is being rolled out: ${updated} of ${counted(wanted, "pod")} of the new version`,
      `kubectl -n ${namespace} rollout status deploy/${name}`,
    );
  if (version !== undefined && version !== cliVersion)
    return warning(
      `${nameOf(one)} is meshid ${version}, this is meshid ${cliVersion}`,
      "what doctor expects may differ: run doctor of the version that is installed",
    );
  return ok(
    `${nameOf(one)}: ${counted(available, "pod")} available, meshid ${version ?? "of an unknown version"}`,
  );
}

export function checkOperatorRights({ rights, operatorNamespace }: Facts): Verdict {
  if (!rights.known) return skipped(rights.why);
  const missing = rights.value
    .filter(({ isAllowed }) => !isAllowed)
    .map(({ right, namespace }) => describeRight(right, namespace));
  if (missing.length > 0) {
    return failed(
      `the controller lacks ${counted(missing.length, "right")}: ${named(missing)}`,
      `helm upgrade meshid --namespace ${operatorNamespace} restores its roles; a namespace of watchNamespaces must exist before`,
      missing,
    );
  }
  return ok(`the controller has all ${rights.value.length} rights that it needs`);
}

export function checkAdmissionPolicies({ admissionPolicies }: Facts): Verdict {
  if (!admissionPolicies.known) return skipped(admissionPolicies.why);
  const { value } = admissionPolicies;
  const missing = POLICIES.filter((name) => !value.has(name));
  if (missing.length > 0) {
    return warning(
      `not there or not bound: ${named(missing)}; who may create a ServiceIdentity then gets the identity of any ServiceAccount of the namespace`,
      "helm upgrade meshid --set admissionPolicies.enabled=true, unless something else holds these rules",
      missing,
    );
  }
  return ok("both admission policies are bound");
}

function nameOf({ namespace, name }: DeploymentFact): string {
  return `${namespace}/${name}`;
}
