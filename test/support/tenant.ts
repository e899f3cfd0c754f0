/**
 * A tenant with full rights (the built-in role admin) in one namespace, and none elsewhere: what it can ask of the API server.
 */

import type { ClusterSuite } from "./cluster-suite.ts";
import type { Completed } from "./control-plane/types.ts";
import { must } from "./controller-process.ts";

export interface Tenant {
  readonly namespace: string;
  /** `kubectl` as the tenant. */
  kubectl(args: readonly string[], object?: unknown): Promise<Completed>;
  /** Creates objects; the answer of kubectl. */
  create(...objects: readonly unknown[]): Promise<Completed>;
}

/** Beside the role admin it may do everything to PeerAuthentications of its namespace, as an Istio user has it. */
export async function makeTenant(suite: ClusterSuite): Promise<Tenant> {
  const namespace = await suite.namespace();
  const user = `tenant-of-${namespace}`;
  const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
  const subjects = [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: user }];
  const apiVersion = "rbac.authorization.k8s.io/v1";
  await must(suite.kube, {
    method: "POST",
    path: `${rbac}/roles`,
    body: {
      apiVersion,
      kind: "Role",
      metadata: { name: "mesh" },
      rules: [{ apiGroups: ["security.istio.io"], resources: ["*"], verbs: ["*"] }],
    },
  });
  const bind = (kind: string, name: string): Promise<unknown> =>
    must(suite.kube, {
      method: "POST",
      path: `${rbac}/rolebindings`,
      body: {
        apiVersion,
        kind: "RoleBinding",
        metadata: { name },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind, name },
        subjects,
      },
    });
  await bind("ClusterRole", "admin");
  await bind("Role", "mesh");
  const kubeconfig = await suite.kube.userKubeconfig(user);
  const kubectl = (args: readonly string[], object?: unknown): Promise<Completed> =>
    suite.kube.kubectl(args, {
      kubeconfig,
      ...(object === undefined ? {} : { input: JSON.stringify(object) }),
    });
  return {
    namespace,
    kubectl,
    create: (...items) => kubectl(["create", "-f", "-"], { apiVersion: "v1", kind: "List", items }),
  };
}
