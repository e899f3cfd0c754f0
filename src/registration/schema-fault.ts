/**
 * What a schema says against a document, in plain words.
 */

import type { ErrorObject } from "ajv";
import { DURATION_PATTERN } from "../core/duration.ts";
import { quoted } from "../core/errors.ts";
import { asRecord } from "../core/strict-json.ts";
import { type FieldFault, type FieldPath, fieldOf } from "./field-path.ts";
import { DISTINCT_KEYWORD } from "./structural-schema.ts";

type Words = Pick<FieldFault, "message" | "expected"> & {
  /** What is wrong lies below the value: a member that is missing or unknown, an item. */
  readonly below?: string | number;
};

export function describeError(error: ErrorObject, document: unknown): FieldFault {
  const { below, message, expected } = wordsFor(error);
  const parent = pathOf(error.instancePath, document);
  const path = below === undefined ? parent : [...parent, below];
  return { path, field: fieldOf(path), message, expected };
}

function wordsFor(error: ErrorObject): Words {
  const { keyword, params, data, parentSchema } = error;
  const found = valueInWords(data);
  switch (keyword) {
    case "type":
      return { message: `is ${found}`, expected: typeInWords(String(params["type"]), parentSchema) };
    case "required":
      return missing(String(params["missingProperty"]), parentSchema);
    case "additionalProperties":
      return unknownField(String(params["additionalProperty"]), parentSchema);
    case "const":
      return { message: `${found} is not served`, expected: String(params["allowedValue"]) };
    case "enum":
      return { message: `${found} is not supported`, expected: `one of ${listed(params["allowedValues"])}` };
    case "pattern":
      return patternInWords(found, String(params["pattern"]));
    case "format":
      return { message: `${found} is not a time`, expected: "a time such as 2026-11-24T10:00:00Z" };
    case DISTINCT_KEYWORD:
      return {
        below: Number(params["index"]),
        message: "stands twice in the list",
        expected: "each one once",
      };
    default:
      return outOfBounds(error);
  }
}

function outOfBounds({ keyword, params, data }: ErrorObject): Words {
  const limit = Number(params["limit"]);
  switch (keyword) {
    case "minimum":
    case "maximum":
      return {
        message: `${String(data)} is out of bounds`,
        expected: `${keyword === "minimum" ? "at least" : "at most"} ${limit}`,
      };
    case "minLength":
      return {
        message: data === "" ? "is empty" : `${valueInWords(data)} is too short`,
        expected: `at least ${counted(limit, "character")}`,
      };
    case "maxLength":
      return {
        message: `has ${String(data).length} characters`,
        expected: `at most ${counted(limit, "character")}`,
      };
    case "minItems":
    case "maxItems":
      return sized(keyword, Array.isArray(data) ? data.length : 0, counted(limit, "item"));
    case "minProperties":
    case "maxProperties":
      return sized(keyword, Object.keys(asRecord(data) ?? {}).length, counted(limit, "entry"));
    default:
      throw new TypeError(`no words for the keyword ${keyword}`);
  }
}

function sized(keyword: string, size: number, limit: string): Words {
  return {
    message: size === 0 ? "is empty" : `has ${size} entries`,
    expected: `${keyword.startsWith("min") ? "at least" : "at most"} ${limit}`,
  };
}

function missing(name: string, parent: unknown): Words {
  const schema = asRecord(asRecord(asRecord(parent)?.["properties"])?.[name]);
  const example = exampleOf(schema);
  const expected = name === "spec" ? "spec: {} at the least" : `a value${example}`;
  return { below: name, message: "is missing", expected };
}

function unknownField(name: string, parent: unknown): Words {
  const known = Object.keys(asRecord(asRecord(parent)?.["properties"]) ?? {});
  const near = known.find((one) => isNear(one.toLowerCase(), name.toLowerCase()));
  const expected = near === undefined ? `one of ${known.join(", ")}` : near;
  return { below: name, message: "is not a known field", expected };
}

/** Whether one edit makes `b` of `a`, or one is the beginning of the other: enough to guess what was meant. */
function isNear(a: string, b: string): boolean {
  if (a === b) return true;
  const [short, long] = a.length <= b.length ? [a, b] : [b, a];
  if (short.length >= 3 && long.startsWith(short)) return true;
  if (long.length - short.length > 1) return false;
  let start = 0;
  while (start < short.length && short[start] === long[start]) start++;
  const rest = short.slice(short.length === long.length ? start + 1 : start);
  return rest === long.slice(start + 1);
}

function patternInWords(found: string, pattern: string): Words {
  if (pattern !== DURATION_PATTERN) {
    return { message: `${found} has the wrong form`, expected: `text that matches ${pattern}` };
  }
  return {
    message: `${found} is not a duration`,
    expected: "hours, minutes and seconds such as 24h, 90m or 1h30m",
  };
}

function typeInWords(type: string, schema: unknown): string {
  const example = exampleOf(schema);
  switch (type) {
    case "integer":
      return `a whole number${example}`;
    case "string":
      return `text${example}`;
    case "array":
      return `a list${example}`;
    default:
      return `an ${type}${example}`;
  }
}

/** Every description in `crds/` ends with an example. */
function exampleOf(schema: unknown): string {
  const description = asRecord(schema)?.["description"];
  const example = typeof description === "string" ? /Example: (\S.*)$/.exec(description)?.[1] : undefined;
  return example === undefined ? "" : ` such as ${example}`;
}

function valueInWords(value: unknown): string {
  if (value === null || value === undefined) return "empty";
  if (typeof value === "string") return quoted(value);
  if (typeof value === "number" || typeof value === "bigint") return `the number ${value}`;
  if (typeof value === "boolean") return `the boolean ${value}`;
  return Array.isArray(value) ? "a list" : "an object";
}

function listed(values: unknown): string {
  return Array.isArray(values) ? values.join(", ") : String(values);
}

function counted(count: number, what: string): string {
  if (count === 1) return `${count} ${what}`;
  return `${count} ${what === "entry" ? "entries" : `${what}s`}`;
}

/** From a JSON pointer: whether a part is an index shows only in the document. */
function pathOf(pointer: string, document: unknown): FieldPath {
  const path: (string | number)[] = [];
  let value = document;
  for (const part of pointer.split("/").slice(1)) {
    const name = part.replaceAll("~1", "/").replaceAll("~0", "~");
    const step = Array.isArray(value) ? Number(name) : name;
    path.push(step);
    value = Array.isArray(value) ? value[Number(name)] : asRecord(value)?.[name];
  }
  return path;
}
