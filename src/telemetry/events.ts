/**
 * One helper for each fact of business: it writes the metric and the log line together, so that they never disagree.
 * Lines with `audit` are the issuance record: who got what, when, until when and why, and who did not.
 */

import type { JournalStep, RotationStep } from "../authority/rotation-step.ts";
import {
  AUTHORITY_KINDS,
  type AuthorityKind,
  SLOT_STATES,
  type Slot,
  type SlotState,
} from "../authority/slot.ts";
import type { ControllerReport } from "../controller/controller.ts";
import type { Audit, IssuanceRecord } from "../controller/ports.ts";
import type { Seconds } from "../core/brand.ts";
import { toRfc3339 } from "../core/clock.ts";
import { isOperatorError } from "../core/errors.ts";
import type { LogFields } from "./fields.ts";
import type { Logger } from "./logger.ts";
import type { Metrics, ReconcileResult, SvidKind } from "./metrics.ts";

export interface EventsOptions {
  readonly logger: Logger;
  readonly metrics: Metrics;
  /**
   * Where the issuance record goes. Default: the log, at level info whatever the log's own level is, so that
   * `--log-level error` loses no record.
   */
  readonly audit?: Logger;
}

interface BundlePublication {
  readonly trustDomain: string;
  readonly sequence: number;
  readonly hash: string;
}

interface ReadinessChange {
  readonly serviceIdentity: string;
  readonly spiffeId: string | undefined;
  readonly isReady: boolean;
  readonly reason: string;
  readonly message: string;
}

type Observed = Pick<Slot, "kind" | "state" | "notBefore" | "notAfter">;

/** A request that an HTTP server answered. */
interface RequestRecord {
  readonly requestId: string;
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly duration: number;
}

export interface Events extends Audit {
  /** As `Audit` asks, with the token's ID where the caller has it. */
  tokenIssued(record: IssuanceRecord & { readonly audience: string; readonly jti?: string }): void;
  /** A step was saved in the journal; `keyID` is the slot that it made, moved or removed. */
  rotationStep(step: RotationStep | JournalStep, keyID?: string): void;
  bundlePublished(bundle: BundlePublication): void;
  /** Readiness was won or lost. */
  identityReady(change: ReadinessChange): void;
  /** All ServiceIdentities, counted. */
  identitiesCounted(count: { readonly ready: number; readonly notReady: number }): void;
  /** When the first current SVID of a kind ends; undefined when there is none. */
  earliestNotAfter(kind: SvidKind, notAfter: Seconds | undefined): void;
  /** All slots of the journal. */
  authoritiesObserved(slots: readonly Observed[]): void;
  /** By kind, since when the next key waits for consumers or for time. */
  rotationsWaiting(since: ReadonlyMap<AuthorityKind, Seconds>): void;
  /** `holder`: of the Lease, as it is known now. */
  leadershipChanged(isLeader: boolean, holder?: string): void;
  /** One pass of a loop ended. */
  reconciled(report: ControllerReport): void;
  requestServed(request: RequestRecord): void;
  requestFailed(error: unknown): void;
}

export function makeEvents(options: EventsOptions): Events {
  const { metrics } = options;
  const audit = (options.audit ?? options.logger.child({}, { level: "info" })).child({
    component: "audit",
    audit: true,
  });
  return {
    ...issuanceEvents(audit, metrics),
    ...authorityEvents(audit, metrics),
    ...stateEvents(options.logger.child({ component: "controller" }), metrics),
    ...requestEvents(options.logger.child({ component: "http" })),
  };
}

function issuanceEvents(
  audit: Logger,
  metrics: Metrics,
): Pick<Events, "x509Issued" | "tokenIssued" | "refused"> {
  const issued = (kind: SvidKind, record: IssuanceRecord, fields: LogFields, message: string): void => {
    metrics.increment("meshid_svids_issued_total", { kind, reason: record.reason });
    metrics.observe("meshid_signing_duration_seconds", { kind }, record.duration / 1000);
    audit.info(
      {
        kind,
        serviceIdentity: record.serviceIdentity,
        spiffeId: record.spiffeId,
        ...fields,
        kid: record.authorityKeyID,
        notAfter: toRfc3339(record.notAfter),
        reason: record.reason,
        durationMs: round(record.duration),
      },
      message,
    );
  };
  return {
    x509Issued: (record) => issued("x509", record, { serial: record.serialNumber }, "issued an X.509-SVID"),
    tokenIssued: (record) => {
      const { audience, jti } = record;
      issued("jwt", record, { audience, ...(jti === undefined ? {} : { jti }) }, "issued a JWT-SVID");
    },
    refused: ({ kind, serviceIdentity, spiffeId, reason, message }) => {
      metrics.increment("meshid_svid_failures_total", { kind, reason });
      const id = spiffeId === undefined ? {} : { spiffeId };
      audit.warn({ kind, serviceIdentity, ...id, reason, explanation: message }, "refused an SVID");
    },
  };
}

function authorityEvents(
  audit: Logger,
  metrics: Metrics,
): Pick<
  Events,
  "rotationStep" | "bundlePublished" | "authoritiesObserved" | "rotationsWaiting" | "earliestNotAfter"
> {
  return {
    rotationStep: (step, keyID) => {
      metrics.increment("meshid_rotation_step_total", { kind: step.kind, step: step.step });
      const made = "made" in step ? step.made : undefined;
      const kid = keyID ?? ("keyID" in step ? step.keyID : made?.keyID);
      const fields = { kind: step.kind, step: step.step, ...(kid === undefined ? {} : { kid }) };
      if (step.step === "Activate" && step.forced !== undefined) {
        audit.warn(
          { ...fields, reason: "Forced", explanation: step.forced },
          "took a rotation step without waiting",
        );
      } else {
        audit.info(
          { ...fields, ...("reason" in step ? { reason: step.reason } : {}) },
          "took a rotation step",
        );
      }
      if (made?.crossProblem !== undefined) {
        const explanation = made.crossProblem;
        audit.warn({ ...fields, explanation }, "made a root without a cross certificate");
      }
    },
    bundlePublished: ({ trustDomain, sequence, hash }) => {
      metrics.set("meshid_bundle_sequence", {}, sequence);
      audit.info({ trustDomain, sequence, hash }, "published the bundle");
    },
    authoritiesObserved: (slots) => {
      for (const { kind, state, last } of lastOfEach(slots)) {
        metrics.set("meshid_authority_not_before_timestamp_seconds", { kind, state }, last?.notBefore ?? 0);
        metrics.set("meshid_authority_not_after_timestamp_seconds", { kind, state }, last?.notAfter ?? 0);
      }
    },
    rotationsWaiting: (since) => {
      for (const kind of AUTHORITY_KINDS)
        metrics.set("meshid_rotation_waiting_since_timestamp_seconds", { kind }, since.get(kind) ?? 0);
    },
    earliestNotAfter: (kind, notAfter) =>
      metrics.set("meshid_svid_earliest_not_after_timestamp_seconds", { kind }, notAfter ?? 0),
  };
}

/** Of every combination of kind and state the one that ends last: a slot that is gone must not stay in the metric. */
function lastOfEach(slots: readonly Observed[]): readonly {
  readonly kind: AuthorityKind;
  readonly state: SlotState;
  readonly last: Observed | undefined;
}[] {
  return AUTHORITY_KINDS.flatMap((kind) =>
    SLOT_STATES.map((state) => {
      const found = slots.filter((slot) => slot.kind === kind && slot.state === state);
      return { kind, state, last: found.toSorted((a, b) => b.notAfter - a.notAfter)[0] };
    }),
  );
}

function stateEvents(
  logger: Logger,
  metrics: Metrics,
): Pick<Events, "identityReady" | "identitiesCounted" | "leadershipChanged" | "reconciled"> {
  return {
    identityReady: ({ serviceIdentity, spiffeId, isReady, reason, message }) => {
      const fields = { serviceIdentity, ...(spiffeId === undefined ? {} : { spiffeId }), reason };
      if (isReady) logger.info(fields, "the identity is ready");
      else logger.warn({ ...fields, explanation: message }, "the identity is not ready");
    },
    identitiesCounted: ({ ready, notReady }) => {
      metrics.set("meshid_identities", { ready: "true" }, ready);
      metrics.set("meshid_identities", { ready: "false" }, notReady);
    },
    leadershipChanged: (isLeader, holder) => {
      metrics.set("leader_election_master_status", { name: "meshid" }, isLeader ? 1 : 0);
      const result = isLeader ? "leader" : "follower";
      logger.info({ result, ...(holder === undefined ? {} : { holder }) }, "leadership changed");
    },
    reconciled: (report) => {
      countReconciliation(report, metrics);
      logReconciliation(report, logger);
    },
  };
}

function countReconciliation(report: ControllerReport, metrics: Metrics): void {
  const { controller } = report;
  // The process stops: nothing went wrong.
  if (isOperatorError(report.error, "ABORTED")) return;
  const result: ReconcileResult = report.result === "terminal_error" ? "error" : report.result;
  metrics.increment("controller_runtime_reconcile_total", { controller, result });
  metrics.observe("controller_runtime_reconcile_time_seconds", { controller }, report.duration / 1000);
  if (result !== "error") return;
  metrics.increment("controller_runtime_reconcile_errors_total", { controller });
  if (report.result === "terminal_error") {
    metrics.increment("controller_runtime_terminal_reconcile_errors_total", { controller });
  }
}

function logReconciliation(report: ControllerReport, logger: Logger): void {
  const { controller, key, result, error } = report;
  const subject = key.includes("/") ? { serviceIdentity: key } : {};
  const fields: LogFields = { controller, ...subject, result, durationMs: round(report.duration) };
  if (result === "terminal_error") {
    if (isOperatorError(error, "ABORTED")) logger.debug(fields, "stopped a reconciliation");
    else logger.error({ ...fields, err: error }, "a reconciliation failed for good");
  } else if (result === "error") {
    logger.warn({ ...fields, err: error }, "a reconciliation failed and will be tried again");
  } else {
    logger.debug(fields, "reconciled");
  }
}

function requestEvents(logger: Logger): Pick<Events, "requestServed" | "requestFailed"> {
  return {
    requestServed: ({ requestId, method, route, status, duration }) =>
      logger.debug({ requestId, method, route, status, durationMs: round(duration) }, "served a request"),
    requestFailed: (error) => logger.error({ err: error }, "serving a request failed"),
  };
}

/** Microseconds are enough for a log. */
function round(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}
