/**
 * Facts about the installation: CRDs, Deployment, rights, admission policies.
 */

import { asRecord } from "../../core/strict-json.ts";
import type { KubeObject } from "../../kubernetes/objects.ts";
import type { Resource } from "../../kubernetes/resources.ts";
import { getObject, listObjects } from "../cluster-cli/objects.ts";
import { type ClusterSession, isForbidden } from "../cluster-cli/session.ts";
import { loadCrds } from "../schemas.ts";
import type { CrdFact, DeploymentFact, RightFact } from "./facts.ts";
import type { Known } from "./finding.ts";
import { type Gathering, known, recordsIn } from "./gathering.ts";
import { neededRights, type Right } from "./rights.ts";
import { fieldsOf } from "./schema-fields.ts";

const CRDS: Resource = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  plural: "customresourcedefinitions",
  isNamespaced: false,
};
export const DEPLOYMENTS: Resource = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  plural: "deployments",
  isNamespaced: true,
};
const POLICIES: Resource = {
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "ValidatingAdmissionPolicy",
  plural: "validatingadmissionpolicies",
  isNamespaced: false,
};
const BINDINGS: Resource = {
  ...POLICIES,
  kind: "ValidatingAdmissionPolicyBinding",
  plural: "validatingadmissionpolicybindings",
};
const CONTROLLER = "app.kubernetes.io/name=meshid,app.kubernetes.io/component=controller";
const VERSION = "v1alpha1";
/** Questions asked at once. */
const BATCH = 16;
/** Of the namespaces that are served one by one, so many are asked about. */
const MAX_NAMESPACES = 10;

export function gatherCrds(gathering: Gathering): Promise<Known<readonly CrdFact[]>> {
  return known(gathering, "read CustomResourceDefinitions", async () => {
    const expected = await loadCrds();
    return Promise.all(expected.map((crd) => crdFact(gathering.session, crd)));
  });
}

async function crdFact(session: ClusterSession, expected: unknown): Promise<CrdFact> {
  const name = String(asRecord(asRecord(expected)?.["metadata"])?.["name"]);
  const found = await getObject(session, CRDS, { name });
  const wanted = fieldsOf(schemaIn(expected));
  const there = fieldsOf(schemaIn(found));
  const conditions = recordsIn(asRecord(found?.["status"])?.["conditions"]);
  return {
    name,
    isPresent: found !== undefined,
    isEstablished: conditions.some((one) => one["type"] === "Established" && one["status"] === "True"),
    isServed: versionIn(found)?.["served"] === true,
    missingFields: [...wanted].filter((field) => !there.has(field)),
    unknownFields: [...there].filter((field) => !wanted.has(field)),
  };
}

function versionIn(crd: unknown): Readonly<Record<string, unknown>> | undefined {
  const versions = recordsIn(asRecord(asRecord(crd)?.["spec"])?.["versions"]);
  return versions.find(({ name }) => name === VERSION);
}

function schemaIn(crd: unknown): unknown {
  return asRecord(versionIn(crd)?.["schema"])?.["openAPIV3Schema"];
}

/** Of the whole cluster; of one namespace for a user who may not look further. */
export function gatherDeployments(
  gathering: Gathering,
  namespace: string,
  isNamed: boolean,
): Promise<Known<readonly DeploymentFact[]>> {
  const { session } = gathering;
  return known(gathering, `list Deployments in ${namespace}`, async () => {
    const within = async (scope: string | undefined): Promise<readonly DeploymentFact[]> =>
      (await listObjects(session, DEPLOYMENTS, { namespace: scope, labelSelector: CONTROLLER })).map(
        deploymentFact,
      );
    if (isNamed) return within(namespace);
    try {
      return await within(undefined);
    } catch (error) {
      if (!isForbidden(error)) throw error;
      return within(namespace);
    }
  });
}

function deploymentFact(object: KubeObject): DeploymentFact {
  const { metadata } = object;
  const spec = asRecord(object["spec"]);
  const status = asRecord(object["status"]);
  const pod = asRecord(asRecord(spec?.["template"])?.["spec"]);
  const [container] = recordsIn(pod?.["containers"]);
  const args: readonly unknown[] = Array.isArray(container?.["args"]) ? container["args"] : [];
  return {
    namespace: metadata.namespace ?? "",
    name: metadata.name,
    serviceAccount: textOr(pod?.["serviceAccountName"], "default"),
    wanted: numberOr(spec?.["replicas"], 1),
    available: numberOr(status?.["availableReplicas"], 0),
    updated: numberOr(status?.["updatedReplicas"], 0),
    version: metadata.labels?.["app.kubernetes.io/version"],
    image: textOr(container?.["image"], ""),
    args: args.filter((arg) => typeof arg === "string"),
  };
}

export function gatherAdmissionPolicies(gathering: Gathering): Promise<Known<ReadonlySet<string>>> {
  const { session } = gathering;
  return known(gathering, "list ValidatingAdmissionPolicies", async () => {
    const [policies, bindings] = await Promise.all([
      listObjects(session, POLICIES, { metadataOnly: true }),
      listObjects(session, BINDINGS),
    ]);
    const bound = new Set(
      bindings.filter(isEnforced).map((binding) => asRecord(binding["spec"])?.["policyName"]),
    );
    return new Set(policies.map(({ metadata }) => metadata.name).filter((name) => bound.has(name)));
  });
}

function isEnforced(binding: KubeObject): boolean {
  const actions = asRecord(binding["spec"])?.["validationActions"];
  return Array.isArray(actions) && actions.includes("Deny");
}

export interface Operator {
  /** The whole cluster was looked through, and it has no Deployment of meshid. */
  readonly isAbsent: boolean;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly trustDomain: string;
  /** Undefined: all. */
  readonly watchNamespaces: readonly string[] | undefined;
}

/** Asks as the controller, where doctor runs as it, and otherwise about it, which needs a right of its own. */
export async function gatherRights(
  gathering: Gathering,
  operator: Operator,
): Promise<Known<readonly RightFact[]>> {
  const { session } = gathering;
  if (operator.isAbsent) return { known: false, why: "there is no controller to ask about" };
  const what = "ask for the rights of others (create subjectaccessreviews.authorization.k8s.io)";
  return known(gathering, what, async () => {
    const isSelf = (await ownName(session)) === userOf(operator);
    const questions = questionsFor(operator);
    const answers: RightFact[] = [];
    for (let start = 0; start < questions.length; start += BATCH) {
      const batch = questions.slice(start, start + BATCH).map(async ({ right, namespace }) => {
        const isAllowed = await isAllowedTo(session, isSelf ? undefined : operator, { right, namespace });
        return { right, namespace, isAllowed };
      });
      answers.push(...(await Promise.all(batch)));
    }
    return answers;
  });
}

interface Question {
  readonly right: Right;
  readonly namespace: string | undefined;
}

function questionsFor({ namespace, trustDomain, watchNamespaces }: Operator): readonly Question[] {
  const served = watchNamespaces?.slice(0, MAX_NAMESPACES) ?? [undefined];
  const places = { cluster: [undefined], operator: [namespace], served };
  return neededRights(trustDomain).flatMap((right) =>
    places[right.where].map((place) => ({ right, namespace: place })),
  );
}

async function ownName(session: ClusterSession): Promise<string | undefined> {
  const { body } = await session.request<KubeObject>({
    method: "POST",
    path: "/apis/authentication.k8s.io/v1/selfsubjectreviews",
    body: { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" },
  });
  const user = asRecord(asRecord(body["status"])?.["userInfo"])?.["username"];
  return typeof user === "string" ? user : undefined;
}

function userOf({ namespace, serviceAccount }: Operator): string {
  return `system:serviceaccount:${namespace}:${serviceAccount}`;
}

async function isAllowedTo(
  session: ClusterSession,
  operator: Operator | undefined,
  { right, namespace }: Question,
): Promise<boolean> {
  const [resource = "", subresource] = right.resource.split("/");
  const resourceAttributes = {
    group: right.group,
    resource,
    verb: right.verb,
    ...(subresource === undefined ? {} : { subresource }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(right.object === undefined ? {} : { name: right.object }),
  };
  const groups = [
    "system:serviceaccounts",
    `system:serviceaccounts:${operator?.namespace ?? ""}`,
    "system:authenticated",
  ];
  const who = operator === undefined ? {} : { user: userOf(operator), groups };
  const kind = operator === undefined ? "SelfSubjectAccessReview" : "SubjectAccessReview";
  const { body } = await session.request<KubeObject>({
    method: "POST",
    path: `/apis/authorization.k8s.io/v1/${kind.toLowerCase()}s`,
    body: { apiVersion: "authorization.k8s.io/v1", kind, spec: { ...who, resourceAttributes } },
  });
  return asRecord(body["status"])?.["allowed"] === true;
}

function textOr(value: unknown, otherwise: string): string {
  return typeof value === "string" ? value : otherwise;
}

function numberOr(value: unknown, otherwise: number): number {
  return typeof value === "number" ? value : otherwise;
}
