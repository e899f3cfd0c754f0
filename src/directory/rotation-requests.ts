/**
 * Rotations asked for by `meshid rotate`: each request stays in STATE until the journal has honoured it.
 */

import type { AuthorityKind } from "../authority/slot.ts";

type Values = Readonly<Partial<Record<AuthorityKind, string>>>;

interface HeldRequest {
  readonly kind: AuthorityKind;
  readonly value: string;
  readonly remove: () => void;
}

export class HeldRotations {
  readonly #newest: Partial<Record<AuthorityKind, string>> = {};
  #held: readonly HeldRequest[] = [];

  get newest(): Values {
    return this.#newest;
  }

  /** False for a request that is held already. */
  hold(request: HeldRequest): boolean {
    if (this.#held.some((held) => held.value === request.value)) return false;
    this.#newest[request.kind] = request.value;
    this.#held = [...this.#held, request];
    return true;
  }

  /** Ends the requests that the journal has honoured, and those that a newer one of their kind stands for. */
  honoured(values: Values): void {
    this.#held = this.#held.filter(({ kind, value, remove }) => {
      const isMet = values[kind] === value || (values[kind] !== undefined && this.#newest[kind] !== value);
      if (isMet) remove();
      return !isMet;
    });
  }
}
