import type { Random } from "../../src/core/random.ts";

/** Deterministic: the same seed gives the same values. */
export function fakeRandom(seed = 1): Random {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return {
    bytes: (length) => Uint8Array.from({ length }, () => Math.floor(next() * 256)),
    uniform: next,
    uuid: () =>
      `00000000-0000-4000-8000-${Math.floor(next() * 2 ** 40)
        .toString(16)
        .padStart(12, "0")}`,
  };
}
