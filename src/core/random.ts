/**
 * Chance comes in: everything random takes a `Random`. Key generation alone uses the engine's own source.
 */

import { randomBytes, randomFillSync, randomUUID } from "node:crypto";

export interface Random {
  /** Cryptographically strong bytes. */
  bytes(length: number): Uint8Array;
  /** 0 ≤ x < 1: for jitter only. */
  uniform(): number;
  /** RFC 9562 version 4. */
  uuid(): string;
}

/** A call of the engine costs the same for 16 bytes as for this many. */
const POOL_BYTES = 1024;

/** Each byte is given out once, and nothing of it stays here. */
class RandomPool {
  readonly #pool = new Uint8Array(POOL_BYTES);
  #used = POOL_BYTES;

  take(length: number): Uint8Array {
    if (length > POOL_BYTES / 4) return randomBytes(length);
    if (this.#used + length > POOL_BYTES) {
      randomFillSync(this.#pool);
      this.#used = 0;
    }
    const end = this.#used + length;
    const bytes = this.#pool.slice(this.#used, end);
    this.#pool.fill(0, this.#used, end);
    this.#used = end;
    return bytes;
  }
}

const pool = new RandomPool();

export const systemRandom: Random = {
  bytes: (length) => pool.take(length),
  uniform: () => Math.random(),
  uuid: () => randomUUID(),
};
