import { describe, expect, it } from "@jest/globals";
import type { Routes } from "../../../src/http/application.ts";
import { type HealthCheck, PROBE_PATHS, probeRoutes } from "../../../src/http/probe-routes.ts";
import { openPlain } from "../../support/http/raw-client.ts";
import { startServer } from "../../support/http/servers.ts";

function routes(problems: { authority?: string; loop?: () => string | undefined } = {}): Routes {
  const checks: readonly HealthCheck[] = [
    { name: "authority", check: () => problems.authority },
    { name: "loop", check: problems.loop ?? (() => undefined) },
  ];
  return probeRoutes({
    liveness: [{ name: "ping", check: () => undefined }],
    readiness: checks,
    metrics: { contentType: "text/plain; version=0.0.4", text: async () => "up 1\n" },
  });
}

describe("probeRoutes", () => {
  it.each([
    [PROBE_PATHS.liveness, "ok"],
    [PROBE_PATHS.readiness, "ok"],
    [`${PROBE_PATHS.liveness}?verbose`, "[+]ping ok\nlivez check passed\n"],
    [
      `${PROBE_PATHS.readiness}?verbose`,
      "[+]authority ok\n[+]loop ok\n[+]shutdown ok\nreadyz check passed\n",
    ],
  ])("%s says %j when all is well", async (path, body) => {
    await using server = await startServer({ routes: routes() });
    using connection = await openPlain(server.address());
    const response = await connection.get(path);
    expect([response.status, response.body]).toEqual([200, body]);
    expect(response.headers).toMatchObject({
      "content-type": "text/plain; charset=utf-8",
      "cache-control": "no-store",
    });
  });

  it("names each failing check, one a line, and leaves liveness alone", async () => {
    const loop = (): string => {
      throw new Error("stuck\nfor 60 s");
    };
    await using server = await startServer({ routes: routes({ authority: "journal is missing", loop }) });
    using connection = await openPlain(server.address());
    const response = await connection.get(PROBE_PATHS.readiness);
    expect([response.status, response.body]).toEqual([
      503,
      "[-]authority failed: journal is missing\n[-]loop failed: stuck for 60 s\n[+]shutdown ok\nreadyz check failed\n",
    ]);
    expect((await connection.get(PROBE_PATHS.liveness)).status).toBe(200);
  });

  it("is not ready, but alive and measured, from the signal to the end", async () => {
    const stop = new AbortController();
    await using server = await startServer({ routes: routes() }, stop.signal);
    stop.abort();
    const statuses = [];
    for (const path of Object.values(PROBE_PATHS)) {
      using connection = await openPlain(server.address());
      statuses.push([path, (await connection.get(path)).status]);
    }
    expect(statuses).toEqual([
      ["/livez", 200],
      ["/readyz", 503],
      ["/metrics", 200],
    ]);
  });

  it("shows the metrics in the type that their source names", async () => {
    await using server = await startServer({ routes: routes() });
    using connection = await openPlain(server.address());
    const response = await connection.get(PROBE_PATHS.metrics);
    expect([response.status, response.body]).toEqual([200, "up 1\n"]);
    expect(response.headers["content-type"]).toBe("text/plain; version=0.0.4");
  });

  it("answers HEAD as GET and refuses the rest", async () => {
    await using server = await startServer({ routes: routes() });
    using connection = await openPlain(server.address());
    const head = await connection.request("HEAD", PROBE_PATHS.readiness);
    expect([head.status, head.headers["content-length"]]).toEqual([200, "2"]);
    expect((await connection.request("POST", PROBE_PATHS.readiness)).status).toBe(405);
  });
});
