/**
 * What a client may take of the server. Everything is bounded, so that no one client starves the others.
 */

import { type Milliseconds, milliseconds } from "../core/brand.ts";

export interface ServerLimits {
  /** Open connections: one more takes the place of the one that has been silent longest. */
  readonly connections: number;
  /** Requests on one connection: it is closed after the last, so that no client keeps an old certificate for ever. */
  readonly requestsPerConnection: number;
  /** Request line and headers together, bytes: 431 above. */
  readonly headerBytes: number;
  /** TLS handshake, from the connection on. */
  readonly handshake: Milliseconds;
  /** From the first byte awaited to the end of the headers: 408 after. */
  readonly headers: Milliseconds;
  /** The whole request: 408 after. At least `headers`. */
  readonly request: Milliseconds;
  /** A connection on which nothing moves, in either direction. */
  readonly idle: Milliseconds;
  /** How long open requests may take to end once the server stops. */
  readonly drain: Milliseconds;
  /** How often `headers` and `request` are checked. */
  readonly check: Milliseconds;
}

export const DEFAULT_LIMITS: ServerLimits = {
  connections: 1024,
  requestsPerConnection: 1000,
  headerBytes: 8192,
  handshake: milliseconds(10_000),
  headers: milliseconds(10_000),
  request: milliseconds(15_000),
  idle: milliseconds(60_000),
  drain: milliseconds(5_000),
  check: milliseconds(2_000),
};
