/**
 * JSON from outside, where two readers must not understand one text differently: a member named twice is refused, and
 * integers keep every digit.
 *
 * `JSON.parse` does both silently (the last member wins, 2^53 + 1 is rounded). The packages that report duplicates
 * replace the engine's parser by a slower one of their own; here the engine parses, so the text is known to be JSON, and
 * one pass over its strings and braces is enough to see a name twice.
 */

import { invalidInput } from "./errors.ts";

/** In text that is JSON: a string with the colon that makes it a member name, or the brace of an object. */
const STRINGS_AND_BRACES = /("[^"\\]*(?:\\.[^"\\]*)*")([ \t\r\n]*:)?|[{}]/g;

/**
 * The value of `text`; integers outside the safe range become `bigint`. Messages never quote the text.
 * @throws INVALID_INPUT naming `field` when it is not JSON (RFC 8259) or names a member of an object twice.
 */
export function parseStrictJson(text: string, field: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text, keepDigits as (key: string, value: unknown) => unknown);
  } catch (error) {
    const at = error instanceof SyntaxError ? /at position \d+/.exec(error.message)?.[0] : undefined;
    throw invalidInput(field, `is not JSON${at === undefined ? "" : ` (${at})`}`, "a JSON text (RFC 8259)");
  }
  const offset = duplicateMember(text);
  if (offset === undefined) return value;
  throw invalidInput(
    field,
    `names a member of an object twice (at position ${offset})`,
    "each member once (RFC 8259 §4)",
  );
}

/** Narrows to an object; `undefined` for an array, `null` and everything else. */
export function asRecord(value: unknown): Readonly<Record<string, unknown>> | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return value as Record<string, unknown>;
}

/** The third argument is newer (JSON.parse source text access) than the library's types. */
function keepDigits(_name: string, value: unknown, context: { readonly source?: string }): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  const source = context.source ?? "";
  return /^-?\d+$/.test(source) ? BigInt(source) : value;
}

/** The offset of the first name that its object has already; undefined when there is none. */
function duplicateMember(text: string): number | undefined {
  const open: Set<string>[] = [];
  for (const { 0: token, 1: string, 2: colon, index } of text.matchAll(STRINGS_AND_BRACES)) {
    if (token === "{") open.push(new Set());
    else if (token === "}") open.pop();
    else if (string !== undefined && colon !== undefined) {
      const name = string.includes("\\") ? String(JSON.parse(string)) : string.slice(1, -1);
      const names = open.at(-1);
      if (names?.has(name)) return index;
      names?.add(name);
    }
  }
  return undefined;
}
