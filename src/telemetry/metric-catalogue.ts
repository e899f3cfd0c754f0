/**
 * Every metric of meshid, as data: its name, its meaning, and the values that its labels can take as far as they are
 * known beforehand. Names are public: only ever added to.
 */

import type { RotationStep } from "../authority/rotation-step.ts";
import { AUTHORITY_KINDS, SLOT_STATES } from "../authority/slot.ts";
import type { IssueReason } from "../reconcile/checks.ts";
import { REASONS } from "../registration/conditions.ts";
import type { CounterLabels, GaugeLabels, HistogramLabels } from "./metrics.ts";

type MetricType = "counter" | "gauge" | "histogram";

export interface MetricDefinition<T extends MetricType = MetricType, Label extends string = string> {
  readonly type: T;
  readonly help: string;
  /** Each label with its known values; `OPEN` where only running tells them. */
  readonly labels: Readonly<Record<Label, readonly string[]>>;
  /** Seconds, ascending; of a histogram. */
  readonly buckets?: readonly number[];
}

type DefinitionsOf<T extends MetricType, L> = {
  readonly [N in keyof L]: MetricDefinition<T, keyof L[N] & string>;
};

/** The keys are complete by type; a type needs nothing of the engine at run time. */
const ISSUE_REASONS: Readonly<Record<IssueReason, true>> = {
  Missing: true,
  Corrupt: true,
  MismatchedPair: true,
  Rewritten: true,
  WrongIdentity: true,
  WrongNames: true,
  WrongKeyAlgorithm: true,
  WrongFormats: true,
  WrongPassword: true,
  WrongTtl: true,
  WrongAuthority: true,
  NotYetValid: true,
  RenewalDue: true,
  ManualRenewal: true,
};
const OPEN: readonly string[] = [];
const SVID_KINDS = ["x509", "jwt"] as const;
const ROTATION_STEPS = [
  "Prepare",
  "Observe",
  "Activate",
  "Honour",
  "Discard",
  "Remove",
] as const satisfies readonly RotationStep["step"][];
const RECONCILE_RESULTS = ["success", "error", "requeue", "requeue_after"] as const;
const FAILURE_REASONS: readonly string[] = [...new Set([...REASONS.X509Issued, ...REASONS.JWTIssued])].filter(
  (reason) => reason !== "Issued",
);

/** controller-runtime's, so that its dashboards show ours. */
const RECONCILE_BUCKETS: readonly number[] = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5,
  1.75, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
];
const QUEUE_BUCKETS: readonly number[] = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000];
const SIGNING_BUCKETS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
];
const REQUEST_BUCKETS: readonly number[] = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];

const QUEUE_LABELS = { name: OPEN, controller: OPEN } as const;

export const METRICS: DefinitionsOf<"counter", CounterLabels> &
  DefinitionsOf<"gauge", GaugeLabels> &
  DefinitionsOf<"histogram", HistogramLabels> = {
  meshid_svids_issued_total: {
    type: "counter",
    help: "SVIDs issued, by the check that asked for it.",
    labels: { kind: SVID_KINDS, reason: Object.keys(ISSUE_REASONS) },
  },
  meshid_svid_failures_total: {
    type: "counter",
    help: "SVIDs asked for and not issued, by the reason that the condition shows.",
    labels: { kind: SVID_KINDS, reason: FAILURE_REASONS },
  },
  meshid_signing_duration_seconds: {
    type: "histogram",
    help: "Time to make one SVID: key, signature and its verification.",
    labels: { kind: SVID_KINDS },
    buckets: SIGNING_BUCKETS,
  },
  meshid_identities: {
    type: "gauge",
    help: "ServiceIdentities, by whether they are Ready.",
    labels: { ready: ["true", "false"] },
  },
  meshid_svid_earliest_not_after_timestamp_seconds: {
    type: "gauge",
    help: "When the first of the current SVIDs ends, Unix time; 0 when there is none.",
    labels: { kind: SVID_KINDS },
  },
  meshid_authority_not_after_timestamp_seconds: {
    type: "gauge",
    help: "When the last authority of this kind and state ends, Unix time; 0 when there is none.",
    labels: { kind: AUTHORITY_KINDS, state: SLOT_STATES },
  },
  meshid_authority_not_before_timestamp_seconds: {
    type: "gauge",
    help: "From when that authority is valid, Unix time; 0 when there is none.",
    labels: { kind: AUTHORITY_KINDS, state: SLOT_STATES },
  },
  meshid_rotation_waiting_since_timestamp_seconds: {
    type: "gauge",
    help: "Since when the next authority of this kind is published and waits for consumers or for time, Unix time; 0 when none does.",
    labels: { kind: AUTHORITY_KINDS },
  },
  meshid_rotation_step_total: {
    type: "counter",
    help: "Steps of authority rotations that were taken.",
    labels: { kind: AUTHORITY_KINDS, step: ROTATION_STEPS },
  },
  meshid_bundle_sequence: {
    type: "gauge",
    help: "spiffe_sequence of the published bundle; 0 before the first.",
    labels: {},
  },
  meshid_reflector_last_event_age_seconds: {
    type: "gauge",
    help: "Time since the watch of this resource last said anything.",
    labels: { resource: OPEN },
  },
  meshid_reflector_relists_total: {
    type: "counter",
    help: "Complete lists of this resource, by what made them necessary.",
    labels: { resource: OPEN, reason: ["Start", "Expired", "Unknown", "Absent"] },
  },
  meshid_event_loop_lag_seconds: {
    type: "gauge",
    help: "99th percentile of the event loop's delay since the last scrape.",
    labels: {},
  },
  controller_runtime_reconcile_total: {
    type: "counter",
    help: "Total number of reconciliations per controller.",
    labels: { controller: OPEN, result: RECONCILE_RESULTS },
  },
  controller_runtime_reconcile_errors_total: {
    type: "counter",
    help: "Total number of reconciliation errors per controller.",
    labels: { controller: OPEN },
  },
  controller_runtime_terminal_reconcile_errors_total: {
    type: "counter",
    help: "Total number of terminal reconciliation errors per controller.",
    labels: { controller: OPEN },
  },
  controller_runtime_reconcile_time_seconds: {
    type: "histogram",
    help: "Length of time per reconciliation per controller.",
    labels: { controller: OPEN },
    buckets: RECONCILE_BUCKETS,
  },
  workqueue_depth: { type: "gauge", help: "Current depth of workqueue.", labels: QUEUE_LABELS },
  workqueue_adds_total: {
    type: "counter",
    help: "Total number of adds handled by workqueue.",
    labels: QUEUE_LABELS,
  },
  workqueue_queue_duration_seconds: {
    type: "histogram",
    help: "How long in seconds an item stays in workqueue before being requested.",
    labels: QUEUE_LABELS,
    buckets: QUEUE_BUCKETS,
  },
  workqueue_work_duration_seconds: {
    type: "histogram",
    help: "How long in seconds processing an item from workqueue takes.",
    labels: QUEUE_LABELS,
    buckets: QUEUE_BUCKETS,
  },
  workqueue_unfinished_work_seconds: {
    type: "gauge",
    help: "Seconds of work in progress that workqueue_work_duration_seconds does not show yet.",
    labels: QUEUE_LABELS,
  },
  workqueue_longest_running_processor_seconds: {
    type: "gauge",
    help: "How long the longest running item has been in work.",
    labels: QUEUE_LABELS,
  },
  workqueue_retries_total: {
    type: "counter",
    help: "Total number of retries handled by workqueue.",
    labels: QUEUE_LABELS,
  },
  rest_client_requests_total: {
    type: "counter",
    help: "Number of HTTP requests, partitioned by status code, method, and host.",
    labels: { code: OPEN, method: OPEN, host: OPEN },
  },
  rest_client_request_duration_seconds: {
    type: "histogram",
    help: "Request latency in seconds. Broken down by verb and host.",
    labels: { verb: OPEN, host: OPEN },
    buckets: REQUEST_BUCKETS,
  },
  leader_election_master_status: {
    type: "gauge",
    help: "Whether this process is the leader: 1, or 0.",
    labels: { name: ["meshid"] },
  },
};
