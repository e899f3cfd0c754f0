/**
 * Tells of a value that has become another one since it was last looked at.
 */

/** `look` compares by identity; the first look counts as a change. */
export function whenChanged(value: () => unknown, notice: () => void): { readonly look: () => void } {
  let seen: unknown;
  return {
    look: () => {
      const now = value();
      if (now === seen) return;
      seen = now;
      notice();
    },
  };
}
