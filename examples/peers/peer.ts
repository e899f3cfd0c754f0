/**
 * A workload that serves another one over mTLS and calls it, ten times a second, each time on a new connection. Both sides
 * check the other's SPIFFE ID; a call carries a JWT-SVID, which the other side checks against the JWKS of the issuer.
 * Prints its counters as one JSON object a second. Nothing is counted before the first answer.
 *
 *     node peer.ts --svid DIR --peer SPIFFE-ID --call HOST:PORT --token FILE --issuer URL --audience NAME [--port 8443]
 */

import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type RequestOptions, request } from "node:https";
import type { TLSSocket } from "node:tls";
import { parseArgs } from "node:util";
import { readCredentials, spiffeIdOf } from "./credentials.ts";
import { TokenVerifier } from "./tokens.ts";

const text = { type: "string", default: "" } as const;
const { values } = parseArgs({
  options: {
    svid: text,
    peer: text,
    call: text,
    token: text,
    issuer: text,
    audience: text,
    port: { ...text, default: "8443" },
  },
});

let current = await readCredentials(values.svid);
const tokens = new TokenVerifier(values);
const counters = { ok: 0, failed: 0, served: 0, refused: 0, lastError: "" };
/** The serial numbers of the certificates that the other side has shown. */
const met = new Set<string>();
let peerSerial = "";

const server = createServer({
  ...current,
  requestCert: true,
  rejectUnauthorized: true,
  minVersion: "TLSv1.3",
});
server.on("request", (call, response) => void answer(call, response));
server.listen(Number(values.port));

async function answer(call: IncomingMessage, response: ServerResponse): Promise<void> {
  const certificate = (call.socket as TLSSocket).getPeerX509Certificate();
  try {
    const id = spiffeIdOf(certificate?.subjectAltName);
    if (id !== values.peer) throw new Error(`expected ${values.peer}, met ${id}`);
    await tokens.verify(call.headers.authorization?.replace(/^Bearer /, "") ?? "", values.peer);
    counters.served += 1;
    response.end(`hello ${id}`);
  } catch (error) {
    counters.refused += 1;
    response.writeHead(403).end(reasonOf(error));
  }
}

/** One call on a connection of its own, with the credentials of this moment. */
async function callPeer(): Promise<void> {
  const [{ cert, key, ca }, token] = await Promise.all([
    readCredentials(values.svid),
    readFile(values.token, "utf8"),
  ]);
  const [host, port] = values.call.split(":");
  const { status, body } = await answerTo({
    host,
    port,
    cert,
    key,
    ca,
    agent: false,
    minVersion: "TLSv1.3",
    headers: { authorization: `Bearer ${token}` },
    // SPIFFE IDs take the place of host names: the name in the URL proves nothing.
    checkServerIdentity: (_, certificate) => {
      const id = spiffeIdOf(certificate.subjectaltname);
      if (id !== values.peer) return new Error(`expected ${values.peer}, met ${id}`);
      peerSerial = new X509Certificate(certificate.raw).serialNumber.toLowerCase();
      met.add(peerSerial);
      return undefined;
    },
  });
  if (status !== 200) throw new Error(`${status}: ${body}`);
}

function answerTo(options: RequestOptions): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ ...options, timeout: 5000 }, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode, body }));
    });
    call.on("timeout", () => call.destroy(new Error("no answer within 5 s")));
    call.on("error", reject);
    call.end();
  });
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// A workload may watch the directory; looking twice a second is simple and never misses a swap.
setInterval(() => void refresh(), 500);

async function refresh(): Promise<void> {
  const next = await readCredentials(values.svid);
  if (next.revision === current.revision) return;
  current = next;
  server.setSecureContext(current);
}

setInterval(() => {
  const serial = new X509Certificate(current.cert).serialNumber.toLowerCase();
  console.log(
    JSON.stringify({ ...counters, jwks: tokens.fetches, serial, peerSerial, peerSerials: met.size }),
  );
}, 1000);

process.on("SIGTERM", () => process.exit(0));

for (;;) {
  try {
    await callPeer();
    counters.ok += 1;
  } catch (error) {
    if (counters.ok > 0) counters.failed += 1;
    counters.lastError = reasonOf(error);
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
}
