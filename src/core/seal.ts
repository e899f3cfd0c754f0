/**
 * A seal under a password: who does not know the password can neither make one nor change what is sealed.
 */

import { createHmac, scryptSync, timingSafeEqual } from "node:crypto";
import type { Secret } from "./secret.ts";

/** OWASP's numbers for scrypt: 128 MiB and some 0.4 s for each guess at the password. */
const COST = { N: 2 ** 17, r: 8, p: 1, maxmem: 2 ** 28 } as const;
const KEY_BYTES = 32;

/** Lower-case hex HMAC-SHA256 with a key that scrypt (RFC 7914) makes of the password. `salt`: random, kept beside the seal. */
export function sealOf(content: string, password: Secret, salt: Uint8Array): string {
  const key = scryptSync(password.reveal(), salt, KEY_BYTES, COST);
  return createHmac("sha256", key).update(content).digest("hex");
}

/** Whether the two are the same, in a time that does not tell where they differ. */
export function isSameSeal(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
