/**
 * Cluster mode as a service: started in order, and stopped so that nobody notices (readiness goes, hand-over of the
 * Lease, a few seconds more of HTTP for those who have not heard yet, drain).
 */

import { milliseconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";
import { formatAddress } from "../http/server.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Controller } from "./compose-controller.ts";
import { untilAborted } from "./stop-signal.ts";

/** Endpoints take this long to learn that a pod is not ready any more. */
const SERVE_ON = milliseconds(5000);
/** All of a stop, the drain left out. */
const STOP_LIMIT = 8000;

/** Runs until `stop` aborts. @throws INVALID_CONFIGURATION when an address cannot be used. */
export async function runController(
  controller: Controller,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
  stop: AbortSignal,
): Promise<void> {
  const { cluster, publication, discovery, probes } = controller;
  const failed = new AbortController();
  const stopping = AbortSignal.any([stop, failed.signal]);
  const watching = new AbortController();
  let fault: unknown;
  discovery?.failed.catch((error: unknown) => {
    fault = error;
    failed.abort();
  });
  await using servers = new AsyncDisposableStack();
  if (probes !== undefined) {
    await probes.start(stopping);
    servers.use(probes);
    const address = formatAddress(probes.address());
    logger.info({ component: "http", address }, "serving probes and metrics over HTTP");
  }
  if (discovery !== undefined) servers.use(discovery);
  discovery?.open(stopping, publication);
  const following = cluster.run(watching.signal);
  await Promise.race([cluster.synced(), untilAborted(stopping)]);
  logger.info({ component: "main" }, stopping.aborted ? "stopping" : "the cluster has been read");
  const asked = await lead(controller, { clock, stopping });
  if (fault === undefined) await clock.sleep(left(asked, clock), watching.signal);
  await servers.disposeAsync();
  watching.abort();
  await following;
  controller.close();
  logger.info({ component: "main" }, "stopped");
  if (fault !== undefined) throw fault;
}

/** When the stop was asked for, on the monotonic clock. */
async function lead(
  controller: Controller,
  { clock, stopping }: { readonly clock: Clock; readonly stopping: AbortSignal },
): Promise<number> {
  let asked = clock.monotonic();
  const note = (): void => void (asked = clock.monotonic());
  stopping.addEventListener("abort", note, { once: true });
  await controller.lead(stopping);
  return asked;
}

function left(asked: number, clock: Clock): ReturnType<typeof milliseconds> {
  const spent = clock.monotonic() - asked;
  return milliseconds(Math.max(0, Math.min(SERVE_ON, STOP_LIMIT - spent)));
}
