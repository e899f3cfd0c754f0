/**
 * What the controller must be allowed to do: the chart's RBAC, as questions to the API server.
 */

export interface Right {
  readonly group: string;
  /** With its subresource: `serviceidentities/status`. */
  readonly resource: string;
  readonly verb: string;
  readonly where: "cluster" | "operator" | "served";
  /** Of the one object that it is about. */
  readonly object?: string;
}

type Row = Omit<Right, "verb"> & { readonly verbs: readonly string[] };

const READ = ["get", "list", "watch"] as const;
const WRITE = ["create", "patch", "delete"] as const;
const MESHID = "meshid.dev";
const ISTIO = "security.istio.io";
const LEASES = { group: "coordination.k8s.io", resource: "leases", where: "operator" } as const;

/** `trustDomain`: the one that is served. */
export function neededRights(trustDomain: string): readonly Right[] {
  const rows: readonly Row[] = [
    { group: MESHID, resource: "trustdomains", verbs: ["list", "watch", "create"], where: "cluster" },
    { group: MESHID, resource: "trustdomains", verbs: ["patch"], where: "cluster", object: trustDomain },
    { group: MESHID, resource: "trustdomains/status", verbs: ["patch"], where: "cluster" },
    { group: "", resource: "namespaces", verbs: ["list", "watch"], where: "cluster" },
    { group: "events.k8s.io", resource: "events", verbs: ["create", "patch"], where: "cluster" },
    { ...LEASES, verbs: ["create"] },
    { ...LEASES, verbs: [...READ, "update"], object: "meshid" },
    { group: "", resource: "secrets", verbs: [...READ, ...WRITE], where: "operator" },
    { group: "discovery.k8s.io", resource: "endpointslices", verbs: ["list"], where: "operator" },
    { group: MESHID, resource: "serviceidentities", verbs: ["list", "watch"], where: "served" },
    { group: MESHID, resource: "serviceidentities/status", verbs: ["patch"], where: "served" },
    { group: "", resource: "serviceaccounts", verbs: ["list", "watch"], where: "served" },
    { group: "", resource: "secrets", verbs: [...READ, ...WRITE], where: "served" },
    { group: "", resource: "configmaps", verbs: [...READ, ...WRITE], where: "served" },
    { group: ISTIO, resource: "peerauthentications", verbs: ["list", "watch", ...WRITE], where: "served" },
  ];
  return rows.flatMap(({ verbs, ...row }) => verbs.map((verb) => ({ ...row, verb })));
}

/** `patch secrets in shop`, `get leases.coordination.k8s.io "meshid" in meshid-system` */
export function describeRight(
  { group, resource, verb, object }: Right,
  namespace: string | undefined,
): string {
  const kind = group === "" ? resource : `${resource}.${group}`;
  const which = object === undefined ? "" : ` "${object}"`;
  return `${verb} ${kind}${which}${namespace === undefined ? "" : ` in ${namespace}`}`;
}
