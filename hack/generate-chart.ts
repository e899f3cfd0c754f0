/**
 * What of the chart is made from other files: its CRDs and the schema of `trustDomain.spec` from `crds/`, the table of
 * values in its README from `values.yaml`, and `charts/install.yaml` from the chart itself.
 */

import { readFile } from "node:fs/promises";
import { isMap, isScalar, parse, parseDocument, type YAMLMap } from "yaml";

const CHART = "charts/meshid";
export const INSTALL_MANIFEST = "charts/install.yaml";
export const HELM_TEMPLATE_ARGS: readonly string[] = [
  "template",
  "meshid",
  CHART,
  "--namespace",
  "meshid-system",
];

const CRDS = ["serviceidentities", "trustdomains"] as const;

/** By path from the root: what each generated file of the chart is to hold. */
export async function chartFiles(): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  const crds = await Promise.all(CRDS.map((name) => read(`crds/meshid.dev_${name}.yaml`)));
  for (const [index, name] of CRDS.entries())
    files.set(`${CHART}/templates/crd-${name}.yaml`, crdTemplate(name, crds[index] ?? ""));
  const schema = withTrustDomainSpec(await read(`${CHART}/values.schema.json`), crds[1] ?? "");
  files.set(`${CHART}/values.schema.json`, schema);
  const table = valuesTable(await read(`${CHART}/values.yaml`), JSON.parse(schema) as Schema);
  files.set(`${CHART}/README.md`, withTable(await read(`${CHART}/README.md`), table));
  return files;
}

/** `charts/install.yaml` from what `helm template` prints. */
export function installManifest(rendered: string): string {
  const objects = rendered
    .split("\n")
    // Nothing of it is Helm's any more.
    .filter((line) => !/^\s+(app\.kubernetes\.io\/managed-by: Helm|helm\.sh\/chart: .*)$/.test(line))
    .join("\n")
    // Helm 3 and 4 leave different room between documents.
    .replaceAll(/\s+\n---\n/g, "\n---\n")
    .trim();
  return `# Made by hack/generate from charts/meshid: change it there. For use without Helm:
#   kubectl apply --server-side -f install.yaml
apiVersion: v1
kind: Namespace
metadata:
  name: meshid-system
  labels:
    app.kubernetes.io/name: meshid
    pod-security.kubernetes.io/enforce: restricted
${objects}
`;
}

function read(path: string): Promise<string> {
  return readFile(new URL(`../${path}`, import.meta.url), "utf8");
}

function crdTemplate(name: string, crd: string): string {
  const head = `metadata:\n  name: ${name}.meshid.dev\n`;
  if (!crd.includes(head) || crd.includes("{{"))
    throw new Error(`crds/meshid.dev_${name}.yaml: not as expected`);
  const labelled = crd.replace(
    head,
    `${head}  labels:
    {{- include "meshid.labels" . | nindent 4 }}
  annotations:
    # With it every ServiceIdentity and every credential would go.
    helm.sh/resource-policy: keep
`,
  );
  return `{{- /* Made by hack/generate from crds/: change it there. */}}
{{- if .Values.crds.install }}
${labelled.trimEnd()}
{{- end }}
`;
}

interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly [keyword: string]: unknown;
}

function withTrustDomainSpec(valuesSchema: string, crd: string): string {
  const { spec } = parse(crd) as {
    readonly spec: {
      readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Schema } }[];
    };
  };
  const trustDomain = spec.versions[0]?.schema.openAPIV3Schema.properties?.["spec"];
  if (trustDomain === undefined) throw new Error("the CRD of TrustDomain has no schema of spec");
  const schema = JSON.parse(valuesSchema) as { definitions: Record<string, unknown> };
  schema.definitions["trustDomainSpec"] = jsonSchema(trustDomain);
  return `${JSON.stringify(schema, null, 2)}\n`;
}

/** Plain JSON Schema of a structural schema: CEL rules are left to the API server; unknown fields are refused. */
function jsonSchema(schema: Schema): Schema {
  const { properties, items, additionalProperties, format: _, ...rest } = schema;
  const plain = Object.entries(rest).filter(([keyword]) => !keyword.startsWith("x-kubernetes-"));
  const within = Object.entries(properties ?? {}).map(([name, one]) => [name, jsonSchema(one)] as const);
  return {
    ...Object.fromEntries(plain),
    ...(properties === undefined
      ? {}
      : { properties: Object.fromEntries(within), additionalProperties: false }),
    ...(typeof additionalProperties === "object"
      ? { additionalProperties: jsonSchema(additionalProperties) }
      : {}),
    ...(items === undefined ? {} : { items: jsonSchema(items) }),
  };
}

/** @throws Error naming a value without a comment. */
function valuesTable(values: string, schema: Schema): string {
  const { contents } = parseDocument(values);
  if (!isMap(contents)) throw new Error("values.yaml: expected a map");
  const rows = valueRows(contents, "", schema);
  return `| value | default | allowed | what it does |\n|---|---|---|---|\n${rows.join("")}`;
}

function valueRows(map: YAMLMap, prefix: string, schema: Schema): readonly string[] {
  return map.items.flatMap((pair, index) => {
    const { key, value } = pair;
    if (!isScalar(key)) throw new Error(`values.yaml: a key under ${prefix} is no name`);
    const path = `${prefix}${String(key.value)}`;
    const allowed = schema.properties?.[String(key.value)] ?? {};
    // The comment before the first key is kept at the map.
    const comment = key.commentBefore ?? (index === 0 && prefix !== "" ? map.commentBefore : undefined);
    if (comment) {
      const isEmpty = isMap(value) && value.items.length === 0;
      const json = isEmpty ? {} : ((value as { toJSON(): unknown } | null)?.toJSON() ?? "");
      const text = comment
        .split("\n")
        .map((line) => line.trim())
        .join(" ");
      return [`| \`${path}\` | \`${JSON.stringify(json)}\` | ${allowedText(allowed)} | ${cell(text)} |\n`];
    }
    if (!isMap(value) || value.items.length === 0) throw new Error(`values.yaml: ${path} has no comment`);
    return valueRows(value, `${path}.`, allowed);
  });
}

function allowedText(schema: Schema): string {
  if (schema.enum !== undefined) return cell(schema.enum.join(", "));
  if (schema["$ref"] !== undefined) return "spec of a TrustDomain";
  const { type, minimum, maximum, items } = schema;
  if (type === "array") return `list of ${items?.type === "object" ? "objects" : `${String(items?.type)}s`}`;
  if (minimum !== undefined && maximum !== undefined) return `${minimum} to ${maximum}`;
  return type === undefined ? "number or percentage" : String(type);
}

function withTable(readme: string, table: string): string {
  const place = /(<!-- values: .*-->\n)[^]*?(<!-- \/values -->)/;
  if (!place.test(readme)) throw new Error("README.md of the chart: no place for the table of values");
  return readme.replace(place, (_, start: string, end: string) => `${start}${table}${end}`);
}

function cell(text: string): string {
  return text.replaceAll("|", String.raw`\|`);
}
