/**
 * TypeScript types of the custom resources from `crds/`. The types in `src/registration` are written by hand, for people;
 * test/unit/registration/crd-types.test.ts holds them against these.
 */

import { readFile } from "node:fs/promises";
import { parse } from "yaml";

export const CRD_TYPES = "test/support/crd-types.ts";

const KINDS = { ServiceIdentity: "serviceidentities", TrustDomain: "trustdomains" } as const;

/** What the formatter leaves on one line. */
const LONGEST_UNION = 80;

interface Schema {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
}

interface Definition {
  readonly spec: { readonly versions: readonly [{ readonly schema: { readonly openAPIV3Schema: Schema } }] };
}

/** The text of test/support/crd-types.ts. */
export async function crdTypes(): Promise<string> {
  const types = await Promise.all(
    Object.entries(KINDS).map(async ([kind, plural]) => {
      const file = new URL(`../crds/meshid.dev_${plural}.yaml`, import.meta.url);
      const { spec } = parse(await readFile(file, "utf8")) as Definition;
      const { properties = {} } = spec.versions[0].schema.openAPIV3Schema;
      return ["spec", "status"].map((part) => {
        const name = `${kind}${part === "spec" ? "Spec" : "Status"}`;
        return `export type ${name} = ${typeText(properties[part] ?? {}, "")};\n`;
      });
    }),
  );
  return `/** Made by hack/generate from crds/: change it there. */\n\n${types.flat().join("\n")}`;
}

/** @throws Error for a schema that it has no type for. */
function typeText(schema: Schema, indent: string): string {
  const { type, properties, additionalProperties, items, required = [] } = schema;
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (type === "string" || type === "boolean") return type;
  if (type === "integer") return "number";
  if (items !== undefined) {
    if (items.enum === undefined) return `readonly ${typeText(items, indent)}[]`;
    const values = items.enum.map((value) => JSON.stringify(value));
    const line = `readonly (${values.join(" | ")})[]`;
    const isLong = line.length > LONGEST_UNION;
    return isLong
      ? `readonly (\n${values.map((value) => `${indent}  | ${value}\n`).join("")}${indent})[]`
      : line;
  }
  if (additionalProperties !== undefined)
    return `Readonly<Record<string, ${typeText(additionalProperties, indent)}>>`;
  if (properties === undefined) throw new Error(`crds/: no type for ${JSON.stringify(schema)}`);
  const inner = `${indent}  `;
  const members = Object.entries(properties).map(
    ([name, one]) =>
      `${inner}readonly ${name}${required.includes(name) ? "" : "?"}: ${typeText(one, inner)};\n`,
  );
  return `{\n${members.join("")}${indent}}`;
}
