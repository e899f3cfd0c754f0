/**
 * What meshid notes on the Secrets it writes: read back in place of the private key.
 */

export const SPIFFE_ID_ANNOTATION = "meshid.dev/spiffe-id";
/** `KeyHashes` of what was issued: tells whether someone else changed it. */
export const CONTENT_ANNOTATION = "meshid.dev/content";
export const REVISION_ANNOTATION = "meshid.dev/revision";
/** The ttl that was asked for at the issuance, in Go syntax. */
export const TTL_ANNOTATION = "meshid.dev/ttl";
/** RFC 3339: since when the workload has had a certificate without a gap. */
export const ISSUED_SINCE_ANNOTATION = "meshid.dev/issued-since";

/** `passwordCheck` of the password that the PKCS#12 files were written with. */
export const PASSWORD_ANNOTATION = "meshid.dev/password-check";

/** How many certificates were issued into a Secret; 0 where nothing that makes sense says so. */
export function revisionIn(annotations: Readonly<Record<string, string>>): number {
  const revision = Number(annotations[REVISION_ANNOTATION] ?? 0);
  return Number.isSafeInteger(revision) && revision > 0 ? revision : 0;
}

/** By key of the Secret: a short digest of its value. Public documents are left out. */
export type KeyHashes = Readonly<Record<string, string>>;

/** `tls.crt=0123456789abcdef,tls.key=…`, sorted. */
export function encodeKeyHashes(hashes: KeyHashes): string {
  return Object.keys(hashes)
    .sort()
    .map((key) => `${key}=${hashes[key] ?? ""}`)
    .join(",");
}

/** What cannot be read is left out, so that it counts as changed. */
export function decodeKeyHashes(text: string | undefined): KeyHashes {
  const pairs = (text ?? "").split(",").map((pair) => pair.split("="));
  return Object.fromEntries(pairs.flatMap(([key, hash]) => (key && hash ? [[key, hash] as const] : [])));
}
