import { describe, expect, it } from "@jest/globals";
import { METRICS } from "../../../src/telemetry/metric-catalogue.ts";
import { makePrometheusMetrics } from "../../../src/telemetry/prometheus.ts";

/** `name{labels}` → value, of all samples but buckets. */
async function scrape(metrics: { text(): Promise<string> }): Promise<ReadonlyMap<string, number>> {
  const lines = (await metrics.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(" ")),
      Number(line.slice(line.lastIndexOf(" ") + 1)),
    ]),
  );
}

describe("makePrometheusMetrics", () => {
  it("declares every metric with its type from the start", async () => {
    const text = await makePrometheusMetrics().text();
    for (const [name, { type }] of Object.entries(METRICS))
      expect(text).toContain(`# TYPE ${name} ${type}\n`);
  });

  it.each([
    'meshid_svids_issued_total{kind="x509",reason="RenewalDue"}',
    'meshid_svids_issued_total{kind="jwt",reason="Missing"}',
    'meshid_svid_failures_total{kind="x509",reason="SigningFailed"}',
    'meshid_identities{ready="false"}',
    'meshid_authority_not_after_timestamp_seconds{kind="Issuing",state="Retired"}',
    'meshid_rotation_step_total{kind="JWT",step="Activate"}',
    "meshid_bundle_sequence",
    'meshid_signing_duration_seconds_count{kind="jwt"}',
    'controller_runtime_reconcile_total{controller="serviceidentity",result="requeue_after"}',
    'controller_runtime_reconcile_time_seconds_count{controller="serviceidentity"}',
    'workqueue_adds_total{name="serviceidentity",controller="serviceidentity"}',
    'meshid_reflector_last_event_age_seconds{resource="secrets"}',
    'meshid_reflector_relists_total{resource="secrets",reason="Expired"}',
    'leader_election_master_status{name="meshid"}',
  ])("registers %s at zero", async (sample) => {
    const metrics = makePrometheusMetrics({ controllers: ["serviceidentity"], resources: ["secrets"] });
    expect((await scrape(metrics)).get(sample)).toBe(0);
  });

  it("counts no success as a failure", async () => {
    expect(await makePrometheusMetrics().text()).not.toContain('reason="Issued"');
  });

  it("adds, sets and observes", async () => {
    const metrics = makePrometheusMetrics();
    metrics.increment("meshid_svids_issued_total", { kind: "x509", reason: "Missing" });
    metrics.increment("meshid_svids_issued_total", { kind: "x509", reason: "Missing" }, 2);
    metrics.set("meshid_identities", { ready: "true" }, 7);
    metrics.observe("meshid_signing_duration_seconds", { kind: "jwt" }, 0.25);
    const samples = await scrape(metrics);
    expect(samples.get('meshid_svids_issued_total{kind="x509",reason="Missing"}')).toBe(3);
    expect(samples.get('meshid_identities{ready="true"}')).toBe(7);
    expect(samples.get('meshid_signing_duration_seconds_sum{kind="jwt"}')).toBe(0.25);
  });

  it("asks collectors at each scrape", async () => {
    const metrics = makePrometheusMetrics();
    let depth = 0;
    const labels = { name: "a", controller: "a" };
    metrics.onScrape(() => metrics.set("workqueue_depth", labels, ++depth));
    await metrics.text();
    expect((await scrape(metrics)).get('workqueue_depth{name="a",controller="a"}')).toBe(2);
  });

  it("keeps registries apart", async () => {
    const [one, two] = [makePrometheusMetrics(), makePrometheusMetrics()];
    one.set("meshid_bundle_sequence", {}, 5);
    expect((await scrape(two)).get("meshid_bundle_sequence")).toBe(0);
  });

  it("shows the process's own metrics too", async () => {
    const samples = await scrape(makePrometheusMetrics());
    expect(samples.get("process_resident_memory_bytes")).toBeGreaterThan(1e6);
  });

  it("measures how long the event loop was held since the last scrape", async () => {
    const metrics = makePrometheusMetrics();
    const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 60));
    await pause();
    await metrics.text();
    await pause();
    const end = performance.now() + 300;
    while (performance.now() < end);
    await pause();
    const name = "meshid_event_loop_lag_seconds";
    expect((await scrape(metrics)).get(name)).toBeGreaterThan(0.2);
    let calm = 1;
    for (let tries = 0; tries < 50 && calm >= 0.2; tries++) {
      await pause();
      calm = (await scrape(metrics)).get(name) ?? 1;
    }
    expect(calm).toBeLessThan(0.2);
  });
});

describe("METRICS", () => {
  it.each(Object.entries(METRICS))("%s is named by the rules", (name, { type, labels }) => {
    if (name.startsWith("meshid_")) expect(name.endsWith("_total")).toBe(type === "counter");
    if (type === "histogram") expect(name).toMatch(/_seconds$/);
    expect(Object.keys(labels).every((label) => /^[a-z]+$/.test(label))).toBe(true);
  });
});
