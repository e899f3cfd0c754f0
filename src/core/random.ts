/**
 * Chance comes in: everything random takes a `Random`. Key generation alone uses the engine's own source.
 */

import { randomBytes, randomUUID } from "node:crypto";

export interface Random {
  /** Cryptographically strong bytes. */
  bytes(length: number): Uint8Array;
  /** 0 ≤ x < 1: for jitter only. */
  uniform(): number;
  /** RFC 9562 version 4. */
  uuid(): string;
}

export const systemRandom: Random = {
  bytes: (length) => randomBytes(length),
  uniform: () => Math.random(),
  uuid: () => randomUUID(),
};
