import { expect, it } from "@jest/globals";
import { milliseconds } from "../../../src/core/brand.ts";
import { type Clock, systemClock } from "../../../src/core/clock.ts";
import { makePrometheusMetrics } from "../../../src/telemetry/prometheus.ts";
import { makeQueueObserver } from "../../../src/telemetry/queue-metrics.ts";

it("tells depth, waiting, working, retries and what is unfinished", async () => {
  let now = 0;
  const clock: Clock = { ...systemClock, monotonic: () => milliseconds(now) };
  const metrics = makePrometheusMetrics();
  const queue = makeQueueObserver({ metrics, name: "q", clock });
  for (const key of ["a", "b", "c", "a"]) queue.added(key);
  now = 2000;
  queue.taken("a");
  queue.taken("b");
  now = 5000;
  queue.done("a");
  queue.retried("a");
  const text = await metrics.text();
  const value = (name: string): number =>
    Number(new RegExp(`^${name}\\{name="q",controller="q"\\} (.*)$`, "m").exec(text)?.[1]);
  expect({
    depth: value("workqueue_depth"),
    adds: value("workqueue_adds_total"),
    waited: value("workqueue_queue_duration_seconds_sum"),
    worked: value("workqueue_work_duration_seconds_sum"),
    unfinished: value("workqueue_unfinished_work_seconds"),
    longest: value("workqueue_longest_running_processor_seconds"),
    retries: value("workqueue_retries_total"),
  }).toEqual({ depth: 1, adds: 3, waited: 4, worked: 3, unfinished: 3, longest: 3, retries: 1 });
});
