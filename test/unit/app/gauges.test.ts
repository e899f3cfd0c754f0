import { expect, it } from "@jest/globals";
import { pino } from "pino";
import { identityGauges, silenceGauges } from "../../../src/app/gauges.ts";
import type { Authority } from "../../../src/authority/authority.ts";
import { makeEvents } from "../../../src/telemetry/events.ts";
import { makePrometheusMetrics } from "../../../src/telemetry/prometheus.ts";
import { START } from "../../support/authority-fakes.ts";
import { openAuthority } from "../../support/open-authority.ts";

it("shows the authority while it is this process's, and nothing of it afterwards", async () => {
  const metrics = makePrometheusMetrics();
  const { authority } = await openAuthority(3);
  await authority.step(undefined, { JWT: "now" });
  const leading: { authority?: Authority } = { authority };
  const events = makeEvents({ logger: pino({ enabled: false }), metrics });
  identityGauges({
    metrics,
    events,
    identities: () => [],
    authority: () => leading.authority,
    waitingSince: () => new Map([["JWT", START]]),
  });
  const shown = async (): Promise<readonly string[]> => {
    const lines = (await metrics.text()).split("\n");
    const ours =
      /^meshid_(authority_not_after_timestamp_seconds|rotation_waiting_since_timestamp_seconds|bundle_sequence)\b/;
    return lines
      .filter((line) => ours.test(line) && !line.endsWith(" 0"))
      .map((line) => line.split(" ")[0] ?? "");
  };
  expect(await shown()).toEqual([
    'meshid_authority_not_after_timestamp_seconds{kind="Root",state="Active"}',
    'meshid_authority_not_after_timestamp_seconds{kind="Issuing",state="Active"}',
    'meshid_authority_not_after_timestamp_seconds{kind="JWT",state="Prepared"}',
    'meshid_authority_not_after_timestamp_seconds{kind="JWT",state="Active"}',
    'meshid_rotation_waiting_since_timestamp_seconds{kind="JWT"}',
    "meshid_bundle_sequence",
  ]);
  delete leading.authority;
  expect(await shown()).toEqual([]);
});

it("shows the most silent of the watches that share a resource", async () => {
  const metrics = makePrometheusMetrics();
  silenceGauges(metrics, () => [
    { resource: "secrets", milliseconds: 90_000 },
    { resource: "secrets", milliseconds: 1000 },
    { resource: "namespaces", milliseconds: 500 },
  ]);
  const text = await metrics.text();
  expect(text).toContain('meshid_reflector_last_event_age_seconds{resource="secrets"} 90\n');
  expect(text).toContain('meshid_reflector_last_event_age_seconds{resource="namespaces"} 0.5\n');
});
