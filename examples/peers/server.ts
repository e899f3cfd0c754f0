/**
 * A service that speaks mTLS only to one SPIFFE ID. `node server.ts DIRECTORY ALLOWED-SPIFFE-ID`
 * prints its port and, at the end, `{"served", "refused"}`.
 */

import { createServer, type TLSSocket } from "node:tls";
import { readCredentials, spiffeIdOf } from "./credentials.ts";

const [directory = "", allowed = ""] = process.argv.slice(2);
let current = await readCredentials(directory);
let served = 0;
let refused = 0;

const server = createServer({
  ...current,
  requestCert: true,
  rejectUnauthorized: true,
  minVersion: "TLSv1.3",
});
server.on("secureConnection", (socket: TLSSocket) => {
  socket.on("error", () => {});
  const peer = spiffeIdOf(socket.getPeerX509Certificate()?.subjectAltName);
  if (peer === allowed) served += 1;
  else refused += 1;
  socket.end(peer === allowed ? `hello ${peer}` : "");
});
server.on("tlsClientError", () => {
  refused += 1;
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  console.log(JSON.stringify({ port: typeof address === "object" ? address?.port : undefined }));
});

// A workload may watch the directory; looking twice a second is simple and never misses a swap.
setInterval(() => void refresh(), 500).unref();

async function refresh(): Promise<void> {
  const next = await readCredentials(directory);
  if (next.revision === current.revision) return;
  current = next;
  server.setSecureContext(current);
}

process.on("SIGTERM", () => {
  console.log(JSON.stringify({ served, refused }));
  process.exit(0);
});
