/**
 * A workload on Node's own TLS: serves and calls, each call on a new connection with a full handshake. `node node-peer.ts SETTINGS`
 */

import { X509Certificate } from "node:crypto";
import { type IncomingMessage, request, type ServerResponse } from "node:http";
import { createServer } from "node:https";
import { connect, createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import { type Answered, callAll, RefusedToken, tell } from "./calling.ts";
import { type Files, Mounted, spiffeIdOf } from "./mounted.ts";
import { TokenVerifier } from "./tokens.ts";
import type { Callee, PeerSettings } from "./told.ts";

const TIMEOUT = 10_000;
/** How often the server looks whether its volume has changed. */
const LOOK_EVERY = 100;
const MIN_VERSION = "TLSv1.3";

interface Credentials {
  readonly revision: string;
  readonly options: { readonly cert: string; readonly key: string; readonly ca: string };
  readonly context: SecureContext;
  /** The name of the key that signed the leaf. */
  readonly issuer: string;
}

const settings = JSON.parse(process.argv[2] ?? "{}") as PeerSettings;
const credentials = new Mounted(settings.tls, ["tls.crt", "tls.key", "ca.crt"], credentialsOf);
const token = new Mounted(settings.jwt, ["mesh.jwt"], (files) => files["mesh.jwt"] ?? "");
const verifier = new TokenVerifier(settings);

function credentialsOf(files: Files, revision: string): Credentials {
  const { "tls.crt": cert = "", "tls.key": key = "", "ca.crt": ca = "" } = files;
  const options = { cert, key, ca, minVersion: MIN_VERSION } as const;
  return {
    revision,
    options,
    context: createSecureContext(options),
    issuer: new X509Certificate(cert).issuer,
  };
}

async function answer(call: IncomingMessage, response: ServerResponse): Promise<void> {
  const certificate = (call.socket as TLSSocket).getPeerX509Certificate();
  const id = spiffeIdOf(certificate) ?? "";
  response.setHeader("connection", "close");
  if (!id.startsWith(settings.allowed)) return refuse(response, 403, `met ${id}`);
  try {
    await verifier.verify(call.headers.authorization?.replace(/^Bearer /, "") ?? "", id);
  } catch (error) {
    return refuse(response, 401, `${id}: ${(error as Error).message}`);
  }
  const isAcross = certificate?.issuer !== credentials.current.issuer;
  response.setHeader("x-across", String(isAcross)).end("hello");
}

function refuse(response: ServerResponse, status: number, error: string): void {
  tell({ tell: "refusal", at: Date.now(), peer: settings.peer, error });
  response.writeHead(status).end(error);
}

function call({ port, spiffeId, dnsName }: Callee): Promise<Answered> {
  const { context, issuer } = credentials.current;
  let isAcross = false;
  const open = (): TLSSocket => {
    const socket = connect({
      host: "127.0.0.1",
      port,
      servername: dnsName,
      secureContext: context,
      minVersion: MIN_VERSION,
      checkServerIdentity: (_, { raw }) => {
        const shown = new X509Certificate(raw);
        isAcross = shown.issuer !== issuer;
        const id = spiffeIdOf(shown);
        return id === spiffeId ? undefined : new Error(`expected ${spiffeId}, met ${id}`);
      },
    });
    return socket;
  };
  const headers = { authorization: `Bearer ${token.current}`, host: dnsName };
  return new Promise((resolve, reject) => {
    // A connection of its own: no agent.
    const outgoing = request({ createConnection: open, headers, timeout: TIMEOUT }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("error", reject).on("end", () => {
        if (response.statusCode === 401) return reject(new RefusedToken(body));
        if (response.statusCode !== 200) return reject(new Error(`${response.statusCode} ${body}`));
        resolve({ isAcross });
      });
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer within ${TIMEOUT} ms`)));
    outgoing.on("error", reject).end();
  });
}

await verifier.start();
let served = credentials.current;
const server = createServer({
  ...served.options,
  requestCert: true,
  rejectUnauthorized: true,
  minVersion: MIN_VERSION,
});
server.on("request", (incoming, response) => void answer(incoming, response));
server.on("tlsClientError", (error) =>
  tell({ tell: "refusal", at: Date.now(), peer: settings.peer, error: error.message }),
);
setInterval(() => {
  const now = credentials.current;
  if (now.revision === served.revision) return;
  served = now;
  server.setSecureContext({ ...now.options, minVersion: MIN_VERSION });
}, LOOK_EVERY).unref();
await new Promise<void>((resolve) => server.listen(settings.port, "127.0.0.1", resolve));
await callAll(settings, call);
// Others may still call.
setTimeout(() => process.exit(0), 2000);
