/**
 * How a workload reads its mounted X.509-SVID without ever meeting a torn pair: resolve `..data` once, read the key, the
 * chain and the bundle from what it points to, and check that the pair fits.
 */

import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile, readlink } from "node:fs/promises";
import { join } from "node:path";

export interface Credentials {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
  /** Changes with every swap of the directory. */
  readonly revision: string;
}

export async function readCredentials(directory: string): Promise<Credentials> {
  for (let attempt = 1; ; attempt++) {
    try {
      const revision = await readlink(join(directory, "..data"));
      const read = (name: string): Promise<string> => readFile(join(directory, revision, name), "utf8");
      const [cert, key, ca] = await Promise.all([read("tls.crt"), read("tls.key"), read("ca.crt")]);
      if (new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)))
        return { cert, key, ca, revision };
      throw new Error(`${directory}: tls.crt and tls.key do not belong together`);
    } catch (error) {
      // The revision was swapped away between the two steps: look again.
      const isGone = error instanceof Error && "code" in error && error.code === "ENOENT";
      if (!isGone || attempt === 5) throw error;
    }
  }
}

/** The SPIFFE ID of a peer's certificate: its one URI SAN. */
export function spiffeIdOf(subjectAltName: string | undefined): string | undefined {
  const uris = (subjectAltName ?? "").split(", ").filter((name) => name.startsWith("URI:"));
  return uris.length === 1 ? uris[0]?.slice(4) : undefined;
}
