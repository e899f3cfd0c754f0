/**
 * The loop: workers take keys from a work queue and reconcile them.
 */

import { type Milliseconds, milliseconds, type Seconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";
import { isOperatorError } from "../core/errors.ts";
import type { WorkQueue } from "./work-queue.ts";

/** What a reconciliation asks for next: to look again at an instant, or never unless something changes. */
export interface ReconcileResult {
  readonly requeueAt?: Seconds;
}

export interface Reconciler {
  /** Compares and carries out; throws to be called again after a back-off (unless the error is not retryable). */
  reconcile(key: string, signal: AbortSignal): Promise<ReconcileResult>;
}

export interface ControllerReport {
  readonly controller: string;
  readonly key: string;
  readonly result: "success" | "requeue_after" | "error" | "terminal_error";
  readonly duration: Milliseconds;
  readonly error?: unknown;
}

export interface ControllerOptions {
  readonly name: string;
  readonly queue: WorkQueue;
  readonly reconciler: Reconciler;
  readonly workers: number;
  readonly clock: Clock;
  readonly report: (report: ControllerReport) => void;
  /** For what is in work: aborts later than the loop's own signal, so that it can be finished. */
  readonly working: AbortSignal;
}

/** Runs until `signal` aborts; what is in work then is finished first, as long as `working` lets it. */
export async function runController(options: ControllerOptions, signal: AbortSignal): Promise<void> {
  const workers = Array.from({ length: options.workers }, () => work(options, signal));
  await Promise.all([options.queue.run(signal), ...workers]);
}

async function work(options: ControllerOptions, signal: AbortSignal): Promise<void> {
  for (;;) {
    const key = await options.queue.take(signal);
    if (key === undefined) return;
    await reconcileOnce(options, key);
  }
}

async function reconcileOnce(options: ControllerOptions, key: string): Promise<void> {
  const { queue, clock, working } = options;
  const started = clock.monotonic();
  const report = (result: ControllerReport["result"], error?: unknown): void =>
    options.report({
      controller: options.name,
      key,
      result,
      duration: milliseconds(clock.monotonic() - started),
      ...(error === undefined ? {} : { error }),
    });
  try {
    const result = await options.reconciler.reconcile(key, working);
    queue.forget(key);
    if (result.requeueAt !== undefined) queue.addAt(key, result.requeueAt);
    report(result.requeueAt === undefined ? "success" : "requeue_after");
  } catch (error) {
    const isTerminal = isOperatorError(error) && !error.retryable;
    if (isTerminal) queue.forget(key);
    else if (!isOperatorError(error, "ABORTED")) queue.addRateLimited(key);
    report(isTerminal ? "terminal_error" : "error", error);
  } finally {
    queue.done(key);
  }
}
