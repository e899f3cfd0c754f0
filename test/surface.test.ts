/**
 * The names that users and other programs rely on, written out: a change here is a change for them.
 */

import { describe, expect, it } from "@jest/globals";
import { COMMANDS } from "../src/app/command-table.ts";
import { AUTHORITY_KINDS } from "../src/authority/slot.ts";
import { DISCOVERY_PATHS } from "../src/http/discovery-routes.ts";
import { PROBE_PATHS } from "../src/http/probe-routes.ts";
import { JWT_ALGORITHMS } from "../src/jwt/jwt-svid.ts";
import { REASONS } from "../src/registration/conditions.ts";
import { API_GROUP, API_VERSION, RENEW_ANNOTATION } from "../src/registration/service-identity.ts";
import { METRICS } from "../src/telemetry/metric-catalogue.ts";
import { KEY_ALGORITHMS } from "../src/x509/keys.ts";

describe("the public surface", () => {
  it("has these metrics with these labels", () => {
    const metrics = Object.entries(METRICS).map(([name, { type, labels }]) => {
      const names = Object.keys(labels).sort();
      return `${type} ${name}${names.length > 0 ? `{${names.join(",")}}` : ""}`;
    });
    expect(metrics.sort()).toEqual([
      "counter controller_runtime_reconcile_errors_total{controller}",
      "counter controller_runtime_reconcile_total{controller,result}",
      "counter controller_runtime_terminal_reconcile_errors_total{controller}",
      "counter meshid_reflector_relists_total{reason,resource}",
      "counter meshid_rotation_step_total{kind,step}",
      "counter meshid_svid_failures_total{kind,reason}",
      "counter meshid_svids_issued_total{kind,reason}",
      "counter rest_client_requests_total{code,host,method}",
      "counter workqueue_adds_total{controller,name}",
      "counter workqueue_retries_total{controller,name}",
      "gauge leader_election_master_status{name}",
      "gauge meshid_authority_not_after_timestamp_seconds{kind,state}",
      "gauge meshid_authority_not_before_timestamp_seconds{kind,state}",
      "gauge meshid_bundle_sequence",
      "gauge meshid_event_loop_lag_seconds",
      "gauge meshid_identities{ready}",
      "gauge meshid_reflector_last_event_age_seconds{resource}",
      "gauge meshid_rotation_waiting_since_timestamp_seconds{kind}",
      "gauge meshid_svid_earliest_not_after_timestamp_seconds{kind}",
      "gauge workqueue_depth{controller,name}",
      "gauge workqueue_longest_running_processor_seconds{controller,name}",
      "gauge workqueue_unfinished_work_seconds{controller,name}",
      "histogram controller_runtime_reconcile_time_seconds{controller}",
      "histogram meshid_signing_duration_seconds{kind}",
      "histogram rest_client_request_duration_seconds{host,verb}",
      "histogram workqueue_queue_duration_seconds{controller,name}",
      "histogram workqueue_work_duration_seconds{controller,name}",
    ]);
  });

  it("has these HTTP paths", () => {
    expect([...Object.values(DISCOVERY_PATHS), ...Object.values(PROBE_PATHS)]).toEqual([
      "/.well-known/openid-configuration",
      "/.well-known/jwks.json",
      "/.well-known/spiffe-bundle.json",
      "/livez",
      "/readyz",
      "/metrics",
    ]);
  });

  it("has these conditions with these reasons", () => {
    const issuing = [
      "Issued",
      "InvalidSpec",
      "LimitExceeded",
      "ServiceAccountNotFound",
      "SecretConflict",
      "IdentityConflict",
      "AuthorityNotReady",
      "SigningFailed",
      "SecretRewritten",
      "WriteRefused",
    ];
    expect(REASONS).toEqual({
      Ready: ["Issued", "Pending", "Degraded", "NotServed"],
      X509Issued: issuing,
      JWTIssued: issuing,
      MTLSApplied: [
        "Applied",
        "WaitingForCertificate",
        "IstioNotInstalled",
        "PeerAuthenticationConflict",
        "ShadowedByOlderPolicy",
        "PermissiveFirst",
        "WriteRefused",
      ],
      AuthorityReady: [
        "Active",
        "Bootstrapping",
        "JournalMissing",
        "JournalCorrupt",
        "JournalVersionUnsupported",
        "JournalForeign",
        "SecretInvalid",
        "ClockSkew",
        "InvalidSpec",
      ],
      RotationInProgress: [
        "Idle",
        "WaitingForPropagation",
        "WaitingForConsumers",
        "ConsumersExcluded",
        "Reissuing",
        "Retiring",
        "Paused",
      ],
      BundlePublished: ["Published", "Publishing", "BundleConflict"],
    });
  });

  it("has these names in objects", () => {
    expect([API_GROUP, API_VERSION, RENEW_ANNOTATION]).toEqual([
      "meshid.dev",
      "meshid.dev/v1alpha1",
      "meshid.dev/renew",
    ]);
    expect([...AUTHORITY_KINDS]).toEqual(["Root", "Issuing", "JWT"]);
    expect([...KEY_ALGORITHMS].sort()).toEqual([
      "ECDSA-P256",
      "ECDSA-P384",
      "Ed25519",
      "RSA-2048",
      "RSA-3072",
      "RSA-4096",
    ]);
    expect([...JWT_ALGORITHMS].sort()).toEqual(["ES256", "ES384", "PS256", "RS256"]);
  });

  it("has these commands of local mode", () => {
    const commands = COMMANDS.map(({ name }) => name);
    for (const name of ["local", "inspect", "verify", "renew", "rotate", "status", "version", "completion"])
      expect(commands).toContain(name);
  });
});
