/** Builders for servers under test: real sockets on free ports. */

import { seconds } from "../../../src/core/brand.ts";
import { systemClock } from "../../../src/core/clock.ts";
import {
  discoveryRoutes,
  type PublishedDocument,
  type PublishedDocuments,
  publishedDocument,
} from "../../../src/http/discovery-routes.ts";
import { HttpServer, type HttpServerOptions } from "../../../src/http/server.ts";

export interface FakeDocuments extends PublishedDocuments {
  current: Readonly<Record<"discovery" | "jwks" | "bundle", PublishedDocument | undefined>>;
}

export function fakeDocuments(): FakeDocuments {
  return {
    current: {
      discovery: publishedDocument('{"issuer":"https://meshid.example"}'),
      jwks: publishedDocument('{"keys":[]}'),
      bundle: publishedDocument('{"keys":[],"note":"größer"}'),
    },
    maxAge: seconds(60),
    discovery() {
      return this.current.discovery;
    },
    jwks() {
      return this.current.jwks;
    },
    bundle() {
      return this.current.bundle;
    },
  };
}

/** Plain HTTP with the documents unless told otherwise. */
export function makeServer(options: Partial<HttpServerOptions> = {}): HttpServer {
  return new HttpServer({
    host: "127.0.0.1",
    port: 0,
    clock: systemClock,
    routes: discoveryRoutes(fakeDocuments()),
    ...options,
  });
}

/** A started server. */
export async function startServer(
  options: Partial<HttpServerOptions> = {},
  signal: AbortSignal = new AbortController().signal,
): Promise<HttpServer> {
  const server = makeServer(options);
  await server.start(signal);
  return server;
}
