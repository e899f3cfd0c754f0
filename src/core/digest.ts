/**
 * Content hashes: to tell whether two contents are the same, never as a credential.
 */

import { createHash } from "node:crypto";

/** Lower-case hex SHA-256 over the parts, each preceded by its length, so that no two lists collide. */
export function digest(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) {
    hash.update(`${typeof part === "string" ? Buffer.byteLength(part) : part.byteLength}:`).update(part);
  }
  return hash.digest("hex");
}
