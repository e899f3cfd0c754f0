/** Ten thousand certificates due at once: whether the event loop stays free, and whether the soonest to end go first. */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { openLocal } from "../../src/app/commands/local.ts";
import { composeLocal, type Local } from "../../src/app/compose.ts";
import type { LocalConfig } from "../../src/app/config.ts";
import { DEFAULT_WORKERS } from "../../src/app/local-options.ts";
import { seconds } from "../../src/core/brand.ts";
import { type Clock, parseRfc3339, systemClock } from "../../src/core/clock.ts";
import { systemRandom } from "../../src/core/random.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { NO_METRICS } from "../../src/telemetry/metrics.ts";
import { atMost, type Result, shown } from "./result.ts";
import type { Scratch } from "./scratch.ts";

const COUNT = 10_000;
const PER_NAMESPACE = 100;
const WORKERS = DEFAULT_WORKERS;
/** Past the latest renewal time of a life of 24 hours, well before its end. */
const LATER = 14 * 3600;

function clockAhead(offset: number): Clock {
  return { ...systemClock, now: () => seconds(systemClock.now() + offset) };
}

interface Run {
  readonly local: Local;
  /** Keys of identities in the order of their issuance. */
  readonly order: readonly string[];
}

/** The ends of the certificates before the run, by key, are in the status of the identities. */
async function runOnce(config: LocalConfig, clock: Clock, beforeRun: (local: Local) => void): Promise<Run> {
  const order: string[] = [];
  const write = (line: string): void => {
    const { msg, serviceIdentity } = JSON.parse(line) as { msg: string; serviceIdentity?: string };
    if (msg === "issued an X.509-SVID" && serviceIdentity !== undefined) order.push(serviceIdentity);
  };
  const logger = createLogger({ level: "error", format: "json", write });
  const local = await composeLocal(config, {
    clock,
    random: systemRandom,
    logger,
    metrics: NO_METRICS,
    env: {},
  });
  using _lock = await openLocal(local, config);
  beforeRun(local);
  await local.engine.runOnce(new AbortController().signal);
  await local.authority.close();
  return { local, order };
}

function endsOf(local: Local): ReadonlyMap<string, number> {
  const ends = new Map<string, number>();
  for (const { metadata, status } of local.directory.identities()) {
    ends.set(`${metadata.namespace}/${metadata.name}`, parseRfc3339(status?.x509?.notAfter ?? "") ?? 0);
  }
  return ends;
}

/** Issuances that overtook, in their own namespace, one that ended sooner by more than what is in work at a time. */
function overtakings(order: readonly string[], ends: ReadonlyMap<string, number>): number {
  const byNamespace = Map.groupBy(order, (key) => key.split("/")[0] ?? "");
  let found = 0;
  for (const keys of byNamespace.values()) {
    let soonest = Number.POSITIVE_INFINITY;
    for (let index = keys.length - 1; index >= 0; index--) {
      const end = ends.get(keys[index] ?? "") ?? 0;
      if (end > soonest) found += 1;
      const later = keys[index + WORKERS];
      if (later !== undefined) soonest = Math.min(soonest, ends.get(later) ?? soonest);
    }
  }
  return found;
}

export async function stormResults(scratch: Scratch): Promise<readonly Result[]> {
  const dir = await scratch.make();
  const identities = join(dir, "identities");
  await mkdir(identities);
  for (let index = 0; index < COUNT; index++) {
    const namespace = `ns-${index % (COUNT / PER_NAMESPACE)}`;
    const document = `apiVersion: meshid.dev/v1alpha1\nkind: ServiceIdentity\nmetadata: {name: w${index}, namespace: ${namespace}}\nspec: {}\n`;
    await writeFile(join(identities, `w${index}.yaml`), document);
  }
  const config: LocalConfig = {
    identities,
    out: join(dir, "out"),
    state: join(dir, "out/.meshid"),
    trustDomain: undefined,
    clusterDomain: "cluster.local",
    listen: undefined,
    probes: undefined,
    group: undefined,
    onRenew: undefined,
    once: true,
    workers: WORKERS,
    logLevel: "error",
    logFormat: "json",
  };
  await runOnce(config, systemClock, () => {});
  const delay = monitorEventLoopDelay({ resolution: 1 });
  let ends: ReadonlyMap<string, number> = new Map();
  let started = 0;
  const { order } = await runOnce(config, clockAhead(LATER), (local) => {
    ends = endsOf(local);
    started = performance.now();
    delay.enable();
  });
  delay.disable();
  const elapsed = (performance.now() - started) / 1000;
  return [
    shown("renewed in one go", `${order.length} in ${elapsed.toFixed(1)} s`),
    atMost(
      "renewed other than once",
      Math.abs(order.length - COUNT) + (order.length - new Set(order).size),
      0,
    ),
    atMost("event loop delay, p99", delay.percentile(99) / 1e6, 50, " ms"),
    shown("… longest", `${(delay.max / 1e6).toFixed(0)} ms`),
    atMost("issued before one of the same namespace that ends sooner", overtakings(order, ends), 0),
  ];
}
