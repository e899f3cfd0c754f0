/**
 * The loop: workers take keys from a work queue and reconcile them.
 */

import { type Milliseconds, milliseconds, type Seconds, seconds } from "../core/brand.ts";
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

/** What the same call will not mend may be mended elsewhere (a policy of the cluster, a later meshid), and nobody tells. */
const TERMINAL_RETRY = seconds(600);
/** So long at most others wait while keys are worked on that need no answer from anywhere: ten thousand after a start. */
const SLICE = milliseconds(8);

/** Runs until `signal` aborts; what is in work then is finished first, as long as `working` lets it. */
export async function runController(options: ControllerOptions, signal: AbortSignal): Promise<void> {
  const turn: Turn = { since: options.clock.monotonic(), next: undefined };
  const workers = Array.from({ length: options.workers }, () => work(options, turn, signal));
  await Promise.all([options.queue.run(signal), ...workers]);
}

/** A turn of the event loop, which all workers share: one slice for all of them, not one for each. */
interface Turn {
  since: Milliseconds;
  next: Promise<void> | undefined;
}

async function work(options: ControllerOptions, turn: Turn, signal: AbortSignal): Promise<void> {
  const { clock } = options;
  for (;;) {
    while (clock.monotonic() - turn.since > SLICE) await nextTurn(turn, clock);
    const key = await options.queue.take(signal);
    if (key === undefined) return;
    await reconcileOnce(options, key);
  }
}

function nextTurn(turn: Turn, clock: Clock): Promise<void> {
  turn.next ??= new Promise((resolve) => {
    setImmediate(() => {
      turn.next = undefined;
      turn.since = clock.monotonic();
      resolve();
    });
  });
  return turn.next;
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
    if (isTerminal) {
      queue.forget(key);
      queue.addAt(key, seconds(clock.now() + TERMINAL_RETRY));
    } else if (!isOperatorError(error, "ABORTED")) queue.addRateLimited(key);
    report(isTerminal ? "terminal_error" : "error", error);
  } finally {
    queue.done(key);
  }
}
