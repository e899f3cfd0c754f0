/**
 * What `renew` and `rotate` have in common: a request is left in STATE, and the user is told who takes it and when.
 */

import { type Milliseconds, milliseconds, type Seconds, seconds } from "../core/brand.ts";
import { formatDuration } from "../core/duration.ts";
import { timeoutOf } from "./cluster-cli/follow.ts";
import { EXIT, type Io } from "./io.ts";
import { type GivenOptions, isSet } from "./options.ts";
import { formatData, outputFormat, painter } from "./output.ts";
import { holderOf, type Places } from "./places.ts";

export interface LeftRequest {
  /** As in `renewal of shop/payments`. */
  readonly what: string;
  /** For a program. */
  readonly data: Readonly<Record<string, string>>;
  readonly places: Places;
  /** Whether the request still waits. */
  readonly isWaiting: () => boolean;
}

const POLL: Milliseconds = milliseconds(100);
const WAIT: Seconds = seconds(60);

/** Resolves to the exit code: 1 when `--wait` saw no end of it. */
export async function reportRequest(request: LeftRequest, options: GivenOptions, io: Io): Promise<number> {
  const format = outputFormat(options);
  const holder = holderOf(request.places.state);
  const timeout = timeoutOf(options, WAIT);
  const isTaken = isSet(options, "wait") ? await waitUntilTaken(request, timeout, io) : undefined;
  if (format === "json" || format === "yaml") {
    const rest = {
      ...(holder === undefined ? {} : { pid: holder.pid }),
      ...(isTaken === undefined ? {} : { taken: isTaken }),
    };
    io.stdout.write(
      await formatData({ request: request.data, state: request.places.state, ...rest }, format),
    );
  } else {
    const paint = painter(io);
    const head = `${paint(isTaken === false ? "warn" : "good", "Requested")} the ${request.what}.`;
    io.stdout.write(`${head} ${sentence(holder, isTaken, timeout)}\n`);
  }
  return isTaken === false ? EXIT.checkFailed : EXIT.ok;
}

function sentence(
  holder: { readonly pid: number } | undefined,
  isTaken: boolean | undefined,
  timeout: Seconds,
): string {
  if (isTaken === true) return "meshid has taken it up.";
  if (isTaken === false) {
    const length = timeout === WAIT ? "a minute" : formatDuration(timeout);
    return `Nobody has taken it up within ${length}: is a meshid local running on this state?`;
  }
  if (holder === undefined)
    return "No meshid process serves this state now: the next meshid local on it carries it out when it starts.";
  return `meshid local (pid ${holder.pid}) carries it out at once.`;
}

async function waitUntilTaken({ isWaiting }: LeftRequest, timeout: Seconds, { clock }: Io): Promise<boolean> {
  const never = new AbortController().signal;
  const end = clock.monotonic() + timeout * 1000;
  while (isWaiting()) {
    if (clock.monotonic() > end) return false;
    await clock.sleep(POLL, never);
  }
  return true;
}
