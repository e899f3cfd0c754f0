/**
 * The public documents: OIDC discovery, JWKS and SPIFFE bundle, answered from strings made beforehand.
 * Any web page may read them: they are public by purpose, and a browser client needs discovery and JWKS.
 */

import type { FastifyReply, FastifyRequest } from "fastify";
import type { Seconds } from "../core/brand.ts";
import { digest } from "../core/digest.ts";
import { OperatorError } from "../core/errors.ts";
import { type Routes, refuse } from "./application.ts";

export interface PublishedDocument {
  /** JSON. */
  readonly body: string;
  /** A strong entity tag with its quotes (RFC 9110 §8.8.3): another body, another tag. */
  readonly etag: string;
}

/** What is to be served at present; asked for on each request. Undefined = there is none yet (503). */
export interface PublishedDocuments {
  discovery(): PublishedDocument | undefined;
  jwks(): PublishedDocument | undefined;
  bundle(): PublishedDocument | undefined;
  /** How long a client may keep a document. */
  readonly maxAge: Seconds;
}

export const DISCOVERY_PATHS = {
  discovery: "/.well-known/openid-configuration",
  jwks: "/.well-known/jwks.json",
  bundle: "/.well-known/spiffe-bundle.json",
} as const;

/** Computes the entity tag, once for each change of `body`. */
export function publishedDocument(body: string): PublishedDocument {
  return { body, etag: `"${digest(body)}"` };
}

/**
 * `basePath` is the path of the issuer's URL: `""`, `/`, or `/tenant`, below which the documents are served as well
 * (OpenID Connect Discovery §4). @throws INVALID_CONFIGURATION when it is no plain path.
 */
export function discoveryRoutes(documents: PublishedDocuments, basePath = ""): Routes {
  const bases = new Set(["", parseBasePath(basePath)]);
  return (app) => {
    for (const [name, path] of Object.entries(DISCOVERY_PATHS)) {
      const document = documents[name as keyof typeof DISCOVERY_PATHS].bind(documents);
      for (const base of bases) {
        app.route({
          method: ["GET", "HEAD"],
          url: base + path,
          handler: (request, reply) => answer(request, reply, document(), documents.maxAge),
        });
      }
    }
  };
}

function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  document: PublishedDocument | undefined,
  maxAge: Seconds,
): FastifyReply {
  reply.header("access-control-allow-origin", "*");
  if (document === undefined) return refuse(reply.header("retry-after", "1"), "NOT_READY");
  reply.header("etag", document.etag).header("cache-control", `public, max-age=${maxAge}`);
  if (matchesTag(request.headers["if-none-match"], document.etag)) return reply.code(304).send();
  return reply.header("content-type", "application/json; charset=utf-8").send(document.body);
}

/** Whether `If-None-Match` names `etag`: `*`, or a list compared weakly (RFC 9110 §13.1.2). */
export function matchesTag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === "*") return true;
  for (const [tag] of header.matchAll(/"[\x21\x23-\x7e\x80-\xff]*"/g)) {
    if (tag === etag) return true;
  }
  return false;
}

function parseBasePath(text: string): string {
  const path = text.replace(/\/+$/, "");
  const isPlain = /^(\/[A-Za-z0-9._~-]+)*$/.test(path) && !/\/\.{1,2}(\/|$)/.test(path);
  if (!isPlain) {
    throw new OperatorError(
      "INVALID_CONFIGURATION",
      `serving the issuer's documents below "${text}"; expected a path of letters, digits, ".", "_", "~" and "-"`,
      { details: { basePath: text } },
    );
  }
  return path;
}
