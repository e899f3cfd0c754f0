/**
 * The lives of the keys as status shows them, put together from many looks.
 */

import type { AuthorityKind, SlotState } from "../../../src/authority/slot.ts";
import type { AuthorityStatus } from "../../../src/registration/service-identity.ts";
import type { LogStep } from "./bed.ts";

export const KINDS: readonly AuthorityKind[] = ["Root", "Issuing", "JWT"];

/** Instants as of `Date.now()`; undefined: not yet, or never seen. */
export interface KeyLife {
  readonly kind: AuthorityKind;
  readonly keyID: string;
  /** Absent for the first keys of the trust domain. */
  prepared?: number;
  /** When all consumers were seen with it; from the log. */
  observed?: number;
  active?: number;
  retired?: number;
  gone?: number;
}

interface Change {
  readonly kind: AuthorityKind;
  readonly keyID: string;
  readonly state: SlotState;
}

const FIELDS = { Prepared: "prepared", Active: "active", Retired: "retired" } as const satisfies Record<
  SlotState,
  keyof KeyLife
>;

export class Timeline {
  readonly #lives = new Map<string, KeyLife>();
  #isFirst = true;

  /** What status shows at `now`. Returns what is new in it. */
  look(authorities: readonly AuthorityStatus[], now: number): readonly Change[] {
    // A status that was not written yet says nothing.
    if (authorities.length === 0) return [];
    const changes: Change[] = [];
    for (const { kind, keyID, state, since } of authorities) {
      const id = `${kind} ${keyID}`;
      const life: KeyLife = this.#lives.get(id) ?? { kind, keyID };
      this.#lives.set(id, life);
      const field = FIELDS[state];
      if (life[field] !== undefined) continue;
      life[field] = Date.parse(since);
      if (!this.#isFirst) changes.push({ kind, keyID, state });
    }
    this.#isFirst = false;
    const shown = new Set(authorities.map(({ kind, keyID }) => `${kind} ${keyID}`));
    for (const [id, life] of this.#lives) if (!shown.has(id)) life.gone ??= now;
    return changes;
  }

  /** What the processes have logged beside it. */
  addSteps(steps: readonly LogStep[]): void {
    for (const { step, kind, kid, at } of steps) {
      const life = this.#lives.get(`${kind} ${kid}`);
      if (life !== undefined && step === "Observe") life.observed ??= at;
    }
  }

  /** In the order of their appearance. */
  get lives(): readonly KeyLife[] {
    return [...this.#lives.values()];
  }

  /** Rotations that are over: the old key was retired and is gone. */
  complete(kind: AuthorityKind): readonly KeyLife[] {
    return this.lives.filter(
      (life) => life.kind === kind && life.retired !== undefined && life.gone !== undefined,
    );
  }
}

export const PHASES = ["Prepared", "Switched", "Retired"] as const;
export type Phase = (typeof PHASES)[number];

/** How long a switch is looked at: caches, volumes and renewals have followed by then. */
const SWITCH_LENGTH = 10_000;

/** In which phases of a rotation of `kind` an instant lies: several where rotations overlap, none between them. */
export function phasesAt(lives: readonly KeyLife[], kind: AuthorityKind, at: number): readonly Phase[] {
  const ofKind = lives.filter((life) => life.kind === kind);
  const isWithin = (from: number | undefined, to: number | undefined): boolean =>
    from !== undefined && at >= from && (to === undefined || at < to);
  const is: Readonly<Record<Phase, boolean>> = {
    Prepared: ofKind.some(({ prepared, active, gone }) => isWithin(prepared, active ?? gone)),
    Switched: ofKind.some(
      ({ prepared, active }) =>
        prepared !== undefined && active !== undefined && isWithin(active, active + SWITCH_LENGTH),
    ),
    Retired: ofKind.some(({ retired, gone }) => isWithin(retired, gone)),
  };
  return PHASES.filter((phase) => is[phase]);
}
