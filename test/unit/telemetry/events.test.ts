import { describe, expect, it } from "@jest/globals";
import { milliseconds, seconds } from "../../../src/core/brand.ts";
import { OperatorError } from "../../../src/core/errors.ts";
import { type Events, makeEvents } from "../../../src/telemetry/events.ts";
import type { LogLevel } from "../../../src/telemetry/logger.ts";
import { makePrometheusMetrics, type PrometheusMetrics } from "../../../src/telemetry/prometheus.ts";
import { type RecordingLogger, recordingLogger } from "../../support/telemetry/records.ts";

interface Bench extends RecordingLogger {
  readonly events: Events;
  readonly metrics: PrometheusMetrics;
  /** The samples of a metric that are not 0, as `{labels} value`, without buckets. */
  readonly samples: (name: string) => Promise<readonly string[]>;
}

function bench(level: LogLevel = "debug"): Bench {
  const recording = recordingLogger({ level });
  const metrics = makePrometheusMetrics({ controllers: ["serviceidentity"] });
  return {
    ...recording,
    metrics,
    events: makeEvents({ logger: recording.logger, metrics }),
    samples: async (name) => {
      const lines = (await metrics.text()).split("\n");
      const own = lines.filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
      return own.filter((line) => !line.endsWith(" 0")).map((line) => line.slice(name.length).trim());
    },
  };
}

const issuance = {
  serviceIdentity: "shop/payments",
  spiffeId: "spiffe://cluster.local/ns/shop/sa/payments",
  authorityKeyID: "ab12",
  notAfter: seconds(1_800_000_000),
  reason: "RenewalDue",
  duration: milliseconds(1.23456),
} as const;

describe("makeEvents", () => {
  it("records an issued X.509-SVID: who, what, until when, why, signed by what", async () => {
    const { events, records, samples } = bench();
    events.x509Issued({ ...issuance, serialNumber: "4f00" });
    expect(records()).toEqual([
      {
        level: "info",
        component: "audit",
        audit: true,
        kind: "x509",
        serviceIdentity: "shop/payments",
        spiffeId: "spiffe://cluster.local/ns/shop/sa/payments",
        serial: "4f00",
        kid: "ab12",
        notAfter: "2027-01-15T08:00:00Z",
        reason: "RenewalDue",
        durationMs: 1.235,
        msg: "issued an X.509-SVID",
      },
    ]);
    expect(await samples("meshid_svids_issued_total")).toEqual(['{kind="x509",reason="RenewalDue"} 1']);
    expect(await samples("meshid_signing_duration_seconds_count")).toEqual(['{kind="x509"} 1']);
  });

  it("records an issued token by audience, ID and key, never by itself", async () => {
    const { events, records, samples } = bench();
    events.tokenIssued({ ...issuance, audience: "orders.shop", jti: "id-1" });
    expect(records()[0]).toMatchObject({ kind: "jwt", audience: "orders.shop", jti: "id-1", kid: "ab12" });
    expect(await samples("meshid_svids_issued_total")).toEqual(['{kind="jwt",reason="RenewalDue"} 1']);
  });

  it("records a refusal with its reason and its explanation", async () => {
    const { events, records, samples } = bench();
    const refusal = {
      kind: "x509",
      serviceIdentity: "shop/a",
      reason: "LimitExceeded",
      message: "ttl 1s",
    } as const;
    events.refused({ ...refusal, spiffeId: undefined });
    expect(records()).toEqual([
      {
        level: "warn",
        component: "audit",
        audit: true,
        kind: "x509",
        serviceIdentity: "shop/a",
        reason: "LimitExceeded",
        explanation: "ttl 1s",
        msg: "refused an SVID",
      },
    ]);
    expect(await samples("meshid_svid_failures_total")).toEqual(['{kind="x509",reason="LimitExceeded"} 1']);
  });

  it("keeps the issuance record whatever the level of the log", () => {
    const { events, records } = bench("error");
    events.x509Issued({ ...issuance, serialNumber: "4f00" });
    events.identitiesCounted({ ready: 1, notReady: 0 });
    events.identityReady({
      serviceIdentity: "a/b",
      spiffeId: undefined,
      isReady: true,
      reason: "Issued",
      message: "",
    });
    expect(records().map((record) => record["msg"])).toEqual(["issued an X.509-SVID"]);
  });

  it("sends the issuance record elsewhere where that is asked for", () => {
    const [log, audit] = [recordingLogger(), recordingLogger()];
    const events = makeEvents({ logger: log.logger, audit: audit.logger, metrics: makePrometheusMetrics() });
    events.x509Issued({ ...issuance, serialNumber: "4f00" });
    expect([log.lines.length, audit.lines.length]).toEqual([0, 1]);
  });

  it("records each step of a rotation, and warns of one that was forced", async () => {
    const { events, records, samples } = bench();
    const keyID = "cd34" as never;
    events.rotationStep({ step: "Observe", kind: "Root", keyID });
    events.rotationStep({ step: "Activate", kind: "Root", keyID, forced: "Secret shop/a" });
    expect(records()).toMatchObject([
      { level: "info", kind: "Root", step: "Observe", kid: "cd34" },
      { level: "warn", kind: "Root", step: "Activate", kid: "cd34", explanation: "Secret shop/a" },
    ]);
    expect(await samples("meshid_rotation_step_total")).toEqual([
      '{kind="Root",step="Observe"} 1',
      '{kind="Root",step="Activate"} 1',
    ]);
  });

  it("says why a root has no cross certificate that was asked for", () => {
    const { events, records } = bench();
    events.rotationStep({
      step: "Prepare",
      kind: "Root",
      reason: "Requested",
      algorithm: "ECDSA-P256",
      notBefore: seconds(1),
      notAfter: seconds(9),
      made: { keyID: "cd34" as never, publicKey: "", crossProblem: "the private key is missing" },
    });
    expect(records()).toMatchObject([
      { level: "info", step: "Prepare" },
      {
        level: "warn",
        kid: "cd34",
        msg: "made a root without a cross certificate",
        explanation: "the private key is missing",
      },
    ]);
  });

  it("shows the life of the last of each kind and state, and 0 again when the slots are gone", async () => {
    const { events, samples } = bench();
    const [begin, end] = ["not_before", "not_after"].map(
      (what) => `meshid_authority_${what}_timestamp_seconds`,
    );
    events.authoritiesObserved([
      { kind: "Root", state: "Retired", notBefore: seconds(4), notAfter: seconds(5) },
      { kind: "Root", state: "Retired", notBefore: seconds(3), notAfter: seconds(9) },
      { kind: "JWT", state: "Active", notBefore: seconds(2), notAfter: seconds(7) },
    ]);
    expect(await samples(end ?? "")).toEqual([
      '{kind="Root",state="Retired"} 9',
      '{kind="JWT",state="Active"} 7',
    ]);
    expect(await samples(begin ?? "")).toEqual([
      '{kind="Root",state="Retired"} 3',
      '{kind="JWT",state="Active"} 2',
    ]);
    events.authoritiesObserved([]);
    expect([await samples(begin ?? ""), await samples(end ?? "")]).toEqual([[], []]);
  });

  it("shows since when a key waits, and 0 again when none does", async () => {
    const { events, samples } = bench();
    const name = "meshid_rotation_waiting_since_timestamp_seconds";
    events.rotationsWaiting(new Map([["JWT", seconds(7)]]));
    expect(await samples(name)).toEqual(['{kind="JWT"} 7']);
    events.rotationsWaiting(new Map());
    expect(await samples(name)).toEqual([]);
  });

  it("sets the gauges of bundle, identities, expiry and leadership", async () => {
    const { events, samples } = bench();
    events.bundlePublished({ trustDomain: "cluster.local", sequence: 12, hash: "ff" });
    events.identitiesCounted({ ready: 3, notReady: 1 });
    events.earliestNotAfter("x509", seconds(99));
    events.leadershipChanged(true);
    expect(await samples("meshid_bundle_sequence")).toEqual(["12"]);
    expect(await samples("meshid_identities")).toEqual(['{ready="true"} 3', '{ready="false"} 1']);
    expect(await samples("meshid_svid_earliest_not_after_timestamp_seconds")).toEqual(['{kind="x509"} 99']);
    expect(await samples("leader_election_master_status")).toEqual(['{name="meshid"} 1']);
    events.earliestNotAfter("x509", undefined);
    expect(await samples("meshid_svid_earliest_not_after_timestamp_seconds")).toEqual([]);
  });

  it.each([
    { result: "success", error: undefined, level: "debug", counted: "success", errors: [0, 0] },
    { result: "requeue_after", error: undefined, level: "debug", counted: "requeue_after", errors: [0, 0] },
    { result: "error", error: new Error("later"), level: "warn", counted: "error", errors: [1, 0] },
    {
      result: "terminal_error",
      error: new OperatorError("NOT_OWNED", "never"),
      level: "error",
      counted: "error",
      errors: [1, 1],
    },
    {
      result: "terminal_error",
      error: new OperatorError("ABORTED", "stopping"),
      level: "debug",
      counted: undefined,
      errors: [0, 0],
    },
  ] as const)("reports a pass that ended as $result with $error at level $level", async (row) => {
    const { events, records, samples } = bench();
    const { result, error, level, counted } = row;
    const report = { controller: "serviceidentity", key: "shop/payments", result, duration: milliseconds(2) };
    events.reconciled(error === undefined ? report : { ...report, error });
    expect(records()).toMatchObject([
      { level, controller: "serviceidentity", serviceIdentity: "shop/payments" },
    ]);
    const total = counted === undefined ? [] : [`{controller="serviceidentity",result="${counted}"} 1`];
    expect(await samples("controller_runtime_reconcile_total")).toEqual(total);
    const failures = await samples("controller_runtime_reconcile_errors_total");
    const terminal = await samples("controller_runtime_terminal_reconcile_errors_total");
    expect([failures.length, terminal.length]).toEqual(row.errors);
  });
});
