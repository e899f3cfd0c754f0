import { describe, expect, it } from "@jest/globals";
import { seconds } from "../../../src/core/brand.ts";
import { toRfc3339 } from "../../../src/core/clock.ts";
import {
  type MeshInput,
  type MeshPlan,
  planMesh,
  STRICT_AFTER_ANNOTATION,
} from "../../../src/reconcile/mesh.ts";
import type { ObservedPeerAuthentication } from "../../../src/reconcile/state.ts";
import type { MtlsEntry } from "../../../src/registration/registration-entry.ts";
import { entryOf, NOW } from "../../support/builders.ts";

const PROPAGATION = seconds(1800);
const LONG_AGO = seconds(NOW - 86_400);

function mtlsOf(changes: Partial<MtlsEntry> = {}): MtlsEntry {
  return { mode: "Strict", matchLabels: { app: "payments" }, exceptions: [], ...changes };
}

function plan(mtls: MtlsEntry, changes: Partial<MeshInput> = {}): MeshPlan {
  const entry = entryOf({ mtls });
  const base = { policies: [], meshPolicies: [], issuedSince: LONG_AGO, propagation: PROPAGATION, now: NOW };
  return planMesh({ entry, mtls, ...base, ...changes });
}

/** The identity's own policy as it is in place. */
function own(
  mode: string,
  ports: Readonly<Record<string, string>> = {},
  annotations: Readonly<Record<string, string>> = {},
): ObservedPeerAuthentication {
  return {
    ref: { kind: "PeerAuthentication", namespace: "shop", name: "payments" },
    ownerUid: entryOf().uid,
    annotations,
    creationTimestamp: "2026-11-01T00:00:00Z",
    spec: specOf(mode, ports),
  };
}

function specOf(mode: string, ports: Readonly<Record<string, string>> = {}): Record<string, unknown> {
  const portLevelMtls = Object.fromEntries(Object.entries(ports).map(([port, of]) => [port, { mode: of }]));
  return {
    selector: { matchLabels: { app: "payments" } },
    mtls: { mode },
    ...(Object.keys(ports).length === 0 ? {} : { portLevelMtls }),
  };
}

describe("planMesh", () => {
  const ONE_STRICT_PORT = mtlsOf({ mode: "Permissive", exceptions: [{ port: 8080, mode: "Strict" }] });

  it("waits with one STRICT port for the certificate as with all of them", () => {
    expect(plan(ONE_STRICT_PORT, { issuedSince: undefined })).toMatchObject({ wait: expect.any(String) });
    expect(plan(ONE_STRICT_PORT, { issuedSince: NOW })).toMatchObject({
      wait: expect.any(String),
      requeueAt: NOW + PROPAGATION,
    });
    expect(plan(ONE_STRICT_PORT)).toMatchObject({
      manifest: { spec: specOf("PERMISSIVE", { "8080": "STRICT" }) },
      strictAfter: undefined,
    });
  });

  it("does not wait for what takes nothing away", () => {
    const easier = mtlsOf({ mode: "Permissive", exceptions: [{ port: 9090, mode: "Disabled" }] });
    expect(plan(easier, { issuedSince: undefined })).toMatchObject({
      manifest: { spec: specOf("PERMISSIVE", { "9090": "DISABLE" }) },
    });
  });

  it("keeps what is STRICT already when the certificate is gone, and follows every easing", () => {
    const input = { policies: [own("STRICT")], issuedSince: undefined };
    expect(plan(mtlsOf(), input)).toMatchObject({ manifest: { spec: specOf("STRICT") } });
    expect(plan(ONE_STRICT_PORT, input)).toMatchObject({
      manifest: { spec: specOf("PERMISSIVE", { "8080": "STRICT" }) },
    });
  });

  it.each([
    ["a port of its own", own("DISABLE"), ONE_STRICT_PORT, specOf("PERMISSIVE", { "8080": "PERMISSIVE" })],
    [
      "a port that was an exception",
      own("STRICT", { "8080": "DISABLE" }),
      mtlsOf(),
      specOf("STRICT", { "8080": "PERMISSIVE" }),
    ],
    [
      "all but a port that is STRICT already",
      own("DISABLE", { "8080": "STRICT" }),
      mtlsOf(),
      specOf("PERMISSIVE", { "8080": "STRICT" }),
    ],
  ])("goes by way of PERMISSIVE where mTLS was disabled: %s", (_, before, mtls, between) => {
    const until = seconds(NOW + PROPAGATION);
    const first = plan(mtls, { policies: [before] });
    expect(first).toMatchObject({ manifest: { spec: between }, strictAfter: until });
    if (!("manifest" in first)) throw new TypeError("a wait");
    expect(first.manifest.annotations[STRICT_AFTER_ANNOTATION]).toBe(toRfc3339(until));

    const { annotations, spec } = first.manifest;
    const inPlace = { ...before, annotations, spec };
    const meanwhile = plan(mtls, { policies: [inPlace], now: seconds(NOW + 60) });
    expect(meanwhile).toMatchObject({ manifest: { spec: between }, strictAfter: until });
    const after = plan(mtls, { policies: [inPlace], now: until });
    expect(after).toMatchObject({ strictAfter: undefined });
    expect("manifest" in after && after.manifest.spec).toEqual(planSpec(mtls));
  });
});

function planSpec(mtls: MtlsEntry): unknown {
  const done = plan(mtls);
  return "manifest" in done ? done.manifest.spec : undefined;
}
