/**
 * The open connections of one listener, so that stopping ends within a bound: requests in progress get their
 * response, connections that ask for nothing are cut.
 */

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { type Milliseconds, milliseconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";

/** Time for the last bytes of a response (and TLS's goodbye) to leave. */
const LINGER: Milliseconds = milliseconds(50);
const POLL: Milliseconds = milliseconds(10);

export class Connections {
  /** Those that have been silent longest come first. */
  readonly #sockets = new Map<string, Socket>();
  #requests = 0;

  /**
   * At most `limit`: then a new connection takes the place of the one that has been silent longest. Were it turned away, whoever
   * opens many and says nothing would keep out kubelet, which then restarts the process.
   */
  track(server: Server, limit: number): void {
    server.on("connection", (socket: Socket) => {
      const name = nameOf(socket);
      this.#sockets.set(name, socket);
      socket.once("close", () => {
        if (this.#sockets.get(name) === socket) this.#sockets.delete(name);
      });
      const [oldest] = this.#sockets.values();
      if (this.#sockets.size > limit) oldest?.destroy();
    });
    server.on("request", ({ socket }: IncomingMessage, response: ServerResponse) => {
      const name = nameOf(socket);
      const known = this.#sockets.get(name);
      if (this.#sockets.delete(name) && known !== undefined) this.#sockets.set(name, known);
      this.#requests += 1;
      response.once("close", () => {
        this.#requests -= 1;
      });
    });
  }

  /** Stops listening; returns when every connection is gone, after `limit` and a little at most. */
  async drain(server: Server, clock: Clock, limit: Milliseconds): Promise<void> {
    const closed = new AbortController();
    const gone = new Promise<void>((resolve) => {
      server.close(() => {
        closed.abort();
        resolve();
      });
    });
    const deadline = clock.monotonic() + limit;
    while (this.#requests > 0 && clock.monotonic() < deadline) await clock.sleep(POLL, closed.signal);
    await clock.sleep(LINGER, closed.signal);
    // Node counts a connection that never sent a request as busy and does not know one within its TLS handshake.
    for (const socket of this.#sockets.values()) socket.destroy();
    await gone;
  }
}

/** The same for a connection and for the TLS that runs over it. */
function nameOf({ localAddress, remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
