/**
 * Following something until it is done: looks again and again, shows what it sees, and ends at a deadline or when a person
 * has seen enough.
 */

import { type Milliseconds, milliseconds, type Seconds } from "../../core/brand.ts";
import { toRfc3339 } from "../../core/clock.ts";
import { parseDuration } from "../../core/duration.ts";
import { isOperatorError, messageOf } from "../../core/errors.ts";
import { unlessAborted } from "../../core/unless-aborted.ts";
import type { Io } from "../io.ts";
import { flagOf, type GivenOptions, textOf } from "../options.ts";
import { type Display, makeDisplay, type Shown } from "./display.ts";

/** Where it stands. */
export interface Progress extends Shown {
  readonly isDone: boolean;
  /** Nothing will come of waiting longer. */
  readonly isHopeless?: true;
  /** It goes on only once somebody has mended what the text names. */
  readonly isFaulty?: true;
}

export interface Followed {
  /** The last that was seen. */
  readonly progress: Progress;
  readonly isInterrupted: boolean;
}

const POLL: Milliseconds = milliseconds(500);
/** A look at thousands of objects takes its time: no more than a fifth of it is spent on looking. */
const REST_SHARE = 4;
const MAX_REST: Milliseconds = milliseconds(10_000);

/** @throws INVALID_INPUT naming the flag. */
export function timeoutOf(options: GivenOptions, otherwise: Seconds): Seconds {
  const text = textOf(options, "timeout");
  return text === undefined ? otherwise : parseDuration(text, flagOf(options, "timeout"));
}

/**
 * An API server that does not answer for a while (an upgrade) is no end of it.
 * @throws what `look` throws; CLUSTER_UNREACHABLE when it is away at the deadline.
 */
export async function follow(look: () => Promise<Progress>, timeout: Seconds, io: Io): Promise<Followed> {
  const interrupted = new AbortController();
  using _listening = io.onInterrupt?.(() => interrupted.abort());
  const ended = new AbortController();
  const display = makeDisplay(io);
  const moving = display.run(ended.signal);
  try {
    return await watch({ look: () => lookOnce(look), timeout, display, interrupted: interrupted.signal }, io);
  } finally {
    ended.abort();
    await moving;
  }
}

interface Watching {
  readonly look: () => Promise<Seen>;
  readonly timeout: Seconds;
  readonly display: Display;
  readonly interrupted: AbortSignal;
}

interface Seen {
  readonly progress: Progress;
  readonly error?: unknown;
}

async function watch(
  { look, timeout, display, interrupted }: Watching,
  { clock }: Pick<Io, "clock">,
): Promise<Followed> {
  const start = clock.monotonic();
  let progress: Progress = { isDone: false, text: "nothing was seen yet" };
  for (;;) {
    const from = clock.monotonic();
    const seen = await unlessAborted(look(), interrupted);
    if (seen === undefined) return { progress, isInterrupted: true };
    progress = seen.progress;
    display.show(progress);
    if (progress.isDone || progress.isHopeless === true) return { progress, isInterrupted: false };
    const now = clock.monotonic();
    if (now - start >= timeout * 1000) {
      if (seen.error !== undefined) throw seen.error;
      return { progress, isInterrupted: false };
    }
    const rest = Math.min(MAX_REST, Math.max(POLL, (now - from) * REST_SHARE));
    await clock.sleep(milliseconds(rest), interrupted);
  }
}

async function lookOnce(look: () => Promise<Progress>): Promise<Seen> {
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
