/**
 * Holds what must never be printed: keys, tokens, passphrases.
 */

import { inspect } from "node:util";

const REDACTED = "[redacted]";

/** Printing, serialising or inspecting it shows `[redacted]`; only `reveal()` gives the value. */
export class Secret<T = string> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }
}

// Not a member: isolated declarations allow no computed member names.
Object.defineProperty(Secret.prototype, inspect.custom, { value: () => REDACTED });
