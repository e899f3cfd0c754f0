/** One handshake with certificates on both sides, over a socket of this machine. */

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:tls";

export interface TlsSide {
  /** PEM: the leaf, then what it presents with it. */
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** Why it failed, on whichever side; empty where one byte came back. The name of the server is not looked at. */
export async function handshake(server: TlsSide, client: TlsSide): Promise<string> {
  let refusal = "";
  const listener = createServer({ ...server, requestCert: true, rejectUnauthorized: true }, (socket) => {
    socket.on("error", () => {});
    socket.end("!");
  });
  listener.on("tlsClientError", (error) => {
    refusal ||= `server: ${error.message}`;
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  try {
    const socket = connect({ ...client, port, host: "127.0.0.1", checkServerIdentity: () => undefined });
    const [data] = (await Promise.race([once(socket, "data"), once(socket, "close")])) as [Buffer | boolean];
    socket.destroy();
    return String(data) === "!" ? "" : refusal || "closed";
  } catch (error) {
    return refusal || `client: ${String(error)}`;
  } finally {
    listener.close();
  }
}
