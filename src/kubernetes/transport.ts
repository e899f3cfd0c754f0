/**
 * Requests to an API server over kept-alive connections (`node:https`): a pool for everything, a pool for the Lease, a
 * socket for each watch.
 */

import type { IncomingMessage } from "node:http";
import { Agent, type AgentOptions, request as httpsRequest, type RequestOptions } from "node:https";
import { type Milliseconds, milliseconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";
import { throwIfAborted } from "../core/clock.ts";
import { messageOf, OperatorError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import type { KubeClient, KubeRequest, KubeResponse, WatchEvent } from "./client.ts";
import type { Connection, Credentials } from "./connection.ts";
import { KubeApiError } from "./errors.ts";
import { readLines } from "./watch-lines.ts";

/** Told of each attempt that was answered, or failed (`<error>`, as client-go calls it). */
export type RequestObserver = (attempt: {
  readonly method: string;
  readonly code: string;
  readonly host: string;
  readonly seconds: number;
}) => void;

export interface TransportOptions {
  readonly connection: Connection;
  readonly clock: Clock;
  readonly random: Random;
  /** Sent as User-Agent, such as `meshid/0.1.0`. */
  readonly userAgent: string;
  readonly observe?: RequestObserver;
}

const DEADLINE: Milliseconds = milliseconds(30_000);
/** The API server closes an idle connection after 90 s. */
const IDLE = milliseconds(60_000);
const SOCKETS = { default: 16, lease: 2 } as const;
/** A watch without a word for longer than this, bookmarks included, is dead. */
const WATCH_SILENCE = milliseconds(180_000);
const DEFAULT_RETRY_AFTER = 1;
const MAX_RETRY_AFTER = 30;
const MAX_BODY = 64 * 1024 * 1024;
const BROKEN = new Set(["ECONNRESET", "EPIPE", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN", "UND_ERR_SOCKET"]);

interface Pools {
  readonly id: string;
  readonly default: Agent;
  readonly lease: Agent;
}

export class Transport implements KubeClient {
  readonly #options: TransportOptions;
  #pools: Pools | undefined;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  async request<T>(request: KubeRequest, signal: AbortSignal): Promise<KubeResponse<T>> {
    const { clock } = this.#options;
    const deadline = clock.monotonic() + (request.deadline ?? DEADLINE);
    let isRejected = false;
    for (let attempt = 1; ; attempt++) {
      throwIfAborted(signal);
      const left = Math.max(1, Math.ceil(deadline - clock.monotonic()));
      const limit = AbortSignal.timeout(left);
      let wait: Milliseconds;
      try {
        return await this.#attempt<T>(request, { isRejected, limit, signal });
      } catch (error) {
        const next = this.#retryAfter(error, request, { attempt, wasRejected: isRejected });
        if (next === undefined || signal.aborted || clock.monotonic() + next > deadline) throw error;
        isRejected = error instanceof KubeApiError && error.status === 401;
        wait = next;
      }
      await clock.sleep(wait, signal);
    }
  }

  async *watch(
    request: Pick<KubeRequest, "path" | "query" | "accept">,
    signal: AbortSignal,
  ): AsyncIterable<WatchEvent> {
    const limit = AbortSignal.timeout(DEADLINE);
    const credentials = await this.#options.connection.credentials(false);
    const full: KubeRequest = { ...request, method: "GET" };
    const response = await this.#send(full, credentials, {
      agent: new Agent({ ...tlsOptions(credentials), keepAlive: false, maxCachedSessions: 0 }),
      until: [signal, limit],
    });
    const closeOnAbort = (): void => void response.destroy();
    signal.addEventListener("abort", closeOnAbort, { once: true });
    response.socket.setKeepAlive(true, 30_000);
    response.setTimeout(WATCH_SILENCE, closeOnAbort);
    try {
      if ((response.statusCode ?? 0) >= 400) {
        if (response.statusCode === 401) await this.#options.connection.credentials(true);
        throw apiError(response, await readBody(response), full);
      }
      for await (const line of readLines(response)) yield JSON.parse(line) as WatchEvent;
    } catch (error) {
      throwIfAborted(signal);
      throw error instanceof OperatorError ? error : unreachableServer(error, full);
    } finally {
      signal.removeEventListener("abort", closeOnAbort);
      response.destroy();
    }
  }

  /** Closes the idle connections; what is under way ends by itself. */
  close(): void {
    this.#pools?.default.destroy();
    this.#pools?.lease.destroy();
    this.#pools = undefined;
  }

  async #attempt<T>(
    request: KubeRequest,
    {
      isRejected,
      limit,
      signal,
    }: { readonly isRejected: boolean; readonly limit: AbortSignal; readonly signal: AbortSignal },
  ): Promise<KubeResponse<T>> {
    const { connection, clock, observe } = this.#options;
    const started = clock.monotonic();
    let code = "<error>";
    try {
      const credentials = await connection.credentials(isRejected);
      const agent = this.#poolsFor(credentials)[request.lane ?? "default"];
      const response = await this.#send(request, credentials, { agent, until: [signal, limit] });
      code = String(response.statusCode ?? 0);
      const text = await readBody(response);
      if ((response.statusCode ?? 0) >= 400) throw apiError(response, text, request);
      const { date } = response.headers;
      const body = parse(text, request) as T;
      return { status: response.statusCode ?? 0, body, ...(date === undefined ? {} : { date }) };
    } catch (error) {
      if (error instanceof OperatorError) throw error;
      throwIfAborted(signal);
      throw unreachableServer(error, request);
    } finally {
      const seconds = (clock.monotonic() - started) / 1000;
      observe?.({ method: request.method, code, host: connection.server.host, seconds });
    }
  }

  /** Resolves with the head of the answer. */
  #send(
    request: KubeRequest,
    credentials: Credentials,
    { agent, until }: { readonly agent: Agent; readonly until: readonly AbortSignal[] },
  ): Promise<IncomingMessage> {
    const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body));
    const { connection, userAgent } = this.#options;
    const { hostname, port, pathname } = connection.server;
    const query = new URLSearchParams(request.query).toString();
    const options: RequestOptions = {
      method: request.method,
      host: hostname.replace(/^\[|\]$/g, ""),
      port: port || 443,
      path: `${pathname.replace(/\/$/, "")}${request.path}${query === "" ? "" : `?${query}`}`,
      agent,
      headers: {
        accept: request.accept ?? "application/json",
        "user-agent": userAgent,
        ...(credentials.bearer === undefined
          ? {}
          : { authorization: `Bearer ${credentials.bearer.reveal()}` }),
        ...(body === undefined
          ? {}
          : { "content-type": request.contentType ?? "application/json", "content-length": body.byteLength }),
      },
    };
    return new Promise((resolve, reject) => {
      request.fence?.();
      const outgoing = httpsRequest(options);
      const stop = (): void => void outgoing.destroy(timeoutError(until));
      const settle = (): void => {
        for (const signal of until) signal.removeEventListener("abort", stop);
      };
      for (const signal of until) {
        if (signal.aborted) stop();
        signal.addEventListener("abort", stop, { once: true });
      }
      outgoing.on("response", (response) => {
        // Until the body is read the signals still count; a watch takes its own from here.
        response.once("close", settle);
        if (request.query?.["watch"] === "true") settle();
        resolve(response);
      });
      outgoing.on("error", (error) => {
        settle();
        reject(error);
      });
      outgoing.end(body);
    });
  }

  #poolsFor(credentials: Credentials): Pools {
    if (this.#pools?.id === credentials.id) return this.#pools;
    this.close();
    const pool = (maxSockets: number): Agent =>
      new Agent({
        ...tlsOptions(credentials),
        keepAlive: true,
        timeout: IDLE,
        maxSockets,
        scheduling: "lifo",
      });
    this.#pools = { id: credentials.id, default: pool(SOCKETS.default), lease: pool(SOCKETS.lease) };
    return this.#pools;
  }

  /** How long to wait before the next attempt; undefined: there is none. */
  #retryAfter(
    error: unknown,
    request: KubeRequest,
    { attempt, wasRejected }: { readonly attempt: number; readonly wasRejected: boolean },
  ): Milliseconds | undefined {
    if (error instanceof KubeApiError) {
      if (error.status === 401) return wasRejected ? undefined : milliseconds(0);
      if (error.retryAfter === undefined) return undefined;
      return milliseconds(error.retryAfter * 1000 * (1 + this.#options.random.uniform() / 4));
    }
    // A connection that broke before the answer: the same request again does no harm where it replaces or only reads.
    const isSafe = request.method === "GET" || request.contentType === "application/apply-patch+yaml";
    const isBroken = error instanceof OperatorError && BROKEN.has(String(error.details["errno"]));
    if (!isSafe || !isBroken || attempt > 2) return undefined;
    return milliseconds(attempt === 1 ? 0 : 200 * (1 + this.#options.random.uniform()));
  }
}

function tlsOptions({ ca, cert, key, isInsecure }: Credentials): AgentOptions {
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key: key.reveal() }),
    ...(isInsecure ? { rejectUnauthorized: false } : {}),
  };
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.byteLength;
    if (size > MAX_BODY) throw new Error(`an answer of more than ${MAX_BODY} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parse(text: string, request: KubeRequest): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw unreachableServer(cause, request);
  }
}

function apiError(response: IncomingMessage, text: string, { method, path }: KubeRequest): KubeApiError {
  const status = response.statusCode ?? 0;
  let answer: { readonly reason?: unknown; readonly message?: unknown } = {};
  try {
    answer = JSON.parse(text) as typeof answer;
  } catch {
    // A proxy's page, or nothing.
  }
  const reason = typeof answer.reason === "string" ? answer.reason : "";
  const said = typeof answer.message === "string" ? answer.message.slice(0, 1000) : `HTTP ${status}`;
  const retryAfter = retryAfterOf(response, status);
  return new KubeApiError(status, reason, `${method} ${path}: ${said}`, retryAfter);
}

/** Seconds; only where the server says that it did nothing and will do it later. */
function retryAfterOf(response: IncomingMessage, status: number): number | undefined {
  const header = Number(response.headers["retry-after"]);
  if (Number.isFinite(header) && (status === 429 || status >= 500))
    return Math.min(MAX_RETRY_AFTER, Math.max(0, header));
  return status === 429 ? DEFAULT_RETRY_AFTER : undefined;
}

function unreachableServer(cause: unknown, { method, path }: KubeRequest): OperatorError {
  const errno =
    typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "failed";
  return new OperatorError(
    "STORAGE_FAILED",
    `${method} ${path}: no answer from the API server (${messageOf(cause)})`,
    {
      retryable: true,
      cause,
      details: { errno },
    },
  );
}

function timeoutError(until: readonly AbortSignal[]): Error {
  const [signal] = until;
  return signal?.aborted === true ? new Error("stopping") : new Error("deadline exceeded");
}
