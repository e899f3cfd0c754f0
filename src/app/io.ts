/**
 * What a command touches of its process: handed in, so that a test sees every character that would be printed.
 */

import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";

export interface Writer {
  write(text: string): unknown;
}

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

export interface Io {
  /** The answer. */
  readonly stdout: Writer;
  /** Standard output past the net that keeps keys from being printed: for a file that was asked for there. */
  readonly rawStdout?: Writer;
  /** Everything about the answer: errors, hints, progress. */
  readonly stderr: Writer;
  /** Whether standard output is a terminal: colours go nowhere else. */
  readonly isTTY: boolean;
  /** Whether standard error is one, where log lines go. */
  readonly isErrorTTY: boolean;
  /** The size, at this moment, of the terminal behind standard error; absent where there is none that can be drawn on. */
  readonly screen?: () => ScreenSize;
  /** Has `listener` called when a person interrupts the command (Ctrl-C), in place of ending it, until disposed of. */
  readonly onInterrupt?: (listener: () => void) => Disposable;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: Random;
}

/** 0: it is so; 1: a check failed; 2: wrong usage or configuration; 3: the cluster cannot be reached. */
export const EXIT = { ok: 0, checkFailed: 1, usage: 2, unreachable: 3 } as const;

/** The exit code of a command that a person interrupted while it waited; its process then ends by the signal itself. */
export const INTERRUPTED = 130;
