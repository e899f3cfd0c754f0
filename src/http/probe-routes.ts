/**
 * Probes in the form that Kubernetes' own components use, and the metrics, for a second address that is plain HTTP.
 */

import type { FastifyReply, FastifyRequest } from "fastify";
import { messageOf } from "../core/errors.ts";
import type { Routes } from "./application.ts";

/** Cheap and synchronous: it reads what loops have noted. */
export interface HealthCheck {
  /** Lower case with dashes. */
  readonly name: string;
  /** What is wrong; undefined when nothing is. Shown to whoever may reach the probe address. */
  check(): string | undefined;
}

interface MetricsSource {
  readonly contentType: string;
  /** Prometheus' text format. */
  text(): Promise<string>;
}

export interface ProbeRoutesOptions {
  /** Failing: the process is stuck and is to be restarted. */
  readonly liveness: readonly HealthCheck[];
  /** Failing: the process is to get no requests at present. */
  readonly readiness: readonly HealthCheck[];
  readonly metrics: MetricsSource;
}

export const PROBE_PATHS = { liveness: "/livez", readiness: "/readyz", metrics: "/metrics" } as const;

/** `/readyz` fails with the check `shutdown` from the moment the server is told to stop. */
export function probeRoutes(options: ProbeRoutesOptions): Routes {
  return (app, stopping) => {
    const shutdown: HealthCheck = {
      name: "shutdown",
      check: () => (stopping.aborted ? "the process is stopping" : undefined),
    };
    const probe = (url: string, checks: readonly HealthCheck[]): void => {
      app.route({
        method: ["GET", "HEAD"],
        url,
        handler: (request, reply) => answerProbe(request, reply, checks),
      });
    };
    probe(PROBE_PATHS.liveness, options.liveness);
    probe(PROBE_PATHS.readiness, [...options.readiness, shutdown]);
    app.route({
      method: ["GET", "HEAD"],
      url: PROBE_PATHS.metrics,
      handler: async (_request, reply) => {
        const text = await options.metrics.text();
        return reply.header("content-type", options.metrics.contentType).send(text);
      },
    });
  };
}

function answerProbe(
  request: FastifyRequest,
  reply: FastifyReply,
  checks: readonly HealthCheck[],
): FastifyReply {
  const results = checks.map((check) => ({ name: check.name, problem: run(check) }));
  const isHealthy = results.every((result) => result.problem === undefined);
  reply
    .code(isHealthy ? 200 : 503)
    .header("content-type", "text/plain; charset=utf-8")
    .header("cache-control", "no-store");
  if (isHealthy && !isVerbose(request)) return reply.send("ok");
  const lines = results.map(({ name, problem }) =>
    problem === undefined ? `[+]${name} ok` : `[-]${name} failed: ${problem.replaceAll(/\s+/g, " ")}`,
  );
  const summary = `${request.routeOptions.url?.slice(1)} check ${isHealthy ? "passed" : "failed"}`;
  return reply.send(`${[...lines, summary].join("\n")}\n`);
}

function run(check: HealthCheck): string | undefined {
  try {
    return check.check();
  } catch (error) {
    return messageOf(error);
  }
}

function isVerbose(request: FastifyRequest): boolean {
  const { query } = request;
  return typeof query === "object" && query !== null && "verbose" in query;
}
