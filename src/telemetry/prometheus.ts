/**
 * The metrics in Prometheus' form. Importing this file costs 30 ms and 20 MB: only where there is an address to
 * scrape.
 */

import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { METRICS, type MetricDefinition } from "./metric-catalogue.ts";
import type { Metrics } from "./metrics.ts";

/** How finely the event loop's delay is measured: the delay of a timer that fires so often. */
const LAG_RESOLUTION_MS = 20;
const NANOSECONDS = 1e9;

export interface PrometheusOptions {
  /** Values of `controller` (and of a queue's `name`), registered at zero. */
  readonly controllers?: readonly string[];
  /** Values of `resource`, registered at zero. */
  readonly resources?: readonly string[];
}

export interface PrometheusMetrics extends Metrics {
  readonly contentType: string;
  /** Prometheus' text format; never rejects because of a collector of ours. */
  text(): Promise<string>;
}

type LabelValues = Readonly<Record<string, string>>;

/** A registry of its own with all of `METRICS` at zero and the process's default metrics. */
export function makePrometheusMetrics(options: PrometheusOptions = {}): PrometheusMetrics {
  const registry = new Registry();
  const counters = new Map<string, Counter>();
  const gauges = new Map<string, Gauge>();
  const histograms = new Map<string, Histogram>();
  for (const [name, definition] of Object.entries<MetricDefinition>(METRICS)) {
    const series = knownSeries(definition, options);
    const common = {
      name,
      help: definition.help,
      labelNames: Object.keys(definition.labels),
      registers: [registry],
    };
    if (definition.type === "counter") counters.set(name, withZeros(new Counter(common), series));
    else if (definition.type === "gauge") gauges.set(name, zeroGauge(new Gauge(common), series));
    else {
      const buckets = [...(definition.buckets ?? [])];
      histograms.set(name, zeroHistogram(new Histogram({ ...common, buckets }), series));
    }
  }
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_RESOLUTION_MS });

  const collectors: (() => void)[] = [];
  const metrics: PrometheusMetrics = {
    increment: (name, labels, by = 1) => counters.get(name)?.inc(labels, by),
    set: (name, labels, value) => gauges.get(name)?.set(labels, value),
    observe: (name, labels, seconds) => histograms.get(name)?.observe(labels, seconds),
    onScrape: (collect) => void collectors.push(collect),
    contentType: registry.contentType,
    text: async () => {
      for (const collect of collectors) collect();
      return await registry.metrics();
    },
  };
  metrics.onScrape(eventLoopLag(metrics));
  return metrics;
}

function withZeros(counter: Counter, series: readonly LabelValues[]): Counter {
  for (const labels of series) counter.inc(labels, 0);
  return counter;
}

function zeroGauge(gauge: Gauge, series: readonly LabelValues[]): Gauge {
  for (const labels of series) gauge.set(labels, 0);
  return gauge;
}

function zeroHistogram(histogram: Histogram, series: readonly LabelValues[]): Histogram {
  for (const labels of series) histogram.zero(labels);
  return histogram;
}

/** Every combination of the labels' known values; none where a label has no known value. */
function knownSeries(definition: MetricDefinition, options: PrometheusOptions): readonly LabelValues[] {
  const { labels } = definition;
  if ("name" in labels && "controller" in labels) {
    return (options.controllers ?? []).map((controller) => ({ name: controller, controller }));
  }
  const open: Readonly<Record<string, readonly string[] | undefined>> = {
    controller: options.controllers,
    resource: options.resources,
  };
  let series: readonly LabelValues[] = [{}];
  for (const [label, known] of Object.entries(labels)) {
    const values = known.length > 0 ? known : (open[label] ?? []);
    series = series.flatMap((one) => values.map((value) => ({ ...one, [label]: value })));
  }
  return series;
}

/** Node measures the whole interval of its timer, so the interval that was asked for is taken off. */
function eventLoopLag(metrics: Metrics): () => void {
  const delay = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  delay.enable();
  return () => {
    const lag = delay.percentile(99) / NANOSECONDS - LAG_RESOLUTION_MS / 1000;
    metrics.set("meshid_event_loop_lag_seconds", {}, Math.max(0, lag));
    delay.reset();
  };
}
