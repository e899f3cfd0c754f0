/**
 * The caller's half of every peer in this language: steady calls, counted by pair and second.
 */

import { setTimeout as pause } from "node:timers/promises";
import type { Callee, Failure, Pair, PeerSettings, Told } from "./told.ts";

/** The server did not accept the token: the handshake was good. */
export class RefusedToken extends Error {}

/** What the answer to a call says of the two certificates. */
export interface Answered {
  /** Whether they were signed by different keys; undefined: cannot be told. */
  readonly isAcross?: boolean;
}

export type Call = (callee: Callee) => Promise<Answered>;

export function tell(told: Told): void {
  process.stdout.write(`${JSON.stringify(told)}\n`);
}

/** Begins when the first line comes on standard input, and ends, after the calls under way, when that closes. */
export async function callAll(settings: PeerSettings, call: Call): Promise<void> {
  tell({ tell: "listening" });
  const stop = new AbortController();
  await new Promise((resolve) => process.stdin.once("data", resolve));
  process.stdin.once("close", () => stop.abort()).resume();
  const loops = settings.callees.map((callee) => keepCalling(settings, callee, call, stop.signal));
  await Promise.all(loops);
}

async function keepCalling(
  { peer, rate }: PeerSettings,
  callee: Callee,
  call: Call,
  signal: AbortSignal,
): Promise<void> {
  const pair: Pair = `${peer}→${callee.peer}`;
  const count = makeCount(pair);
  while (!signal.aborted) {
    const started = Date.now();
    try {
      count.add(await call(callee));
    } catch (error) {
      tell(failureOf(pair, error));
    }
    // Uneven, so that the pairs do not fall into step.
    const spacing = (1000 / rate) * (0.5 + Math.random());
    await pause(Math.max(1, spacing - (Date.now() - started)));
  }
  count.flush();
}

function failureOf(pair: Pair, error: unknown): Failure {
  const { message, code } = error as Error & { readonly code?: string };
  const what = error instanceof RefusedToken ? "token" : "handshake";
  return {
    tell: "failure",
    at: Date.now(),
    pair,
    what,
    error: code === undefined ? message : `${code}: ${message}`,
  };
}

function makeCount(pair: Pair): { add: (answered: Answered) => void; flush: () => void } {
  let second = 0;
  let ok = 0;
  let across = 0;
  const flush = (): void => {
    if (ok > 0) tell({ tell: "counts", second, pair, ok, across });
    ok = 0;
    across = 0;
  };
  return {
    add: ({ isAcross }) => {
      const now = Math.floor(Date.now() / 1000);
      if (now !== second) flush();
      second = now;
      ok += 1;
      if (isAcross === true) across += 1;
    },
    flush,
  };
}
