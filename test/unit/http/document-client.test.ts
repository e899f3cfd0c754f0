import { createServer } from "node:net";
import { afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import type { ReplicaDocuments } from "../../../src/controller/ports.ts";
import { milliseconds } from "../../../src/core/brand.ts";
import { type Clock, systemClock } from "../../../src/core/clock.ts";
import { discoveryRoutes, publishedDocument } from "../../../src/http/discovery-routes.ts";
import { documentClient } from "../../../src/http/document-client.ts";
import type { HttpServer } from "../../../src/http/server.ts";
import { codeOf } from "../../support/errors.ts";
import { type SelfSigned, selfSigned } from "../../support/http/self-signed.ts";
import { fakeDocuments, startServer } from "../../support/http/servers.ts";

const NEVER = new AbortController().signal;

function clockWith(rate: number): Clock {
  return {
    ...systemClock,
    sleep: (length, signal) => systemClock.sleep(milliseconds(length / rate), signal),
  };
}

describe("the client of a replica's documents", () => {
  const documents = fakeDocuments();
  let [mine, other]: readonly (SelfSigned | undefined)[] = [];
  let server: HttpServer | undefined;

  beforeAll(() => {
    [mine, other] = [selfSigned("mine"), selfSigned("other")];
  });

  afterEach(async () => {
    await server?.[Symbol.asyncDispose]();
    server = undefined;
  });

  const serve = async (): Promise<number> => {
    if (mine === undefined) throw new Error("no certificate");
    server = await startServer({ tls: mine, routes: discoveryRoutes(documents) });
    return server.address().port;
  };
  const fetch = (
    port: number,
    { ca = mine?.chain ?? "", serverName = "localhost", rate = 0.1, signal = NEVER } = {},
  ): ReturnType<ReplicaDocuments["fetch"]> =>
    documentClient({ clock: clockWith(rate), trust: () => ({ ca, serverName }) }).fetch(
      { name: "meshid-1", address: "127.0.0.1", port },
      signal,
    );

  it("brings bundle and JWKS as they are served, letters of all kinds included", async () => {
    expect(await fetch(await serve())).toEqual({
      bundleJson: '{"keys":[],"note":"größer"}',
      jwksJson: '{"keys":[]}',
    });
  });

  it("believes no certificate that another CA has signed, and none for another name", async () => {
    const port = await serve();
    const refused = (message: RegExp): unknown =>
      expect.objectContaining({ code: "STORAGE_FAILED", message: expect.stringMatching(message) });
    await expect(fetch(port, { ca: other?.chain ?? "" })).rejects.toEqual(refused(/self-signed/));
    await expect(fetch(port, { serverName: "meshid.elsewhere.svc" })).rejects.toEqual(refused(/altnames/));
  });

  it("says how it was answered where there is nothing to be had", async () => {
    const port = await serve();
    documents.current = { ...documents.current, bundle: undefined };
    await expect(fetch(port)).rejects.toThrow(`https://127.0.0.1:${port}: answered with status 503`);
    documents.current = { ...documents.current, bundle: publishedDocument("x".repeat(1_048_577)) };
    await expect(fetch(port)).rejects.toThrow("answered with more than 1048576 bytes");
    await server?.[Symbol.asyncDispose]();
    await expect(fetch(port)).rejects.toThrow("ECONNREFUSED");
  });

  it("waits no longer than its time for one that takes connections and says nothing", async () => {
    const silent = createServer((socket) => void socket.resume()).listen(0, "127.0.0.1");
    await new Promise((resolve) => silent.once("listening", resolve));
    const { port } = silent.address() as { readonly port: number };
    await expect(fetch(port, { rate: 10 })).rejects.toThrow("no answer within 3 s");
    await new Promise((resolve) => silent.close(resolve));
  });

  it("gives up when it is told to stop", async () => {
    const stop = new AbortController();
    const silent = createServer((socket) => {
      socket.resume();
      stop.abort();
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => silent.once("listening", resolve));
    const { port } = silent.address() as { readonly port: number };
    expect(await codeOf(fetch(port, { rate: 0.001, signal: stop.signal }))).toBe("ABORTED");
    await new Promise((resolve) => silent.close(resolve));
  });
});
