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
  readonly #sockets = new Set<Socket>();
  #requests = 0;

  /** Bounded by the server's `maxConnections`. */
  track(server: Server): void {
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    server.on("request", (_request: IncomingMessage, response: ServerResponse) => {
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
    for (const socket of this.#sockets) socket.destroy();
    await gone;
  }
}
