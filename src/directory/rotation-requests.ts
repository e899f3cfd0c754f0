/**
 * Rotations asked for by `meshid rotate`: each request stays in STATE until the journal has honoured it.
 */

import type { Requests } from "../authority/rotation-plan.ts";
import type { AuthorityKind, Journal } from "../authority/slot.ts";

interface HeldRequest {
  readonly kind: AuthorityKind;
  readonly value: string;
  /** The ID of a key that nobody shall trust any more: that is asked for then, and no rotation. */
  readonly compromised?: string | undefined;
  readonly remove: () => void;
}

export class HeldRotations {
  readonly #newest: Partial<Record<AuthorityKind, string>> = {};
  #held: readonly HeldRequest[] = [];

  get newest(): Requests {
    return this.#newest;
  }

  get distrusted(): ReadonlySet<string> {
    return new Set(this.#held.flatMap(({ compromised }) => compromised ?? []));
  }

  /** False for a request that is held already. */
  hold(request: HeldRequest): boolean {
    if (this.#held.some((held) => held.value === request.value)) return false;
    if (request.compromised === undefined) this.#newest[request.kind] = request.value;
    this.#held = [...this.#held, request];
    return true;
  }

  /** Ends the requests that the journal has honoured, and those that a newer one of their kind stands for. */
  honoured({ honoured, slots }: Pick<Journal, "honoured" | "slots">): void {
    this.#held = this.#held.filter(({ kind, value, compromised, remove }) => {
      const isRotated =
        honoured[kind] === value || (honoured[kind] !== undefined && this.#newest[kind] !== value);
      const isMet = compromised === undefined ? isRotated : slots.every(({ keyID }) => keyID !== compromised);
      if (isMet) remove();
      return !isMet;
    });
  }
}
