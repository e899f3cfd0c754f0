/**
 * The `workqueue_*` metrics of one queue, in client-go's meaning.
 */

import type { QueueObserver } from "../controller/work-queue.ts";
import type { Milliseconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";
import type { Metrics } from "./metrics.ts";

export interface ClearableObserver extends QueueObserver {
  /** The queue is gone, with every key in it. */
  clear(): void;
}

export interface QueueMetricsOptions {
  readonly metrics: Metrics;
  /** The queue's and its controller's name. */
  readonly name: string;
  readonly clock: Clock;
}

/** Remembers when each key became ready or was taken: as many entries as the queue has keys. */
export function makeQueueObserver({ metrics, name, clock }: QueueMetricsOptions): ClearableObserver {
  const labels = { name, controller: name };
  const readySince = new Map<string, Milliseconds>();
  const takenSince = new Map<string, Milliseconds>();
  const elapsed = (since: Milliseconds): number => (clock.monotonic() - since) / 1000;
  metrics.onScrape(() => {
    const running = [...takenSince.values()].map(elapsed);
    metrics.set("workqueue_depth", labels, readySince.size);
    metrics.set(
      "workqueue_unfinished_work_seconds",
      labels,
      running.reduce((sum, one) => sum + one, 0),
    );
    metrics.set("workqueue_longest_running_processor_seconds", labels, Math.max(0, ...running));
  });
  return {
    added: (key) => {
      if (readySince.has(key)) return;
      readySince.set(key, clock.monotonic());
      metrics.increment("workqueue_adds_total", labels);
    },
    taken: (key) => {
      const since = readySince.get(key);
      readySince.delete(key);
      takenSince.set(key, clock.monotonic());
      if (since !== undefined) metrics.observe("workqueue_queue_duration_seconds", labels, elapsed(since));
    },
    done: (key) => {
      const since = takenSince.get(key);
      takenSince.delete(key);
      if (since !== undefined) metrics.observe("workqueue_work_duration_seconds", labels, elapsed(since));
    },
    clear: () => {
      readySince.clear();
      takenSince.clear();
    },
    retried: () => metrics.increment("workqueue_retries_total", labels),
  };
}
