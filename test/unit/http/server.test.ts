import { createServer, STATUS_CODES } from "node:http";
import { describe, expect, it } from "@jest/globals";
import { milliseconds } from "../../../src/core/brand.ts";
import {
  isOperatorError,
  type OperatorError,
  OperatorError as OperatorErrorClass,
} from "../../../src/core/errors.ts";
import { Secret } from "../../../src/core/secret.ts";
import type { Routes, ServedRequest } from "../../../src/http/application.ts";
import { DISCOVERY_PATHS } from "../../../src/http/discovery-routes.ts";
import { formatAddress } from "../../../src/http/server.ts";
import { openPlain, openTls } from "../../support/http/raw-client.ts";
import { selfSigned } from "../../support/http/self-signed.ts";
import { makeServer, startServer } from "../../support/http/servers.ts";

const JWKS = DISCOVERY_PATHS.jwks;
const first = selfSigned("first");
const second = selfSigned("second");

async function rejection(promise: Promise<unknown>): Promise<OperatorError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!isOperatorError(error)) throw new Error(`expected an OperatorError, got ${String(error)}`);
  return error;
}

describe("HttpServer over TLS", () => {
  it("shows new credentials to new connections and keeps the open ones", async () => {
    await using server = await startServer({ tls: first });
    using old = await openTls(server.address());
    expect((await old.get(JWKS)).status).toBe(200);
    server.reload(second);
    using fresh = await openTls(server.address());
    expect([old.peer, fresh.peer]).toEqual(["first", "second"]);
    expect((await fresh.get(JWKS)).status).toBe(200);
    expect((await old.get(JWKS)).status).toBe(200);
  });

  it.each([
    ["a key of another certificate", { chain: first.chain, key: second.key }],
    ["no certificate", { chain: "", key: first.key }],
    ["no key", { chain: first.chain, key: new Secret("") }],
    ["an unreadable key", { chain: first.chain, key: new Secret("canary") }],
  ])("refuses to reload %s and goes on with the old credentials", async (_what, credentials) => {
    await using server = await startServer({ tls: first });
    let thrown: unknown;
    try {
      server.reload(credentials);
    } catch (error) {
      thrown = error;
    }
    expect(isOperatorError(thrown, "INVALID_CONFIGURATION")).toBe(true);
    using connection = await openTls(server.address());
    expect([connection.peer, (await connection.get(JWKS)).status]).toEqual(["first", 200]);
  });

  it("does not start with credentials that are no pair", async () => {
    await using server = makeServer({ tls: { chain: first.chain, key: second.key } });
    expect((await rejection(server.start(new AbortController().signal))).code).toBe("INVALID_CONFIGURATION");
  });

  it.each([
    ["TLS 1.1", { maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" }],
    ["a CBC suite", { maxVersion: "TLSv1.2", ciphers: "ECDHE-RSA-AES128-SHA" }],
    ["a suite without forward secrecy", { maxVersion: "TLSv1.2", ciphers: "AES128-GCM-SHA256" }],
  ] as const)("refuses %s", async (_what, options) => {
    await using server = await startServer({ tls: first });
    await expect(openTls(server.address(), options)).rejects.toThrow();
  });

  it("accepts TLS 1.2 with forward secrecy", async () => {
    await using server = await startServer({ tls: first });
    using connection = await openTls(server.address(), { maxVersion: "TLSv1.2" });
    expect((await connection.get(JWKS)).status).toBe(200);
  });

  it("survives a client that speaks plain HTTP to it", async () => {
    await using server = await startServer({ tls: first });
    using plain = await openPlain(server.address());
    plain.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await plain.closed();
    using connection = await openTls(server.address());
    expect((await connection.get(JWKS)).status).toBe(200);
  });
});

describe("HttpServer's refusals", () => {
  it.each(["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "TRACE"])(
    "answers %s on a known path with 405 and what is allowed",
    async (method) => {
      await using server = await startServer();
      using connection = await openPlain(server.address());
      const response = await connection.request(method, `${JWKS}?x=1`);
      expect([response.status, response.headers["allow"]]).toEqual([405, "GET, HEAD"]);
      expect(JSON.parse(response.body)).toEqual({
        code: "METHOD_NOT_ALLOWED",
        message: "only GET and HEAD are allowed",
      });
    },
  );

  it.each([
    ["a length", "Content-Length: 5\r\n\r\n"],
    ["chunks", "Transfer-Encoding: chunked\r\n\r\n"],
  ])("answers a GET with a body of %s, reads none of it and closes", async (_what, rest) => {
    await using server = await startServer();
    using connection = await openPlain(server.address());
    connection.write(`GET ${JWKS} HTTP/1.1\r\nHost: x\r\n${rest}`);
    const response = await connection.response();
    expect([response.status, response.headers["connection"]]).toEqual([200, "close"]);
    await connection.closed();
  });

  it("refuses a body by its headers, reads none of it and closes", async () => {
    await using server = await startServer();
    using connection = await openPlain(server.address());
    connection.write(
      `POST ${JWKS} HTTP/1.1\r\nHost: x\r\nContent-Type: text/weird\r\nContent-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n`,
    );
    const response = await connection.response();
    expect([response.status, response.headers["connection"]]).toEqual([405, "close"]);
    await connection.closed();
  });

  it.each([
    "/",
    "/.well-known",
    "/.well-known/",
    `${JWKS}/`,
    `/${JWKS}`,
    "/.well-known//jwks.json",
    "/.WELL-KNOWN/jwks.json",
    "/x/../.well-known/jwks.json",
    "/.well-known/../../etc/passwd",
    "/.well-known/%2e%2e/jwks.json",
    "/.well-known%2Fjwks.json",
    "/.well-known%5Cjwks.json",
    "/.well-known/jwks.json%00",
    "/.well-known/jwks.json;a=b",
    "/readyz",
    "/metrics",
    `/${"a".repeat(4000)}`,
  ])("has nothing at %.60s", async (path) => {
    await using server = await startServer();
    using connection = await openPlain(server.address());
    const response = await connection.get(path);
    expect([response.status, response.body]).toEqual([
      404,
      '{"code":"NOT_FOUND","message":"there is nothing at this path"}\n',
    ]);
  });

  it.each([
    ["no HTTP", "hello\r\n\r\n", 400],
    ["no Host", `GET ${JWKS} HTTP/1.1\r\n\r\n`, 400],
    ["an escape that is none", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400],
    ["a bare line feed in a header", `GET ${JWKS} HTTP/1.1\r\nHost: x\r\na: b\rc: d\r\n\r\n`, 400],
    [
      "two lengths of one body",
      `POST ${JWKS} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
    ],
    ["headers over the limit", `GET ${JWKS} HTTP/1.1\r\nHost: x\r\na: ${"b".repeat(9000)}\r\n\r\n`, 431],
    ["a path over the limit", `GET /${"a".repeat(9000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431],
  ])("answers %s with %3$s and tells nothing of itself", async (_what, text, status) => {
    await using server = await startServer();
    using connection = await openPlain(server.address());
    connection.write(text);
    const response = await connection.response();
    expect([response.status, response.reason]).toEqual([status, STATUS_CODES[status]]);
    expect(JSON.stringify(response)).not.toMatch(/fastify|node|FST_|HPE_|\/src\//i);
  });

  it("gives 408 to a client that never ends its headers, and closes", async () => {
    const short = milliseconds(150);
    await using server = await startServer({ limits: { headers: short, check: milliseconds(50) } });
    using connection = await openPlain(server.address());
    connection.write("GET / HTTP/1.1\r\nHost: x\r\n");
    const drip = setInterval(() => connection.write("a: b\r\n"), 40);
    const response = await connection.response().finally(() => clearInterval(drip));
    expect(response.status).toBe(408);
    await connection.closed();
  });

  it("closes a connection that stays silent", async () => {
    await using server = await startServer({ limits: { idle: milliseconds(100) } });
    using connection = await openPlain(server.address());
    await connection.closed();
    expect(connection.received).toBe("");
  });

  it("gives one connection above the bound the place of the one that has been silent longest", async () => {
    await using server = await startServer({ limits: { connections: 2 } });
    using one = await openPlain(server.address());
    using two = await openPlain(server.address());
    expect((await one.get(JWKS)).status).toBe(200);
    using three = await openPlain(server.address());
    await two.closed();
    expect([(await one.get(JWKS)).status, (await three.get(JWKS)).status]).toEqual([200, 200]);
  });

  it("closes a connection after its last allowed request", async () => {
    await using server = await startServer({ limits: { requestsPerConnection: 2 } });
    using connection = await openPlain(server.address());
    await connection.get(JWKS);
    expect((await connection.get(JWKS)).headers["connection"]).toBe("close");
  });
});

describe("HttpServer under a flood of connections that say nothing", () => {
  it("keeps who has asked something lately, over TLS too", async () => {
    await using server = await startServer({ limits: { connections: 4 }, tls: first });
    using asking = await openTls(server.address());
    const silent: Disposable[] = [];
    const flood = async (): Promise<void> => {
      for (let count = 0; count < 3; count++) silent.push(await openPlain(server.address()));
    };
    for (let times = 0; times < 3; times++) {
      await flood();
      expect((await asking.get(JWKS)).status).toBe(200);
    }
    for (const one of silent) one[Symbol.dispose]();
  });
});

describe("HttpServer's handlers that fail", () => {
  const failing =
    (error: unknown): Routes =>
    (app) => {
      app.get("/fail", async () => {
        throw error;
      });
    };

  it.each([
    [new Error("canary at /secret/path"), 500, "INTERNAL", "internal error"],
    [
      new OperatorErrorClass("STORAGE_FAILED", "reading /secret/canary"),
      503,
      "STORAGE_FAILED",
      "not ready yet; try again shortly",
    ],
    [new OperatorErrorClass("INVALID_INPUT", "audience: missing"), 400, "INVALID_INPUT", "audience: missing"],
  ])("answer %p without a stack or its inner text", async (error, status, code, message) => {
    const failures: unknown[] = [];
    const observer = {
      requestServed: () => {},
      requestFailed: (failed: unknown) => void failures.push(failed),
    };
    await using server = await startServer({ routes: failing(error), observer });
    using connection = await openPlain(server.address());
    const response = await connection.get("/fail");
    expect([response.status, JSON.parse(response.body)]).toEqual([status, { code, message }]);
    expect(failures).toEqual(status >= 500 ? [error] : []);
  });

  it("report each request by its route, never by the path that the client chose", async () => {
    const served: ServedRequest[] = [];
    const observer = {
      requestServed: (one: ServedRequest) => void served.push(one),
      requestFailed: () => {},
    };
    await using server = await startServer({ observer });
    using connection = await openPlain(server.address());
    await connection.get(`${JWKS}?canary`);
    await connection.get("/canary");
    await connection.request("POST", JWKS);
    expect(served.map(({ method, route, status }) => [method, route, status])).toEqual([
      ["GET", JWKS, 200],
      ["GET", "*", 404],
      ["POST", "*", 405],
    ]);
    expect(JSON.stringify(served)).not.toContain("canary");
  });
});

describe("HttpServer's life", () => {
  it("does nothing before start and has no address then", async () => {
    await using server = makeServer();
    expect(() => server.address()).toThrow(TypeError);
  });

  it("names the address that another process holds", async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve));
    try {
      const address = holder.address();
      const port = typeof address === "object" ? (address?.port ?? 0) : 0;
      await using server = makeServer({ port });
      const error = await rejection(server.start(new AbortController().signal));
      expect(error.code).toBe("INVALID_CONFIGURATION");
      expect(error.message).toBe(`listening on 127.0.0.1:${port}: the address is in use by another process`);
    } finally {
      holder.close();
    }
  });

  it("names an address that is not of this machine", async () => {
    await using server = makeServer({ host: "192.0.2.1" });
    const error = await rejection(server.start(new AbortController().signal));
    expect(error.message).toBe("listening on 192.0.2.1:0: the host is not an address of this machine");
  });

  it("does not start when it is to stop already", async () => {
    await using server = makeServer();
    expect((await rejection(server.start(AbortSignal.abort()))).code).toBe("ABORTED");
  });

  it("goes on answering after the signal, closing each connection, until it is disposed of", async () => {
    const stop = new AbortController();
    await using server = await startServer({}, stop.signal);
    const address = server.address();
    using connection = await openPlain(address);
    expect((await connection.get(JWKS)).headers["connection"]).toBe("keep-alive");
    stop.abort();
    const last = await connection.get(JWKS);
    expect([last.status, last.headers["connection"]]).toEqual([200, "close"]);
    await connection.closed();
    await server[Symbol.asyncDispose]();
    await expect(openPlain(address)).rejects.toThrow("ECONNREFUSED");
  });

  it("lets an open request end when it stops", async () => {
    const release = Promise.withResolvers<void>();
    const entered = Promise.withResolvers<void>();
    const routes: Routes = (app) => {
      app.get("/slow", async () => {
        entered.resolve();
        await release.promise;
        return "done";
      });
    };
    await using server = await startServer({ routes, tls: first });
    using connection = await openTls(server.address());
    const response = connection.get("/slow");
    await entered.promise;
    const stopped = server[Symbol.asyncDispose]();
    await new Promise((resolve) => setTimeout(resolve, 200));
    release.resolve();
    expect(await response).toMatchObject({ status: 200, body: "done", headers: { connection: "close" } });
    await stopped;
  });

  it.each(["a request that never ends", "a silent connection"])(
    "stops within its bound despite %s",
    async (what) => {
      const routes: Routes = (app) => {
        app.get("/never", () => new Promise(() => {}));
      };
      await using server = await startServer({ routes, limits: { drain: milliseconds(100) } });
      using connection = await openPlain(server.address());
      if (what.includes("request")) connection.write("GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
      await new Promise((resolve) => setTimeout(resolve, 30));
      // Ends at all: without a bound it waits for ever.
      await server[Symbol.asyncDispose]();
      await connection.closed();
    },
  );

  it("may be disposed of twice, and without having started", async () => {
    const server = makeServer();
    await server[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });
});

describe("formatAddress", () => {
  it.each([
    ["127.0.0.1", "127.0.0.1:8443"],
    ["::1", "[::1]:8443"],
  ])("%s → %s", (host, expected) => {
    expect(formatAddress({ host, port: 8443 })).toBe(expected);
  });
});
