/**
 * Where in an object something is wrong: a path for programs (the line of a file), a field for people.
 */

import { OperatorError } from "../core/errors.ts";

/** Names of members and indexes of list items, from the root. */
export type FieldPath = readonly (string | number)[];

export interface FieldFault {
  /** The last part may be absent from the object: then it is what is missing. */
  readonly path: FieldPath;
  /** As in `spec.x509.dnsNames[1]`; empty for the object itself. */
  readonly field: string;
  /** What is wrong, as in `"90d" is not a duration`. */
  readonly message: string;
  /** As in `a duration from 1m to 2160h`. */
  readonly expected: string;
}

const MEMBER = /^[A-Za-z_][A-Za-z0-9_]*$/;
const PART = /\.?([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]/y;

/** `["spec", "dnsNames", 1]` → `spec.dnsNames[1]`; other names are quoted: `labels["a/b"]`. */
export function fieldOf(path: FieldPath): string {
  let field = "";
  for (const part of path) {
    if (typeof part === "number") field += `[${part}]`;
    else if (MEMBER.test(part)) field += field === "" ? part : `.${part}`;
    else field += `[${JSON.stringify(part)}]`;
  }
  return field;
}

/** The reverse of `fieldOf`. @throws TypeError for text that it does not make. */
export function parseField(field: string): FieldPath {
  const path: (string | number)[] = [];
  PART.lastIndex = 0;
  while (PART.lastIndex < field.length) {
    const at = PART.lastIndex;
    const [, name, index, quotedName] = PART.exec(field) ?? [];
    if (name !== undefined) path.push(name);
    else if (index !== undefined) path.push(Number(index));
    else if (quotedName !== undefined) path.push(String(JSON.parse(quotedName)));
    else throw new TypeError(`not a field: ${field.slice(at)}`);
  }
  return path;
}

export function fieldFault(field: string, message: string, expected: string): FieldFault {
  return { path: parseField(field), field, message, expected };
}

/** Takes a fault; the checks go on, so that every fault of an object can be shown. */
export type Report = (field: string, message: string, expected: string) => void;

/** Carries on where a parser throws: reports what was wrong under `field`. @throws whatever is not INVALID_INPUT. */
export function reported<T>(report: Report, field: string, parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof OperatorError) || error.code !== "INVALID_INPUT") throw error;
    const expected = String(error.details["expected"]);
    const named = `${error.details["field"]}: `;
    const text = error.message.startsWith(named) ? error.message.slice(named.length) : error.message;
    const tail = `; expected ${expected}`;
    report(field, text.endsWith(tail) ? text.slice(0, -tail.length) : text, expected);
    return undefined;
  }
}
