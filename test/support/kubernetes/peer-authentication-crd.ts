/**
 * The PeerAuthentication kind as Istio installs it, as far as a test needs it.
 */

import type { ControlPlane } from "../control-plane/types.ts";

const NAME = "peerauthentications.security.istio.io";
const PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/** Resolves when it is served; any number of suites may do it at once. */
export async function installPeerAuthentication(plane: ControlPlane): Promise<void> {
  const schema = {
    type: "object",
    properties: {
      spec: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
      status: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
    },
  };
  const version = {
    name: "v1",
    served: true,
    storage: true,
    schema: { openAPIV3Schema: schema },
    subresources: { status: {} },
  };
  const body = {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: NAME },
    spec: {
      group: "security.istio.io",
      scope: "Namespaced",
      names: {
        kind: "PeerAuthentication",
        listKind: "PeerAuthenticationList",
        plural: "peerauthentications",
        singular: "peerauthentication",
      },
      versions: [version],
    },
  };
  const made = await plane.request({
    method: "PATCH",
    path: `${PATH}/${NAME}?fieldManager=test&force=true`,
    contentType: "application/apply-patch+yaml",
    body,
  });
  if (made.status >= 300) throw new Error(`${NAME}: ${made.status} ${JSON.stringify(made.body)}`);
  const path = "/apis/security.istio.io/v1/peerauthentications";
  while ((await plane.request({ method: "GET", path })).status !== 200)
    await new Promise((resolve) => setTimeout(resolve, 50));
}
