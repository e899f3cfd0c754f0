import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { milliseconds } from "../../../src/core/brand.ts";
import { systemClock } from "../../../src/core/clock.ts";
import type { Connection } from "../../../src/kubernetes/connection.ts";
import { codeOf } from "../../support/errors.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";
import { type SelfSigned, selfSigned } from "../../support/http/self-signed.ts";
import { type Connected, connected } from "../../support/kubernetes/connected.ts";
import { startRelay } from "../../support/kubernetes/relay.ts";

const NEVER = new AbortController().signal;
const GET = { method: "GET", path: "/api/v1/namespaces/shop" } as const;
const POST = { method: "POST", path: "/api/v1/namespaces", body: {} } as const;
type Handler = (request: IncomingMessage, response: ServerResponse) => void;

// What a real API server says too seldom to wait for.
describe("Transport", () => {
  let identity: SelfSigned;
  let server: Server;
  let handlers: Handler[];
  let one: Connected;

  beforeAll(() => {
    identity = selfSigned("kubernetes");
  });
  beforeEach(async () => {
    handlers = [];
    server = createServer({ cert: identity.chain, key: identity.key.reveal() }, (request, response) => {
      request.resume();
      const handler = handlers.length > 1 ? handlers.shift() : handlers[0];
      handler?.(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    one = connected(connection());
  });
  afterEach(async () => {
    one[Symbol.dispose]();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const connection = (): Connection => ({
    server: new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}/prefix/`),
    namespace: undefined,
    credentials: async () => ({
      id: "1",
      ca: identity.chain,
      cert: undefined,
      key: undefined,
      isInsecure: false,
      bearer: undefined,
    }),
  });
  const answer =
    (status: number, body: string, headers: Readonly<Record<string, string>> = {}): Handler =>
    (_, response) =>
      void response.writeHead(status, headers).end(body);
  const refusal = (status: number, reason: string, headers?: Readonly<Record<string, string>>): Handler =>
    answer(status, JSON.stringify({ kind: "Status", reason, message: `${reason} it is` }), headers);

  it("asks below the path of the server, and says who it is", async () => {
    const seen: (string | undefined)[] = [];
    handlers = [
      ({ url, headers }, response) => {
        seen.push(url, headers["user-agent"], headers.accept, headers.authorization);
        response.end("{}");
      },
    ];
    await one.client.request({ ...GET, query: { limit: "5" } }, NEVER);
    expect(seen).toEqual([
      "/prefix/api/v1/namespaces/shop?limit=5",
      "meshid/test",
      "application/json",
      undefined,
    ]);
  });

  it("asks a server that says to come back at once only now and then", async () => {
    const again = refusal(503, "ServiceUnavailable", { "retry-after": "0" });
    handlers = [again, again, answer(200, "{}")];
    const started = systemClock.monotonic();
    await one.client.request(GET, NEVER);
    // Twice half a second, and a timer may be early by a little.
    expect(systemClock.monotonic() - started).toBeGreaterThan(950);
    expect(one.codes()).toEqual(["GET 503", "GET 503", "GET 200"]);
  });

  it.each([
    [
      "503 with Retry-After",
      refusal(503, "ServiceUnavailable", { "retry-after": "0" }),
      GET,
      ["GET 503", "GET 200"],
    ],
    [
      "429 with Retry-After, whatever the request is",
      refusal(429, "", { "retry-after": "0" }),
      POST,
      ["POST 429", "POST 200"],
    ],
    ["429 without Retry-After", refusal(429, "TooManyRequests"), GET, ["GET 429", "GET 200"]],
    [
      "a Retry-After that is a date",
      refusal(429, "", { "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT" }),
      GET,
      ["GET 429", "GET 200"],
    ],
  ])("asks again after %s", async (_, first, request, codes) => {
    handlers = [first, answer(200, "{}")];
    await one.client.request(request, NEVER);
    expect(one.codes()).toEqual(codes);
  });

  it.each([
    ["500", refusal(500, "InternalError"), true, "InternalError it is"],
    ["404", refusal(404, "NotFound"), true, "NotFound it is"],
    ["422", refusal(422, "Invalid"), false, "Invalid it is"],
    ["the page of a proxy", answer(502, "<html>Bad Gateway</html>"), true, "HTTP 502"],
    ["nothing", answer(400, ""), false, "HTTP 400"],
  ])("passes %s on and does not ask again", async (_, first, retryable, message) => {
    handlers = [first, answer(200, "{}")];
    const attempt = one.client.request(GET, NEVER);
    await expect(attempt).rejects.toMatchObject({
      name: "KubeApiError",
      code: "STORAGE_FAILED",
      retryable,
      message: `GET ${GET.path}: ${message}`,
    });
    expect(one.attempts).toHaveLength(1);
  });

  it("takes an answer that is no JSON, or that breaks off, for none", async () => {
    handlers = [answer(200, "<html>welcome</html>")];
    await expect(one.client.request(GET, NEVER)).rejects.toMatchObject({
      code: "STORAGE_FAILED",
      retryable: true,
    });
    handlers = [
      (_, response) => {
        response.writeHead(200, { "content-length": "100" }).write("{");
        setTimeout(() => response.destroy(), 20);
      },
    ];
    const attempt = one.client.request(POST, NEVER);
    await expect(attempt).rejects.toMatchObject({ code: "STORAGE_FAILED", retryable: true });
  });

  it("ends a request in the middle of its answer when its time is over, by the clock", async () => {
    const clock = new FakeClock();
    using late = connected(connection(), undefined, clock);
    const written = Promise.withResolvers<void>();
    handlers = [(_, response) => void response.writeHead(200).write("{", () => written.resolve())];
    const attempt = late.client.request({ ...GET, deadline: milliseconds(5000) }, NEVER);
    const end = expect(attempt).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    await written.promise;
    // What the kernel holds is read within a few turns.
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setTimeout(resolve, 5));
    await clock.advance(4);
    expect(late.attempts).toEqual([]);
    await clock.advance(1);
    await end;
    expect(late.codes()).toEqual(["GET 200"]);
  });

  it("sends over a connection that was made for a request which had been given up by then", async () => {
    await using relay = await startRelay(connection().server);
    using far = connected(connection(), relay.port);
    handlers = [answer(200, "{}")];
    let handshakes = 0;
    server.on("secureConnection", () => handshakes++);
    const stop = new AbortController();
    relay.stall();
    const crowd = Array.from({ length: 20 }, () => codeOf(far.client.request(GET, stop.signal)));
    await until(() => relay.open === 16);
    stop.abort();
    expect(new Set(await Promise.all(crowd))).toEqual(new Set(["ABORTED"]));
    // For those that had waited for a connection.
    await until(() => relay.made > 16);
    relay.resume();
    await until(() => handshakes > 0);
    const { made } = relay;
    await far.client.request(GET, NEVER);
    expect(relay.made).toBe(made);
  });

  describe("where nobody says who to be", () => {
    /** As long as a plugin hangs. */
    const hanging = (clock: FakeClock): Connected =>
      connected({ ...connection(), credentials: () => new Promise(() => {}) }, undefined, clock);
    const opened = (client: Connected["client"], signal: AbortSignal): Promise<unknown> => {
      const watch = client.watch({ path: "/api", query: { watch: "true" } }, signal);
      return watch[Symbol.asyncIterator]().next();
    };

    it("ends a request, and a watch, at the deadline", async () => {
      const clock = new FakeClock();
      using late = hanging(clock);
      const attempts = [late.client.request(GET, NEVER), opened(late.client, NEVER)];
      const ends = attempts.map((attempt) =>
        expect(attempt).rejects.toMatchObject({
          code: "STORAGE_FAILED",
          retryable: true,
          message: expect.stringContaining("the kubeconfig gave no credentials"),
        }),
      );
      await clock.advance(30);
      await Promise.all(ends);
    });

    it("ends them as soon as they are told to stop", async () => {
      using late = hanging(new FakeClock());
      const stop = new AbortController();
      const attempts = [late.client.request(GET, stop.signal), opened(late.client, stop.signal)];
      const codes = attempts.map(codeOf);
      await settle();
      stop.abort();
      expect(await Promise.all(codes)).toEqual(["ABORTED", "ABORTED"]);
    });

    it("ends a watch that was refused, and waits for another token, at the deadline", async () => {
      const clock = new FakeClock();
      const known = await connection().credentials(false);
      const asked: boolean[] = [];
      const credentials: Connection["credentials"] = (isRejected) => {
        asked.push(isRejected);
        return isRejected ? new Promise(() => {}) : Promise.resolve(known);
      };
      using late = connected({ ...connection(), credentials }, undefined, clock);
      handlers = [refusal(401, "Unauthorized")];
      const end = codeOf(opened(late.client, NEVER));
      await until(() => asked.length === 2);
      await clock.advance(30);
      expect(await end).toBe("STORAGE_FAILED");
    });
  });

  it("waits no longer for another attempt than its deadline allows", async () => {
    handlers = [refusal(429, "TooManyRequests", { "retry-after": "20" })];
    const started = systemClock.monotonic();
    const attempt = one.client.request({ ...GET, deadline: milliseconds(10_000) }, NEVER);
    await expect(attempt).rejects.toMatchObject({ status: 429, retryAfter: 20 });
    expect(systemClock.monotonic() - started).toBeLessThan(5000);
  });

  it("puts the lines of a watch together from whatever pieces they come in", async () => {
    const text = `${JSON.stringify({ type: "ADDED", object: { name: "ключ" } })}\n\n${JSON.stringify({ type: "BOOKMARK", object: {} })}\n{"type":"cut`;
    handlers = [
      async (_, response) => {
        response.writeHead(200);
        for (const byte of Buffer.from(text)) {
          response.write(Buffer.of(byte));
          await settle();
        }
        response.end();
      },
    ];
    const events: unknown[] = [];
    for await (const event of one.client.watch({ path: "/api", query: { watch: "true" } }, NEVER))
      events.push(event);
    expect(events).toEqual([
      { type: "ADDED", object: { name: "ключ" } },
      { type: "BOOKMARK", object: {} },
    ]);
    expect(one.codes()).toEqual(["GET 200"]);
  });

  it.each([
    ["is refused", refusal(410, "Expired"), { name: "KubeApiError", status: 410, reason: "Expired" }],
    ["sends what is no event", answer(200, "<html>\n"), { code: "STORAGE_FAILED", retryable: true }],
  ])("ends a watch with an error when it %s", async (_, handler, error) => {
    handlers = [handler];
    const drain = async (): Promise<void> => {
      for await (const _ of one.client.watch({ path: "/api", query: { watch: "true" } }, NEVER)) {
        // Nothing is expected.
      }
    };
    await expect(drain()).rejects.toMatchObject(error);
  });

  it("trusts no other authority than the one that it was given", async () => {
    const other = selfSigned("kubernetes");
    using wrong = connected({
      ...connection(),
      credentials: async () => ({ ...(await connection().credentials(false)), ca: other.chain }),
    });
    handlers = [answer(200, "{}")];
    await expect(wrong.client.request(GET, NEVER)).rejects.toMatchObject({
      code: "STORAGE_FAILED",
      message: expect.stringContaining("self-signed certificate"),
    });
  });
});

async function until(isSo: () => boolean): Promise<void> {
  for (const end = systemClock.monotonic() + 60_000; !isSo(); ) {
    if (systemClock.monotonic() > end) throw new Error("it did not come");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
