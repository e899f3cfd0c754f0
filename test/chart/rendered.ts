/**
 * The chart as `helm template` renders it, with the values of a suite.
 */

import { parseAllDocuments } from "yaml";
import type { ControlPlane } from "../support/control-plane/types.ts";

export const CHART: string = new URL("../../charts/meshid", import.meta.url).pathname;
export const NAMESPACE = "meshid-system";

export interface Rendered {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Record<string, string>;
  };
  // oxlint-disable-next-line typescript/no-explicit-any -- any kind of object; tests read what they expect.
  readonly [member: string]: any;
}

/** The values are JSON, so that nothing of helm's --set syntax has to be escaped. @throws Error with what helm says. */
export async function render(
  kube: ControlPlane,
  values: unknown = {},
  namespace: string = NAMESPACE,
): Promise<readonly Rendered[]> {
  const args = ["template", "meshid", CHART, "--namespace", namespace, "--values", "-"];
  const { code, stdout, stderr } = await kube.helm(args, { input: JSON.stringify(values) });
  if (code !== 0) throw new Error(stderr);
  return parseAllDocuments(stdout).flatMap((document) => (document.toJSON() as Rendered | null) ?? []);
}

/** @throws Error where there is not exactly one. */
export function only(
  objects: readonly Rendered[],
  kind: string,
  name = "meshid",
  namespace?: string,
): Rendered {
  const found = objects.filter(
    (one) =>
      one.kind === kind &&
      one.metadata.name === name &&
      (namespace ?? one.metadata.namespace) === one.metadata.namespace,
  );
  const [first] = found;
  if (first === undefined || found.length > 1) throw new Error(`${kind} ${name}: ${found.length} of them`);
  return first;
}
