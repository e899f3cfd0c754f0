/**
 * `meshid local`: serves a directory until it is told to stop, or once.
 */

import { isOperatorError, OperatorError } from "../../core/errors.ts";
import { prepareDirectories } from "../../directory/directory.ts";
import { lockState, type StateLock } from "../../directory/lock.ts";
import { parseField } from "../../registration/field-path.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { type Metrics, NO_METRICS } from "../../telemetry/metrics.ts";
import { usesColour } from "../../telemetry/pretty.ts";
import { composeLocal, type Local } from "../compose.ts";
import { type LocalConfig, parseLocalConfig } from "../config.ts";
import { groupId } from "../group.ts";
import { EXIT, type Io } from "../io.ts";
import { describeOnce, isAllReady } from "../once-report.ts";
import type { GivenOptions } from "../options.ts";
import { rememberOut } from "../state-info.ts";
import { stopSignal } from "../stop-signal.ts";

export async function runLocal(options: GivenOptions, io: Io): Promise<number> {
  const config = parseLocalConfig(options, io);
  const logger = createLogger({
    level: config.logLevel,
    format: config.logFormat,
    colour: usesColour(process.stderr.isTTY, io.env),
  });
  const prometheus = config.probes === undefined ? undefined : await loadPrometheus();
  const local = await composeLocal(config, { ...io, logger, metrics: prometheus ?? NO_METRICS });
  using _lock = await openLocal(local, config);
  const stop = stopSignal(logger);
  if (config.once) return runOnce(local, io, stop);
  // The HTTP stack is loaded only by those who serve.
  const { serveLocal } = await import("../serve.ts");
  await serveLocal({ local, config, logger, clock: io.clock, metrics: prometheus }, stop);
  return EXIT.ok;
}

/**
 * Everything that can end with exit code 2 comes before the first write under OUT. The lock that comes back must be kept for as
 * long as the state is served.
 */
export async function openLocal(local: Local, config: LocalConfig): Promise<StateLock> {
  await local.directory.scan();
  readPolicy(local);
  const gid = config.group === undefined ? undefined : groupId(config.group);
  prepareDirectories({ out: config.out, state: config.state, gid });
  const lock = lockState(config.state);
  try {
    await local.directory.load();
    // Files: nothing to wait for.
    await local.brought.refresh(new AbortController().signal);
    await local.authority.open();
    local.directory.adopt();
    rememberOut(config.state, config.out);
    await local.engine.open();
    return lock;
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

/** A TrustDomain that the schema accepts may still not fit together: the message names its file. */
function readPolicy(local: Local): void {
  try {
    local.policy();
  } catch (error) {
    if (!isOperatorError(error, "INVALID_INPUT")) throw error;
    const place = local.directory.locate(undefined, parseField(String(error.details["field"] ?? "spec")));
    const message = place === undefined ? error.message : `${place}: ${error.message}`;
    throw new OperatorError("INVALID_CONFIGURATION", message, { cause: error });
  }
}

async function runOnce(local: Local, io: Io, signal: AbortSignal): Promise<number> {
  const { directory, engine, onRenew } = local;
  await directory.takeRequests(engine);
  // First, since a name that comes free may be wanted by another.
  await directory.collect(signal);
  await engine.runOnce(signal);
  await onRenew?.idle();
  io.stdout.write(describeOnce(directory));
  return isAllReady(directory) ? EXIT.ok : EXIT.checkFailed;
}

async function loadPrometheus(): Promise<
  Metrics & { readonly contentType: string; text(): Promise<string> }
> {
  const { makePrometheusMetrics } = await import("../../telemetry/prometheus.ts");
  return makePrometheusMetrics({ controllers: ["serviceidentity", "bundle"] });
}
