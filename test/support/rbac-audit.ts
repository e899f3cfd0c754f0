/**
 * The rights that the chart gives meshid against what it asked for: from the rendered roles and the audit log.
 */

import type { Rendered } from "../chart/rendered.ts";
import { type AuditEvent, isLease, lineOf } from "./audit-log.ts";

/** One verb on one resource, in one namespace or (undefined) all, for the named objects or (undefined) all. */
export interface Right {
  readonly role: string;
  readonly namespace: string | undefined;
  readonly apiGroup: string;
  /** With its subresource: `serviceidentities/status`. */
  readonly resource: string;
  readonly verb: string;
  readonly names: readonly string[] | undefined;
}

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/** Every right of the ServiceAccount meshid. @throws Error for a binding whose role is not rendered. */
export function rightsOf(rendered: readonly Rendered[]): readonly Right[] {
  return rendered
    .filter(({ kind }) => kind === "ClusterRoleBinding" || kind === "RoleBinding")
    .filter((binding) =>
      (binding["subjects"] as readonly { readonly name: string }[]).some(({ name }) => name === "meshid"),
    )
    .flatMap((binding) => {
      const { namespace } = binding.metadata;
      const { kind, name } = binding["roleRef"] as { readonly kind: string; readonly name: string };
      const role = rendered.find(
        (one) => one.kind === kind && one.metadata.name === name && one.metadata.namespace === namespace,
      );
      if (role === undefined) throw new Error(`${binding.kind} ${binding.metadata.name}: no ${kind} ${name}`);
      return (role["rules"] as readonly Rule[]).flatMap((rule) => expand(rule, `${kind} ${name}`, namespace));
    });
}

function expand(rule: Rule, role: string, namespace: string | undefined): readonly Right[] {
  return rule.apiGroups.flatMap((apiGroup) =>
    rule.resources.flatMap((resource) =>
      rule.verbs.map((verb) => ({ role, namespace, apiGroup, resource, verb, names: rule.resourceNames })),
    ),
  );
}

/** `ClusterRole meshid-write: patch meshid.dev/trustdomains cluster.local` */
export function describeRight({ role, apiGroup, resource, verb, names }: Right): string {
  const what = apiGroup === "" ? resource : `${apiGroup}/${resource}`;
  return `${role}: ${verb} ${what}${names === undefined ? "" : ` ${names.join()}`}`;
}

/** The rights that none of the requests needed. */
export function unusedRights(rights: readonly Right[], events: readonly AuditEvent[]): readonly string[] {
  const isUsed = (right: Right): boolean => events.some((event) => uses(event, right));
  return rights.filter((right) => !isUsed(right)).map(describeRight);
}

function uses({ verb, objectRef = {}, responseStatus }: AuditEvent, right: Right): boolean {
  const { apiGroup = "", resource = "", subresource, namespace, name = "" } = objectRef;
  const asked = subresource === undefined ? resource : `${resource}/${subresource}`;
  if (apiGroup !== right.apiGroup || asked !== right.resource) return false;
  if (right.namespace !== undefined && namespace !== right.namespace) return false;
  if (right.names !== undefined && !right.names.includes(name)) return false;
  // An apply that makes a new object needs both.
  return verb === right.verb || (right.verb === "create" && verb === "patch" && responseStatus?.code === 201);
}

/** What RBAC refused (an admission policy, a quota or a terminating namespace answers 403 as well). */
export function refusedByRbac(events: readonly AuditEvent[]): readonly string[] {
  return events
    .filter((event) => event.annotations?.["authorization.k8s.io/decision"] === "forbid")
    .map(lineOf);
}

/** Writes that met another state than they expected. A Lease is meant to be fought for. */
export function conflicts(events: readonly AuditEvent[]): readonly string[] {
  return events.filter((event) => event.responseStatus?.code === 409 && !isLease(event)).map(lineOf);
}
