/**
 * What the user may have meant.
 */

const MAX_SUGGESTIONS = 3;

/** The names nearest to `word`, best first; empty when none is near enough to be a slip. */
export function similarTo(word: string, names: readonly string[]): readonly string[] {
  const limit = Math.max(1, Math.floor(word.length / 3));
  return names
    .map((name) => ({
      name,
      far: name.startsWith(word) && word.length > 1 ? 0 : distance(word, name, limit),
    }))
    .filter(({ far }) => far <= limit)
    .sort((a, b) => a.far - b.far)
    .slice(0, MAX_SUGGESTIONS)
    .map(({ name }) => name);
}

/** `; did you mean a or b?`, or nothing. */
export function didYouMean(word: string, names: readonly string[]): string {
  const similar = similarTo(word, names);
  return similar.length === 0 ? "" : `; did you mean ${similar.join(" or ")}?`;
}

/** Edits (insert, delete, replace, swap of neighbours) from `a` to `b`; above `limit` only "more". */
function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      const edit = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + cost);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row.push(isSwap ? Math.min(edit, (before[j - 2] ?? 0) + 1) : edit);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length] ?? 0;
}
