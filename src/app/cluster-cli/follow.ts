/**
 * Following a request until it is done: looks again and again, tells of each change, and ends at a deadline.
 */

import { type Milliseconds, milliseconds, type Seconds, seconds } from "../../core/brand.ts";
import { toRfc3339 } from "../../core/clock.ts";
import { parseDuration } from "../../core/duration.ts";
import { isOperatorError, messageOf } from "../../core/errors.ts";
import type { Io } from "../io.ts";
import { flagOf, type GivenOptions, textOf } from "../options.ts";
import { shortLength } from "../times.ts";

/** Where a request stands. */
export interface Progress {
  readonly isDone: boolean;
  /** In a few words; told when it changes. */
  readonly text: string;
}

const POLL: Milliseconds = milliseconds(500);

/** @throws INVALID_INPUT naming the flag. */
export function timeoutOf(options: GivenOptions, otherwise: Seconds): Seconds {
  const text = textOf(options, "timeout");
  return text === undefined ? otherwise : parseDuration(text, flagOf(options, "timeout"));
}

/**
 * The last progress seen. An API server that does not answer for a while (an upgrade) is no end of it.
 * @throws what `look` throws; CLUSTER_UNREACHABLE when it is away at the deadline.
 */
export async function follow(look: () => Promise<Progress>, timeout: Seconds, io: Io): Promise<Progress> {
  const { clock, stderr } = io;
  const never = new AbortController().signal;
  const start = clock.monotonic();
  let told = "";
  for (;;) {
    const { progress, error } = await lookOnce(look);
    if (progress.text !== told) {
      const elapsed = seconds(Math.floor((clock.monotonic() - start) / 1000));
      stderr.write(`${shortLength(elapsed)}: ${progress.text}\n`);
      told = progress.text;
    }
    if (progress.isDone) return progress;
    if (clock.monotonic() - start >= timeout * 1000) {
      if (error !== undefined) throw error;
      return progress;
    }
    await clock.sleep(POLL, never);
  }
}

async function lookOnce(
  look: () => Promise<Progress>,
): Promise<{ readonly progress: Progress; readonly error?: unknown }> {
  try {
    return { progress: await look() };
  } catch (error) {
    if (!isOperatorError(error, "CLUSTER_UNREACHABLE")) throw error;
    return { progress: { isDone: false, text: messageOf(error) }, error };
  }
}

/** A value that no request had before. */
export function requestValue({ clock, random }: Io): string {
  return `${toRfc3339(clock.now())}-${Buffer.from(random.bytes(4)).toString("hex")}`;
}
