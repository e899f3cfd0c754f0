/** One line of the report; `limit` absent = shown for information. */
export interface Result {
  readonly what: string;
  readonly measured: string;
  readonly limit?: string;
  /** Absent where there is no limit. */
  readonly ok?: boolean;
}

export function atLeast(what: string, value: number, limit: number, unit = ""): Result {
  return { what, measured: `${round(value)}${unit}`, limit: `≥ ${limit}${unit}`, ok: value >= limit };
}

export function atMost(what: string, value: number, limit: number, unit = ""): Result {
  return { what, measured: `${round(value)}${unit}`, limit: `≤ ${limit}${unit}`, ok: value <= limit };
}

export function shown(what: string, measured: string): Result {
  return { what, measured };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
