/**
 * What cluster mode takes from its process.
 */

import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";

export interface ControllerDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics & { readonly contentType: string; text(): Promise<string> };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
}
