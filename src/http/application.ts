/**
 * What all routes of a listener have in common: only GET and HEAD, no request body, small JSON errors, a record of
 * each request.
 */

import { type Server, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import { type Milliseconds, milliseconds } from "../core/brand.ts";
import { type ErrorResponse, errorResponse, faultResponse, type HttpFaultCode } from "./error-response.ts";

/** One answered request; nothing in it was chosen freely by the client. */
export interface ServedRequest {
  readonly requestId: string;
  readonly method: string;
  /** The pattern of the route; `*` where none matched. */
  readonly route: string;
  readonly status: number;
  readonly duration: Milliseconds;
}

/** What the outside wants to know of the server: for logs. */
export interface HttpObserver {
  requestServed(request: ServedRequest): void;
  /** A request or the listener itself failed through a fault of ours. */
  requestFailed(error: unknown): void;
}

/** Adds routes; `stopping` aborts when the server has been told to stop but still answers. */
export type Routes = (app: FastifyInstance, stopping: AbortSignal) => void;

/** Ends a request without its route: small JSON that no cache keeps. */
export function refuse(reply: FastifyReply, code: HttpFaultCode): FastifyReply {
  return sendError(reply, faultResponse(code));
}

function sendError(reply: FastifyReply, response: ErrorResponse): FastifyReply {
  return reply
    .code(response.status)
    .header("content-type", "application/json; charset=utf-8")
    .header("cache-control", "no-store")
    .send(response.body);
}

/** Routes requests of `server`, which its caller made and opens and closes. */
export function createApp(server: Server): FastifyInstance {
  const app: FastifyInstance = fastify({
    serverFactory: (handler) => {
      server.on("request", handler);
      // The default would invite a body that nobody reads.
      server.on("checkContinue", handler);
      return server;
    },
    logger: false,
    bodyLimit: 1,
    exposeHeadRoutes: false,
    requestIdHeader: false,
    clientErrorHandler: answerClientError,
    frameworkErrors: (error, _request, reply) => {
      sendError(reply, errorResponse(error));
    },
  });
  return app;
}

/** To be called before routes are added: the hooks apply to those that follow. */
export function addHooks(
  app: FastifyInstance,
  stopping: AbortSignal,
  observer: HttpObserver | undefined,
): void {
  const paths = new Set<string>();
  app.addHook("onRoute", (route) => void paths.add(route.url));
  app.addHook("onRequest", (request, reply, done) => {
    reply.header("x-content-type-options", "nosniff");
    if (hasBody(request)) reply.header("connection", "close");
    if (!request.is404) return done();
    // Before the body is looked at: what may not be sent is not parsed either.
    if (!paths.has(decodedPath(request.url))) return refuse(reply, "NOT_FOUND");
    return refuse(reply.header("allow", "GET, HEAD"), "METHOD_NOT_ALLOWED");
  });
  app.addHook("onSend", (_request, reply, payload, done) => {
    if (stopping.aborted || !app.server.listening) reply.header("connection", "close");
    done(null, payload);
  });
  app.setErrorHandler((error, _request, reply) => {
    const response = errorResponse(error);
    if (response.status >= 500) observer?.requestFailed(error);
    return sendError(reply, response);
  });
  app.addHook("onResponse", (request, reply, done) => {
    observer?.requestServed({
      requestId: request.id,
      method: request.method,
      route: request.routeOptions.url ?? "*",
      status: reply.statusCode,
      duration: milliseconds(reply.elapsedTime),
    });
    done();
  });
}

function hasBody(request: FastifyRequest): boolean {
  const { headers } = request;
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}

function decodedPath(url: string): string {
  const path = url.split("?", 1)[0] ?? "";
  try {
    // As the router does: an escaped slash is no slash.
    return decodeURI(path);
  } catch {
    return path;
  }
}

/** Answers what is no HTTP request, where it can be answered, and closes the connection. */
function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  const fault = clientFaultOf(error.code ?? "");
  if (fault === undefined || !socket.writable) {
    socket.destroy();
    return;
  }
  const { status, body } = faultResponse(fault);
  socket.write(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Error"}\r\nContent-Type: application/json; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
  socket.destroySoon();
}

function clientFaultOf(code: string): HttpFaultCode | undefined {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return "REQUEST_TIMEOUT";
  if (code === "HPE_HEADER_OVERFLOW") return "HEADERS_TOO_LARGE";
  return code.startsWith("HPE_") ? "BAD_REQUEST" : undefined;
}
