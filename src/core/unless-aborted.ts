/**
 * Waiting for what cannot be told to stop.
 */

/** Undefined as soon as one of `signals` aborts, whatever becomes of `work`. */
export async function unlessAborted<T>(
  work: Promise<T>,
  ...signals: readonly AbortSignal[]
): Promise<T | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<T | undefined>();
  const giveUp = (): void => resolve(undefined);
  for (const signal of signals) signal.addEventListener("abort", giveUp, { once: true });
  if (signals.some(({ aborted }) => aborted)) giveUp();
  // Nobody waits any more for what is given up: its failure is nobody's either.
  work.then(resolve, reject);
  try {
    return await promise;
  } finally {
    for (const signal of signals) signal.removeEventListener("abort", giveUp);
  }
}
