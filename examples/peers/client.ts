/**
 * A workload that connects anew for every request, so that each one is a full handshake, and checks the SPIFFE ID of the
 * server. `node client.ts DIRECTORY PORT EXPECTED-SPIFFE-ID` prints `{"ok", "failed", "lastError"}` four times a second.
 */

import { connect } from "node:tls";
import { readCredentials, spiffeIdOf } from "./credentials.ts";

const [directory = "", port = "0", expected = ""] = process.argv.slice(2);
let ok = 0;
let failed = 0;
let lastError = "";

async function request(): Promise<string> {
  const credentials = await readCredentials(directory);
  return new Promise((resolve, reject) => {
    // SPIFFE IDs take the place of host names: the name in the URL proves nothing.
    const socket = connect({
      ...credentials,
      host: "127.0.0.1",
      port: Number(port),
      minVersion: "TLSv1.3",
      checkServerIdentity: (_, certificate) => {
        const id = spiffeIdOf(certificate.subjectaltname);
        return id === expected ? undefined : new Error(`expected ${expected}, met ${id}`);
      },
    });
    let answer = "";
    socket.setTimeout(5000, () => socket.destroy(new Error("no answer within 5 s")));
    socket.on("data", (chunk: Buffer) => {
      answer += chunk.toString();
    });
    socket.on("error", reject);
    socket.on("close", () =>
      answer === "" ? reject(new Error("closed without an answer")) : resolve(answer),
    );
  });
}

setInterval(() => console.log(JSON.stringify({ ok, failed, lastError })), 250).unref();
process.on("SIGTERM", () => {
  console.log(JSON.stringify({ ok, failed, lastError }));
  process.exit(0);
});

for (;;) {
  try {
    await request();
    ok += 1;
  } catch (error) {
    failed += 1;
    lastError = error instanceof Error ? error.message : String(error);
  }
  await new Promise((resolve) => setTimeout(resolve, 10));
}
