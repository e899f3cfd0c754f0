/**
 * From a CustomResourceDefinition to a JSON schema that judges documents as an API server does under strict field
 * validation: unknown fields are faults, lists may be sets or maps. Rules in CEL are left to their twins.
 */

import { OperatorError } from "../core/errors.ts";
import { asRecord } from "../core/strict-json.ts";

type JsonSchema = Readonly<Record<string, unknown>>;

/** Keyword for a list whose items differ: in these fields, or as a whole where there are none. */
export const DISTINCT_KEYWORD = "distinctBy";

export interface KindSchema {
  readonly apiVersion: string;
  readonly kind: string;
  readonly schema: JsonSchema;
}

/** Said in the same words in both. */
const COPIED = new Set(
  `type enum pattern format minLength maxLength minimum maximum minItems maxItems minProperties maxProperties required
  description`.split(/\s+/),
);
/** Of no weight for what a document may say. */
const IGNORED = new Set(["x-kubernetes-validations", "x-kubernetes-map-type", "x-kubernetes-list-map-keys"]);

const TEXT = { type: "string" };
const TEXTS = { type: "object", additionalProperties: TEXT };
const TIME = { type: "string", format: "date-time", nullable: true };
const COUNT = { type: "integer", minimum: 0 };

/** What an API server reads of metadata; what it fills in itself may come along, as in the output of `kubectl get`. */
const METADATA: JsonSchema = {
  type: "object",
  additionalProperties: false,
  properties: {
    name: { ...TEXT, description: "Example: payments" },
    namespace: { ...TEXT, description: "Example: shop" },
    labels: { ...TEXTS, description: "Example: {app: payments}" },
    annotations: { ...TEXTS, description: "Example: {owner: shop-team}" },
    uid: TEXT,
    resourceVersion: TEXT,
    generation: COUNT,
    creationTimestamp: TIME,
    deletionTimestamp: TIME,
    deletionGracePeriodSeconds: COUNT,
    generateName: TEXT,
    selfLink: TEXT,
    finalizers: { type: "array", items: TEXT },
    ownerReferences: { type: "array", items: { type: "object" } },
    managedFields: { type: "array", items: { type: "object" } },
  },
};

/** @throws INVALID_CONFIGURATION when it is no CustomResourceDefinition, or its schema uses what is not understood here. */
export function kindSchema(definition: unknown): KindSchema {
  const spec = asRecord(asRecord(definition)?.["spec"]);
  const kind = asRecord(spec?.["names"])?.["kind"];
  const versions = spec?.["versions"];
  const version = Array.isArray(versions)
    ? asRecord(versions.find((one) => asRecord(one)?.["storage"]))
    : undefined;
  const root = asRecord(asRecord(version?.["schema"])?.["openAPIV3Schema"]);
  const properties = asRecord(root?.["properties"]);
  if (typeof kind !== "string" || properties === undefined) {
    throw new OperatorError("INVALID_CONFIGURATION", "reading a schema: not a CustomResourceDefinition");
  }
  const apiVersion = `${String(spec?.["group"])}/${String(version?.["name"])}`;
  const schema = {
    type: "object",
    additionalProperties: false,
    required: ["apiVersion", "kind", "metadata", "spec"],
    properties: {
      apiVersion: { const: apiVersion },
      kind: { const: kind },
      metadata: METADATA,
      spec: convert(properties["spec"], "spec"),
      // Never an input: whatever stands there is left aside, as an API server does.
      status: true,
    },
  };
  return { apiVersion, kind, schema };
}

function convert(node: unknown, field: string): JsonSchema {
  const schema = asRecord(node);
  if (schema === undefined) throw notUnderstood(field, "no schema");
  const converted: Record<string, unknown> = {};
  for (const [keyword, value] of Object.entries(schema)) {
    if (COPIED.has(keyword)) converted[keyword] = value;
    else if (!IGNORED.has(keyword))
      Object.assign(converted, convertKeyword(keyword, value, { schema, field }));
  }
  if (schema["type"] === "object" && schema["additionalProperties"] === undefined) {
    converted["additionalProperties"] = false;
  }
  return converted;
}

function convertKeyword(
  keyword: string,
  value: unknown,
  { schema, field }: { readonly schema: JsonSchema; readonly field: string },
): JsonSchema {
  switch (keyword) {
    case "properties": {
      const members = Object.entries(asRecord(value) ?? {});
      return {
        properties: Object.fromEntries(
          members.map(([name, one]) => [name, convert(one, `${field}.${name}`)]),
        ),
      };
    }
    case "additionalProperties":
    case "items":
      return { [keyword]: convert(value, `${field}.${keyword}`) };
    case "x-kubernetes-list-type":
      if (value === "atomic") return {};
      return { [DISTINCT_KEYWORD]: value === "map" ? schema["x-kubernetes-list-map-keys"] : [] };
    default:
      throw notUnderstood(field, `keyword ${keyword}`);
  }
}

/** Passing over a keyword would accept what an API server refuses. */
function notUnderstood(field: string, what: string): OperatorError {
  return new OperatorError(
    "INVALID_CONFIGURATION",
    `reading a schema: ${what} at ${field} is not understood`,
  );
}
