/**
 * The metrics as the rest of meshid sees them: names and labels by type, no library. What is behind is loaded only
 * where someone scrapes (`prometheus.ts`).
 */

import type { RotationStep } from "../authority/rotation-step.ts";
import type { AuthorityKind, SlotState } from "../authority/slot.ts";

export type SvidKind = "x509" | "jwt";
export type ReconcileResult = "success" | "error" | "requeue" | "requeue_after";

// Type aliases, because only they are assignable to what the library takes: a record of strings.
type None = Readonly<Record<string, never>>;
type OfController = { readonly controller: string };
/** controller-runtime gives a queue both names. */
type OfQueue = OfController & { readonly name: string };

export interface CounterLabels {
  meshid_svids_issued_total: { readonly kind: SvidKind; readonly reason: string };
  meshid_svid_failures_total: { readonly kind: SvidKind; readonly reason: string };
  meshid_rotation_step_total: { readonly kind: AuthorityKind; readonly step: RotationStep["step"] };
  meshid_reflector_relists_total: { readonly resource: string; readonly reason: string };
  controller_runtime_reconcile_total: OfController & { readonly result: ReconcileResult };
  controller_runtime_reconcile_errors_total: OfController;
  controller_runtime_terminal_reconcile_errors_total: OfController;
  workqueue_adds_total: OfQueue;
  workqueue_retries_total: OfQueue;
  rest_client_requests_total: { readonly code: string; readonly method: string; readonly host: string };
}

export interface GaugeLabels {
  meshid_identities: { readonly ready: "true" | "false" };
  meshid_svid_earliest_not_after_timestamp_seconds: { readonly kind: SvidKind };
  meshid_authority_not_after_timestamp_seconds: { readonly kind: AuthorityKind; readonly state: SlotState };
  meshid_authority_not_before_timestamp_seconds: { readonly kind: AuthorityKind; readonly state: SlotState };
  meshid_rotation_waiting_since_timestamp_seconds: { readonly kind: AuthorityKind };
  meshid_bundle_sequence: None;
  meshid_reflector_last_event_age_seconds: { readonly resource: string };
  meshid_event_loop_lag_seconds: None;
  workqueue_depth: OfQueue;
  workqueue_unfinished_work_seconds: OfQueue;
  workqueue_longest_running_processor_seconds: OfQueue;
  leader_election_master_status: { readonly name: string };
}

export interface HistogramLabels {
  meshid_signing_duration_seconds: { readonly kind: SvidKind };
  controller_runtime_reconcile_time_seconds: OfController;
  workqueue_queue_duration_seconds: OfQueue;
  workqueue_work_duration_seconds: OfQueue;
  rest_client_request_duration_seconds: { readonly verb: string; readonly host: string };
}

export interface Metrics {
  increment<N extends keyof CounterLabels>(name: N, labels: CounterLabels[N], by?: number): void;
  set<N extends keyof GaugeLabels>(name: N, labels: GaugeLabels[N], value: number): void;
  observe<N extends keyof HistogramLabels>(name: N, labels: HistogramLabels[N], seconds: number): void;
  /** Called before each scrape, to set gauges that are only read then. At most a few dozen; none may throw. */
  onScrape(collect: () => void): void;
}

/** For runs that nobody scrapes. */
export const NO_METRICS: Metrics = {
  increment: () => {},
  set: () => {},
  observe: () => {},
  onScrape: () => {},
};
