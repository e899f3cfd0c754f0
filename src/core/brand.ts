/**
 * Nominal types: a value of a branded type was made by the one parser that checks it.
 */

declare const brand: unique symbol;

export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Whole seconds: an instant since the Unix epoch, or a length of time (the name of the variable says which). */
export type Seconds = Brand<number, "Seconds">;

/** Milliseconds: only for timers and measurements, never stored. */
export type Milliseconds = Brand<number, "Milliseconds">;

/** Marks `value` as branded: only parsers call this. */
export function branded<B extends Brand<string | number, string>>(
  value: B extends string ? string : number,
): B {
  return value as B;
}

/** @throws TypeError when `value` is not a safe integer. */
export function seconds(value: number): Seconds {
  if (!Number.isSafeInteger(value)) throw new TypeError(`seconds: expected a whole number, got ${value}`);
  return value as Seconds;
}

/** @throws TypeError when `value` is not finite. */
export function milliseconds(value: number): Milliseconds {
  if (!Number.isFinite(value)) throw new TypeError(`milliseconds: expected a finite number, got ${value}`);
  return value as Milliseconds;
}
