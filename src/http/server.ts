/**
 * One listening address: HTTPS with a certificate that can be exchanged while connections stay open, or plain HTTP.
 * It answers GET and HEAD only and reads no request body.
 */

import { createServer as createHttpServer, type Server as PlainServer, type ServerOptions } from "node:http";
import { createServer as createHttpsServer, Server as TlsServer } from "node:https";
import type { FastifyInstance } from "fastify";
import { type Clock, throwIfAborted } from "../core/clock.ts";
import { messageOf, OperatorError } from "../core/errors.ts";
import { addHooks, createApp, type HttpObserver, type Routes } from "./application.ts";
import { Connections } from "./connections.ts";
import { DEFAULT_LIMITS, type ServerLimits } from "./limits.ts";
import { secureContextOptions, type TlsCredentials } from "./tls.ts";

export interface ListenAddress {
  /** A name or an address, IPv6 without brackets. */
  readonly host: string;
  /** 0 = any free port; `address()` tells which. */
  readonly port: number;
}

export interface HttpServerOptions extends ListenAddress {
  /** Absent = plain HTTP. */
  readonly tls?: TlsCredentials;
  readonly routes: Routes;
  readonly clock: Clock;
  readonly observer?: HttpObserver;
  readonly limits?: Partial<ServerLimits>;
}

/**
 * After `start`'s signal aborts the server still answers (readiness says no, connections are closed after their
 * response); disposal stops listening, lets open requests end within `limits.drain`, and then cuts what is left.
 */
export class HttpServer implements AsyncDisposable {
  readonly #options: HttpServerOptions;
  readonly #limits: ServerLimits;
  readonly #connections = new Connections();
  #server: PlainServer | undefined;
  #app: FastifyInstance | undefined;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
  }

  /** Listens when it returns. @throws INVALID_CONFIGURATION (address in use or unusable, bad TLS credentials), ABORTED. */
  async start(signal: AbortSignal): Promise<void> {
    if (this.#app !== undefined) throw new TypeError("start: the server was started before");
    throwIfAborted(signal);
    const server = this.#createServer();
    this.#connections.track(server, this.#limits.connections);
    const app = createApp(server);
    this.#app = app;
    addHooks(app, signal, this.#options.observer);
    this.#options.routes(app, signal);
    await app.ready();
    await listen(server, this.#options);
    this.#server = server;
    server.on("error", (error) => this.#options.observer?.requestFailed(error));
  }

  /** Where it listens, with the real port. @throws TypeError when it does not. */
  address(): ListenAddress {
    const address = this.#server?.address();
    if (address === undefined || address === null || typeof address === "string") {
      throw new TypeError("address: the server is not listening");
    }
    return { host: address.address, port: address.port };
  }

  /**
   * New connections get these credentials, open ones keep theirs.
   * @throws INVALID_CONFIGURATION when they are unusable; then the old ones stay.
   */
  reload(credentials: TlsCredentials): void {
    if (!(this.#server instanceof TlsServer)) throw new TypeError("reload: the server does not serve TLS");
    this.#server.setSecureContext(secureContextOptions(credentials));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) {
      await this.#connections.drain(server, this.#options.clock, this.#limits.drain);
    }
    await this.#app?.close();
  }

  #createServer(): PlainServer {
    const limits = this.#limits;
    const common: ServerOptions = {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headers,
      requestTimeout: limits.request,
      keepAliveTimeout: limits.idle,
      connectionsCheckingInterval: limits.check,
    };
    const { tls } = this.#options;
    const server =
      tls === undefined
        ? createHttpServer(common)
        : createHttpsServer({
            ...common,
            ...secureContextOptions(tls),
            handshakeTimeout: limits.handshake,
          });
    // Those that have lost their place take a moment to go.
    server.maxConnections = 2 * limits.connections;
    server.maxRequestsPerSocket = limits.requestsPerConnection;
    server.timeout = limits.idle;
    return server;
  }
}

/** `[::1]:8443` */
export function formatAddress(address: ListenAddress): string {
  return `${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`;
}

async function listen(server: PlainServer, address: ListenAddress): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  // Without a host the engine takes all addresses, and does so too where the kernel has no IPv6.
  const { host, port } = address;
  server.listen(host === "::" ? { port } : { host, port }, resolve);
  try {
    await promise;
  } catch (error) {
    throw new OperatorError(
      "INVALID_CONFIGURATION",
      `listening on ${formatAddress(address)}: ${listenProblem(error)}`,
      { cause: error, details: { address: formatAddress(address) } },
    );
  } finally {
    server.off("error", reject);
  }
}

function listenProblem(error: unknown): string {
  switch (codeOf(error)) {
    case "EADDRINUSE":
      return "the address is in use by another process";
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return "the host is not an address of this machine";
    case "EACCES":
      return "this user may not listen on that port";
    default:
      return messageOf(error);
  }
}

function codeOf(error: unknown): unknown {
  return typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
}
