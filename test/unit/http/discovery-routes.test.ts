import { describe, expect, it } from "@jest/globals";
import { isOperatorError } from "../../../src/core/errors.ts";
import {
  DISCOVERY_PATHS,
  discoveryRoutes,
  matchesTag,
  publishedDocument,
} from "../../../src/http/discovery-routes.ts";
import { openPlain } from "../../support/http/raw-client.ts";
import { fakeDocuments, startServer } from "../../support/http/servers.ts";

describe("discoveryRoutes", () => {
  it.each(Object.entries(DISCOVERY_PATHS))("serves the %s document with its headers", async (name, path) => {
    const documents = fakeDocuments();
    await using server = await startServer({ routes: discoveryRoutes(documents) });
    using connection = await openPlain(server.address());
    const response = await connection.get(path);
    const document = documents.current[name as keyof typeof DISCOVERY_PATHS];
    expect(response.status).toBe(200);
    expect(Buffer.from(response.body, "latin1").toString()).toBe(document?.body);
    expect(response.headers).toMatchObject({
      "content-type": "application/json; charset=utf-8",
      "cache-control": "public, max-age=60",
      etag: document?.etag,
      "access-control-allow-origin": "*",
      "x-content-type-options": "nosniff",
    });
    expect(Object.keys(response.headers)).not.toEqual(expect.arrayContaining(["server"]));
    expect(response.headers["x-powered-by"]).toBeUndefined();
  });

  it("answers HEAD with the headers of GET and no body", async () => {
    await using server = await startServer();
    using connection = await openPlain(server.address());
    const got = await connection.get(DISCOVERY_PATHS.bundle);
    const head = await connection.request("HEAD", DISCOVERY_PATHS.bundle);
    const { date: _got, ...expected } = got.headers;
    const { date: _head, ...headers } = head.headers;
    expect({ status: head.status, headers }).toEqual({ status: 200, headers: expected });
    expect(Number(head.headers["content-length"])).toBe(Buffer.byteLength('{"keys":[],"note":"größer"}'));
    // Were a body sent, it would be read as the start of this response.
    expect((await connection.get(DISCOVERY_PATHS.jwks)).status).toBe(200);
  });

  it.each(["GET", "HEAD"])(
    "answers %s of an unchanged document with 304, ETag and Cache-Control",
    async (method) => {
      const documents = fakeDocuments();
      await using server = await startServer({ routes: discoveryRoutes(documents) });
      using connection = await openPlain(server.address());
      const etag = documents.current.jwks?.etag ?? "";
      const response = await connection.request(method, DISCOVERY_PATHS.jwks, { "If-None-Match": etag });
      expect(response.status).toBe(304);
      expect(response.headers).toMatchObject({ etag, "cache-control": "public, max-age=60" });
      expect(response.headers["content-type"]).toBeUndefined();
      expect((await connection.get(DISCOVERY_PATHS.jwks)).status).toBe(200);
    },
  );

  it("sends a changed document whole to a client that holds the old one", async () => {
    const documents = fakeDocuments();
    await using server = await startServer({ routes: discoveryRoutes(documents) });
    using connection = await openPlain(server.address());
    const { headers } = await connection.get(DISCOVERY_PATHS.jwks);
    documents.current = { ...documents.current, jwks: publishedDocument('{"keys":[1]}') };
    const response = await connection.get(DISCOVERY_PATHS.jwks, { "If-None-Match": headers["etag"] ?? "" });
    expect([response.status, response.body]).toEqual([200, '{"keys":[1]}']);
  });

  it("says 503 while a document is not there yet, and lets no cache keep that", async () => {
    const documents = fakeDocuments();
    documents.current = { ...documents.current, bundle: undefined };
    await using server = await startServer({ routes: discoveryRoutes(documents) });
    using connection = await openPlain(server.address());
    const response = await connection.get(DISCOVERY_PATHS.bundle);
    expect([response.status, JSON.parse(response.body).code]).toEqual([503, "NOT_READY"]);
    expect(response.headers).toMatchObject({ "cache-control": "no-store", "retry-after": "1" });
  });

  it("serves the documents below the path of the issuer too", async () => {
    await using server = await startServer({ routes: discoveryRoutes(fakeDocuments(), "/tenants/a.b/") });
    using connection = await openPlain(server.address());
    for (const path of Object.values(DISCOVERY_PATHS)) {
      expect((await connection.get(`/tenants/a.b${path}`)).status).toBe(200);
      expect((await connection.get(path)).status).toBe(200);
    }
    expect((await connection.get(`/tenants/axb${DISCOVERY_PATHS.jwks}`)).status).toBe(404);
  });

  it.each(["tenant", "/:id", "/*", "/a//b", "/a/../b", "/%61", "/a b"])(
    "refuses the base path %s",
    (basePath) => {
      let thrown: unknown;
      try {
        discoveryRoutes(fakeDocuments(), basePath);
      } catch (error) {
        thrown = error;
      }
      expect(isOperatorError(thrown, "INVALID_CONFIGURATION")).toBe(true);
    },
  );
});

describe("publishedDocument", () => {
  it("gives another tag to another body, and the same to the same", () => {
    expect(publishedDocument("a").etag).toBe(publishedDocument("a").etag);
    expect(publishedDocument("a").etag).not.toBe(publishedDocument("b").etag);
    expect(publishedDocument("a").etag).toMatch(/^"[0-9a-f]+"$/);
  });
});

describe("matchesTag", () => {
  it.each([
    [undefined, false],
    ["", false],
    ['"x"', true],
    ['W/"x"', true],
    ["*", true],
    [" * ", true],
    ['"a", W/"b" ,"x"', true],
    ['"a,x"', false],
    ['"a", "x, b"', false],
    ["x", false],
    ['"x', false],
    ['"X"', false],
    ['"*"', false],
    [`${'"a",'.repeat(1000)}"x"`, true],
  ])('If-None-Match %p against "x" → %p', (header, expected) => {
    expect(matchesTag(header, '"x"')).toBe(expected);
  });
});
