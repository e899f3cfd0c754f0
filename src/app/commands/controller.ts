/**
 * `meshid controller`: serves a cluster until it is told to stop.
 */

import { WATCHED } from "../../kubernetes/resources.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { usesColour } from "../../telemetry/pretty.ts";
import { makePrometheusMetrics } from "../../telemetry/prometheus.ts";
import { composeController } from "../compose-controller.ts";
import { parseControllerConfig } from "../controller-config.ts";
import { EXIT, type Io } from "../io.ts";
import type { GivenOptions } from "../options.ts";
import { runController } from "../run-controller.ts";
import { stopSignal } from "../stop-signal.ts";
import { readVersion } from "./version.ts";

export async function runControllerCommand(options: GivenOptions, io: Io): Promise<number> {
  const config = parseControllerConfig(options, io);
  const logger = createLogger({
    level: config.logLevel,
    format: config.logFormat,
    colour: usesColour(process.stderr.isTTY, io.env),
  });
  const version = await readVersion();
  const metrics = makePrometheusMetrics({
    controllers: ["serviceidentity", "bundle"],
    resources: WATCHED.map(({ plural }) => plural),
  });
  const { clock, random, env } = io;
  const controller = await composeController(config, { clock, random, logger, metrics, env, version });
  logger.info({ component: "main", version, mode: "cluster", trustDomain: config.trustDomain }, "starting");
  await runController(controller, { clock, logger }, stopSignal(logger));
  return EXIT.ok;
}
