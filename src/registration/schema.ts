/**
 * Judges documents by the schemas in `crds/`, which come in as data.
 */

import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { parseRfc3339 } from "../core/clock.ts";
import { quoted } from "../core/errors.ts";
import { asRecord } from "../core/strict-json.ts";
import type { FieldFault } from "./field-path.ts";
import { describeError } from "./schema-fault.ts";
import { DISTINCT_KEYWORD, type KindSchema, kindSchema } from "./structural-schema.ts";

/** Every fault found, at most `MAX_FAULTS`, in the order of the document; empty when the document is as it should be. */
export type ValidateDocument = (document: unknown) => readonly FieldFault[];

const MAX_FAULTS = 20;
/** Above this size only the first fault is looked for: a file of errors must not become a memory full of them. */
const MAX_NODES = 20_000;

interface CompiledKind extends KindSchema {
  readonly first: ValidateFunction;
  readonly all: ValidateFunction;
}

/**
 * Compiles once; what it returns takes some microseconds a document. `definitions`: CustomResourceDefinitions, parsed.
 * @throws INVALID_CONFIGURATION when one of them is none.
 */
export function compileSchemas(definitions: readonly unknown[]): ValidateDocument {
  const first = makeAjv(false);
  const all = makeAjv(true);
  const kinds = definitions.map((definition): CompiledKind => {
    const known = kindSchema(definition);
    return { ...known, first: first.compile(known.schema), all: all.compile(known.schema) };
  });
  return (document) => {
    const object = asRecord(document);
    if (object === undefined) return [notAnObject(document)];
    const kind = kinds.find((one) => one.kind === object["kind"]);
    return kind === undefined ? [unknownKind(object["kind"], kinds)] : faultsOf(kind, object);
  };
}

function faultsOf(
  { first, all }: CompiledKind,
  document: Readonly<Record<string, unknown>>,
): readonly FieldFault[] {
  if (first(document)) return [];
  const isSmall = countNodes(document, MAX_NODES) < MAX_NODES;
  const judge = isSmall ? all : first;
  judge(document);
  return (judge.errors ?? []).slice(0, MAX_FAULTS).map((error) => describeError(error, document));
}

function makeAjv(allErrors: boolean): Ajv {
  const ajv = new Ajv({ allErrors, verbose: true, strict: true, strictTypes: true, ownProperties: true });
  ajv.addFormat("date-time", (text: string) => parseRfc3339(text) !== undefined);
  for (const format of ["int32", "int64"]) ajv.addFormat(format, true);
  const validate: DistinctValidator = (keys, items) => {
    const repeated = repetition(items, keys);
    if (repeated === undefined) return true;
    validate.errors = [{ keyword: DISTINCT_KEYWORD, params: { index: repeated } }];
    return false;
  };
  return ajv.addKeyword({
    keyword: DISTINCT_KEYWORD,
    type: "array",
    schemaType: "array",
    errors: true,
    validate,
  });
}

interface DistinctValidator {
  (keys: readonly string[], items: readonly unknown[]): boolean;
  errors?: Partial<ErrorObject>[];
}

/** The index of the first item that an earlier one equals: in its `keys`, or as a whole where there are none. */
function repetition(items: readonly unknown[], keys: readonly string[]): number | undefined {
  const seen = new Set<string>();
  for (const [index, item] of items.entries()) {
    const value = keys.length === 0 ? item : keys.map((key) => asRecord(item)?.[key]);
    const text = JSON.stringify(value);
    if (seen.has(text)) return index;
    seen.add(text);
  }
  return undefined;
}

/** Counts what is reachable, at most `limit`: aliases may make a small file very large. */
function countNodes(root: unknown, limit: number): number {
  const open: unknown[] = [root];
  let count = 0;
  while (count < limit) {
    const value = open.pop();
    if (value === undefined && open.length === 0) break;
    count++;
    if (typeof value !== "object" || value === null) continue;
    for (const part of Object.values(value)) {
      if (open.push(part) > limit) return limit;
    }
  }
  return count;
}

function notAnObject(document: unknown): FieldFault {
  const found =
    document === null || document === undefined
      ? "nothing"
      : Array.isArray(document)
        ? "a list"
        : typeof document;
  return {
    path: [],
    field: "",
    message: `the document is ${found}`,
    expected: "an object with apiVersion, kind, metadata and spec",
  };
}

function unknownKind(kind: unknown, kinds: readonly KindSchema[]): FieldFault {
  const message = typeof kind === "string" ? `${quoted(kind)} is not a kind of meshid` : "is missing";
  return { path: ["kind"], field: "kind", message, expected: kinds.map((one) => one.kind).join(" or ") };
}
