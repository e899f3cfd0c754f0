/**
 * The fields of a schema of a CustomResourceDefinition.
 */

import { asRecord } from "../../core/strict-json.ts";

/** `spec.x509.ttl`, `spec.jwt.tokens[].audience`, in the order of the schema. */
export function fieldsOf(schema: unknown): ReadonlySet<string> {
  const fields = new Set<string>();
  collect(schema, "", fields);
  return fields;
}

function collect(schema: unknown, at: string, fields: Set<string>): void {
  const node = asRecord(schema);
  if (node === undefined) return;
  for (const [name, child] of Object.entries(asRecord(node["properties"]) ?? {})) {
    const path = at === "" ? name : `${at}.${name}`;
    fields.add(path);
    collect(child, path, fields);
  }
  collect(node["items"], `${at}[]`, fields);
  collect(node["additionalProperties"], `${at}.*`, fields);
}
