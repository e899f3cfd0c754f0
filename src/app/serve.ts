/**
 * Local mode as a service: the loops and the servers, started in order and stopped in the reverse one.
 */

import { type ServeOptions, startDiscovery, startProbes } from "./compose-servers.ts";
import { untilAborted } from "./stop-signal.ts";

/** Runs until `signal` aborts. @throws INVALID_CONFIGURATION when an address cannot be used. */
export async function serveLocal(options: ServeOptions, signal: AbortSignal): Promise<void> {
  const { local, logger } = options;
  const { directory, engine, authority, onRenew } = local;
  const servers: AsyncDisposable[] = [];
  // Whatever fails for good stops everything else, in order.
  const stop = new AbortController();
  const stopping = AbortSignal.any([signal, stop.signal]);
  const tasks: Promise<void>[] = [];
  const supervise = (task: Promise<void>): void => {
    tasks.push(
      task.catch((error: unknown) => {
        stop.abort(error);
        throw error;
      }),
    );
  };
  try {
    const secure = await startDiscovery(options, stopping);
    if (secure !== undefined) {
      servers.push(secure.server);
      supervise(secure.renewal);
    }
    const probes = await startProbes(options, stopping);
    if (probes !== undefined) servers.push(probes);
    await directory.takeRequests(engine);
    supervise(engine.run(stopping));
    supervise(directory.run(engine, stopping));
    logger.info({ component: "main" }, "serving");
    await untilAborted(stopping);
    const ended = await Promise.allSettled(tasks);
    const failed = ended.find((one) => one.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  } finally {
    stop.abort();
    await Promise.allSettled(tasks);
    for (const server of servers.reverse()) await server[Symbol.asyncDispose]();
    await onRenew?.idle();
    await authority.close();
    logger.info({ component: "main" }, "stopped");
  }
}
