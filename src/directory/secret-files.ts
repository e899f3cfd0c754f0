/**
 * `DIR/<namespace>/<name>/<key>`: the Secrets that specs refer to, as files in the identities directory.
 */

import { readFileSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { OperatorError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import { isSecretKey } from "../registration/names.ts";
import type { ServiceIdentity } from "../registration/service-identity.ts";
import { ifPresent } from "./files.ts";
import { keyOf } from "./registry.ts";

/** The most that Kubernetes lets a Secret hold. */
const MAX_BYTES = 1_048_576;

export class SecretFiles {
  readonly #root: string;
  /** By key of the identity that refers to it; the empty text where there is none. */
  #signatures: ReadonlyMap<string, string> = new Map();

  constructor(root: string) {
    this.#root = root;
  }

  /** Undefined when there is none. @throws STORAGE_FAILED for what is no file, or too large to be a Secret. */
  value(namespace: string, name: string, key: string): Secret | undefined {
    if (!isSecretKey(key)) return undefined;
    const path = join(this.#root, namespace, name, key);
    const text = ifPresent(path, () => {
      const stat = statSync(path);
      // Opening a pipe would wait for who writes to it.
      if (!stat.isFile() || stat.size > MAX_BYTES) throw unusable(path);
      return readFileSync(path, "utf8");
    });
    // What an editor or `echo` puts at the end of a file is no part of a password.
    return text === undefined ? undefined : new Secret(text.replace(/\r?\n$/, ""));
  }

  /** The identities whose Secret was touched since the last call. */
  changed(identities: Iterable<ServiceIdentity>): readonly string[] {
    const found = new Map<string, string>();
    for (const { metadata, spec } of identities) {
      const ref = spec.x509?.pkcs12?.passwordSecretRef;
      if (ref !== undefined) found.set(keyOf(metadata), this.#signature(metadata.namespace, ref));
    }
    const before = this.#signatures;
    this.#signatures = found;
    return [...found].flatMap(([key, signature]) => {
      const known = before.get(key);
      return known === undefined || known === signature ? [] : [key];
    });
  }

  #signature(namespace: string, { name, key }: { readonly name: string; readonly key: string }): string {
    let stat: Stats | undefined;
    try {
      stat = statSync(join(this.#root, namespace, name, key));
    } catch {
      return ""; // who reads it says why it cannot be read
    }
    return `${stat.ino}:${stat.size}:${stat.mtimeMs}:${stat.ctimeMs}`;
  }
}

function unusable(path: string): OperatorError {
  return new OperatorError(
    "STORAGE_FAILED",
    `reading ${path}: is no file of at most ${MAX_BYTES} bytes (1 MiB)`,
    { retryable: true, details: { path } },
  );
}
