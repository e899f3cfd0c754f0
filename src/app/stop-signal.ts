/**
 * How a process is told to stop.
 */

import type { Logger } from "../telemetry/logger.ts";
import { EXIT } from "./io.ts";

/** Aborts on SIGTERM or SIGINT; a second one ends the process at once. */
export function stopSignal(logger: Logger): AbortSignal {
  const stop = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stop.signal.aborted) process.exit(EXIT.checkFailed);
    logger.info({ component: "main", signal }, "stopping");
    stop.abort();
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  return stop.signal;
}

export function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
