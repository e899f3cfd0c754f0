/**
 * Requests to an API server over kept-alive connections (`node:https`): a pool for everything, a pool for the Lease, a
 * socket for each watch. HTTP/1.1, so that `--goaway-chance` of the server, which is for HTTP/2, never touches them.
 */

import type { IncomingMessage } from "node:http";
import { Agent, type AgentOptions, request as httpsRequest, type RequestOptions } from "node:https";
import type { Socket } from "node:net";
import { type Milliseconds, milliseconds } from "../core/brand.ts";
import { type Clock, throwIfAborted } from "../core/clock.ts";
import { messageOf, OperatorError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import { unlessAborted } from "../core/unless-aborted.ts";
import {
  type KubeClient,
  type KubeRequest,
  type KubeResponse,
  TOO_LARGE,
  type WatchEvent,
} from "./client.ts";
import type { Connection, Credentials } from "./connection.ts";
import { KubeApiError } from "./errors.ts";
import { readLines } from "./watch-lines.ts";

/**
 * Told of each attempt that was answered, or failed (`<error>`, as client-go calls it). Of a watch, its opening is told.
 */
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
/** TCP keep-alive of watches: a peer that vanished is noticed within two minutes. */
const PROBE = milliseconds(30_000);
/** A watch without a word for longer than this, bookmarks included, is dead. */
const WATCH_SILENCE = milliseconds(180_000);
/** A reason of our own: without one the engine makes an exception with a stack, a twentieth of the cost of a request. */
const IN_TIME = "in time";
const DEFAULT_RETRY_AFTER = 1;
/** Seconds: who is told to come back at once (0, or nothing at all) would come back thousands of times. */
const MIN_RETRY_AFTER = 0.5;
const MAX_RETRY_AFTER = 30;
/** A single object has 8 MiB at most, control characters escaped; a page is asked for anew with fewer (`TOO_LARGE`). */
const MAX_BODY = 16 * 1024 * 1024;
/** The connection broke, or there was none. */
const BROKEN = new Set(["ECONNRESET", "ECONNABORTED", "EPIPE", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN"]);

interface Pools {
  readonly id: string;
  readonly default: Agent;
  readonly lease: Agent;
}

/** What ends a request from outside: the caller, or its deadline. */
interface Until {
  readonly signal: AbortSignal;
  readonly limit: AbortSignal;
}

export class Transport implements KubeClient {
  readonly #options: TransportOptions;
  #pools: Pools | undefined;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  async request<T>(request: KubeRequest, signal: AbortSignal): Promise<KubeResponse<T>> {
    const { clock } = this.#options;
    const length = request.deadline ?? DEADLINE;
    const deadline = clock.monotonic() + length;
    using limit = this.#limit(length);
    let isRejected = false;
    for (let attempt = 1; ; attempt++) {
      throwIfAborted(signal);
      let wait: Milliseconds;
      try {
        return await this.#attempt<T>(request, isRejected, { signal, limit: limit.signal });
      } catch (error) {
        const next = this.#retryAfter(error, request, { attempt, wasRejected: isRejected });
        const isOver = signal.aborted || limit.signal.aborted;
        if (next === undefined || isOver || clock.monotonic() + next > deadline) throw error;
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
    throwIfAborted(signal);
    const full: KubeRequest = { ...request, method: "GET" };
    const response = await this.#openWatch(full, signal);
    const closeOnAbort = (): void => void response.destroy();
    signal.addEventListener("abort", closeOnAbort, { once: true });
    response.setTimeout(WATCH_SILENCE, closeOnAbort);
    try {
      throwIfAborted(signal);
      for await (const line of readLines(response)) yield JSON.parse(line) as WatchEvent;
      // A connection that was closed by us ends without an error.
      throwIfAborted(signal);
    } catch (error) {
      throwIfAborted(signal);
      throw error instanceof OperatorError ? error : unreachableServer(error, full);
    } finally {
      signal.removeEventListener("abort", closeOnAbort);
      response.destroy();
    }
  }

  /** Closes all connections but those of watches, which end with their signal. What is under way fails. */
  close(): void {
    this.#pools?.default.destroy();
    this.#pools?.lease.destroy();
    this.#pools = undefined;
  }

  async #attempt<T>(request: KubeRequest, isRejected: boolean, until: Until): Promise<KubeResponse<T>> {
    return this.#observed(request, until, async (answered) => {
      const credentials = await this.#credentials(request, isRejected, until);
      const agent = this.#poolsFor(credentials)[request.lane ?? "default"];
      const response = await this.#send(request, { credentials, agent, until });
      const status = answered(response);
      const text = await readBody(response);
      if (status >= 400) throw apiError(response, text, request);
      const { date } = response.headers;
      return { status, body: parse(text, request) as T, ...(date === undefined ? {} : { date }) };
    });
  }

  /** The answer with its head read; its events are still to come. */
  async #openWatch(request: KubeRequest, signal: AbortSignal): Promise<IncomingMessage> {
    using limit = this.#limit(DEADLINE);
    const until = { signal, limit: limit.signal };
    return await this.#observed(request, until, async (answered) => {
      const credentials = await this.#credentials(request, false, until);
      const agent = new Agent({ ...tlsOptions(credentials), keepAlive: false, maxCachedSessions: 0 });
      const response = await this.#send(request, { credentials, agent, until });
      const status = answered(response);
      if (status < 400) {
        response.socket.setKeepAlive(true, PROBE);
        return response;
      }
      // Who opens it anew does it with a token that was read again.
      if (status === 401) await this.#credentials(request, true, until);
      throw apiError(response, await readBody(response), request);
    });
  }

  /** As long as the request may take and no longer: a plugin of a kubeconfig may hang. */
  async #credentials(request: KubeRequest, isRejected: boolean, until: Until): Promise<Credentials> {
    const asked = this.#options.connection.credentials(isRejected);
    const credentials = await unlessAborted(asked, until.signal, until.limit);
    if (credentials !== undefined) return credentials;
    throwIfAborted(until.signal);
    throw unreachableServer(new Error("deadline exceeded, the kubeconfig gave no credentials"), request);
  }

  async #observed<R>(
    request: KubeRequest,
    { signal, limit }: Until,
    send: (answered: (response: IncomingMessage) => number) => Promise<R>,
  ): Promise<R> {
    const { connection, clock, observe } = this.#options;
    const started = clock.monotonic();
    let code = "<error>";
    try {
      return await send(({ statusCode = 0 }) => {
        code = String(statusCode);
        return statusCode;
      });
    } catch (error) {
      if (error instanceof OperatorError) throw error;
      throwIfAborted(signal);
      throw unreachableServer(limit.aborted ? new Error("deadline exceeded") : error, request);
    } finally {
      const seconds = (clock.monotonic() - started) / 1000;
      observe?.({ method: request.method, code, host: connection.server.host, seconds });
    }
  }

  /** A signal that aborts when `length` is over, unless the scope has ended. */
  #limit(length: Milliseconds): Disposable & { readonly signal: AbortSignal } {
    const limit = new AbortController();
    const scope = new AbortController();
    const over = this.#options.clock.sleep(length, scope.signal);
    void over.then(() => scope.signal.aborted || limit.abort());
    return { signal: limit.signal, [Symbol.dispose]: () => scope.abort(IN_TIME) };
  }

  /** Resolves with the head of the answer. */
  #send(
    request: KubeRequest,
    {
      credentials,
      agent,
      until,
    }: { readonly credentials: Credentials; readonly agent: Agent; readonly until: Until },
  ): Promise<IncomingMessage> {
    const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body));
    const options = { ...this.#requestOptions(request, credentials, body), agent };
    return new Promise((resolve, reject) => {
      request.fence?.();
      const outgoing = httpsRequest(options);
      const signals = [until.signal, until.limit];
      const settle = (): void => {
        for (const signal of signals) signal.removeEventListener("abort", stop);
      };
      const fail = (error: Error): void => {
        settle();
        reject(error);
      };
      const stop = (): void => {
        const error = new Error("given up");
        outgoing.destroy(error);
        // A request that still waits for a socket says so only when it gets one.
        fail(error);
      };
      for (const signal of signals) {
        if (signal.aborted) stop();
        signal.addEventListener("abort", stop, { once: true });
      }
      const send = (): void => {
        try {
          // Again: it may have waited long for one of the sockets, or for its handshake.
          request.fence?.();
          outgoing.end(body);
        } catch (error) {
          outgoing.destroy(error as Error);
        }
      };
      outgoing.once("socket", (socket) => {
        // One that was made for a request which was given up has gone to the pool, and may have ended its handshake there.
        const { secureConnecting } = socket as Socket & { readonly secureConnecting?: boolean };
        if (secureConnecting === true) socket.once("secureConnect", send);
        else send();
      });
      outgoing.on("response", (response) => {
        // Until the body is read the signals still count; a watch takes its own from here.
        if (request.query?.["watch"] === "true" && response.statusCode === 200) settle();
        else response.once("close", settle);
        resolve(response);
      });
      outgoing.on("error", fail);
    });
  }

  #requestOptions(
    request: KubeRequest,
    { bearer, servername, impersonate }: Credentials,
    body: Buffer | undefined,
  ): RequestOptions {
    const { connection, userAgent } = this.#options;
    const { hostname, port, pathname } = connection.server;
    const query = new URLSearchParams(request.query).toString();
    return {
      method: request.method,
      host: hostname.replace(/^\[|\]$/g, ""),
      port: port || 443,
      path: `${pathname.replace(/\/$/, "")}${request.path}${query === "" ? "" : `?${query}`}`,
      ...(servername === undefined ? {} : { servername }),
      headers: {
        accept: request.accept ?? "application/json",
        "user-agent": userAgent,
        ...(impersonate === undefined ? {} : { "impersonate-user": impersonate }),
        ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer.reveal()}` }),
        ...(body === undefined
          ? {}
          : { "content-type": request.contentType ?? "application/json", "content-length": body.byteLength }),
      },
    };
  }

  #poolsFor(credentials: Credentials): Pools {
    if (this.#pools?.id === credentials.id) return this.#pools;
    // What is under way on the old ones is not disturbed.
    for (const old of [this.#pools?.default, this.#pools?.lease]) retire(old);
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

/** Closes what is idle; what is busy closes when its answer is read. */
function retire(agent: Agent | undefined): void {
  if (agent === undefined) return;
  (agent as Agent & { keepAlive: boolean }).keepAlive = false;
  for (const sockets of Object.values(agent.freeSockets))
    for (const socket of sockets ?? []) socket.destroy();
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
    if (size > MAX_BODY) {
      const tooLarge = new Error(`an answer of more than ${MAX_BODY} bytes`);
      throw Object.assign(tooLarge, { code: TOO_LARGE });
    }
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
    return Math.min(MAX_RETRY_AFTER, Math.max(MIN_RETRY_AFTER, header));
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
