/**
 * What a check of `meshid doctor` says, and the words that checks have in common.
 */

export type Result = "ok" | "warning" | "failed" | "skipped";

export interface Finding {
  /** Stable: programs go by it. */
  readonly name: string;
  readonly result: Result;
  readonly message: string;
  /** What to do; with every warning and failure. */
  readonly remedy?: string;
  /** The objects that the message speaks of, all of them: `shop/payments`. */
  readonly affected?: readonly string[];
}

/** What is known, or why it is not: a right that the user does not have, as a rule. */
export type Known<T> =
  | { readonly known: true; readonly value: T }
  | { readonly known: false; readonly why: string };

/** A check that does not know its own name: `checks.ts` has the table. */
export type Verdict = Omit<Finding, "name">;

const MAX_NAMED = 5;
/** So many are handed to a program. */
const MAX_AFFECTED = 1000;

export function ok(message: string): Verdict {
  return { result: "ok", message };
}

export function skipped(why: string): Verdict {
  return { result: "skipped", message: why };
}

export function warning(message: string, remedy: string, affected: readonly string[] = []): Verdict {
  return { result: "warning", message, remedy, ...affectedOf(affected) };
}

export function failed(message: string, remedy: string, affected: readonly string[] = []): Verdict {
  return { result: "failed", message, remedy, ...affectedOf(affected) };
}

/** `a, b and 3 more` */
export function named(items: readonly string[]): string {
  const more = items.length > MAX_NAMED ? ` and ${items.length - MAX_NAMED} more` : "";
  return items.slice(0, MAX_NAMED).join(", ") + more;
}

/** `1 identity`, `3 identities` */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

function affectedOf(affected: readonly string[]): Pick<Finding, "affected"> {
  return affected.length === 0 ? {} : { affected: affected.slice(0, MAX_AFFECTED) };
}
