/**
 * What a command is given of its process, in a test: time passes by sleeping only, and everything written is kept.
 */

import type { Io, ScreenSize } from "../../src/app/io.ts";
import { milliseconds, seconds } from "../../src/core/brand.ts";
import { systemRandom } from "../../src/core/random.ts";
import { NOW } from "./cli.ts";

export interface TestIo {
  readonly io: Io;
  readonly out: () => string;
  readonly told: readonly string[];
  /** Milliseconds. */
  readonly slept: () => number;
  /** Ctrl-C. */
  readonly interrupt: () => void;
  /** How many listen for it. */
  readonly listening: () => number;
}

export interface TestIoOptions {
  /** Absent: standard error is no terminal. */
  readonly screen?: () => ScreenSize;
  readonly env?: Io["env"];
  /** Called before each sleep that the command's own loop makes. */
  readonly onSleep?: (sleptMilliseconds: number) => void;
}

export function testIo({ screen, env = {}, onSleep }: TestIoOptions = {}): TestIo {
  let now = 0;
  let stdout = "";
  const told: string[] = [];
  const listeners = new Set<() => void>();
  const io: Io = {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => told.push(text) },
    isTTY: screen !== undefined,
    isErrorTTY: screen !== undefined,
    env,
    ...(screen === undefined ? {} : { screen }),
    onInterrupt: (listener) => {
      listeners.add(listener);
      return { [Symbol.dispose]: () => listeners.delete(listener) };
    },
    clock: {
      now: () => seconds(NOW + Math.floor(now / 1000)),
      monotonic: () => milliseconds(now),
      sleep: async (length, signal) => {
        // A display that moves by itself takes no part in the time of a test.
        if (length === 250)
          return new Promise((resolve) => signal.addEventListener("abort", () => resolve()));
        onSleep?.(now);
        if (!signal.aborted) now += length;
      },
    },
    random: systemRandom,
  };
  return {
    io,
    out: () => stdout,
    told,
    slept: () => now,
    interrupt: () => {
      for (const listener of listeners) listener();
    },
    listening: () => listeners.size,
  };
}
