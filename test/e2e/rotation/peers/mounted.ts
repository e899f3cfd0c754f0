/**
 * A mounted Secret volume, read as a workload should: what `..data` points to is resolved once, and everything is taken from there.
 */

import type { X509Certificate } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

export type Files = Readonly<Record<string, string>>;

const ATTEMPTS = 5;

/** Reads the directory anew only when its revision has changed. */
export class Mounted<Value> {
  readonly #directory: string;
  readonly #names: readonly string[];
  readonly #make: (files: Files, revision: string) => Value;
  #revision = "";
  #value: Value | undefined;

  /** `names`: of the files; `make`: what is kept of them. */
  constructor(directory: string, names: readonly string[], make: (files: Files, revision: string) => Value) {
    this.#directory = directory;
    this.#names = names;
    this.#make = make;
  }

  get current(): Value {
    for (let attempt = 1; ; attempt++) {
      try {
        const revision = readlinkSync(join(this.#directory, "..data"));
        if (this.#value !== undefined && revision === this.#revision) return this.#value;
        const at = (name: string): string => join(this.#directory, revision, name);
        const files = Object.fromEntries(this.#names.map((name) => [name, readFileSync(at(name), "utf8")]));
        this.#value = this.#make(files, revision);
        this.#revision = revision;
        return this.#value;
      } catch (error) {
        // Swapped away in between: look again.
        const isGone = error instanceof Error && "code" in error && error.code === "ENOENT";
        if (!isGone || attempt === ATTEMPTS) throw error;
      }
    }
  }
}

/** The SPIFFE ID of a peer's certificate: its one URI SAN. */
export function spiffeIdOf(certificate: X509Certificate | undefined): string | undefined {
  const uris = (certificate?.subjectAltName ?? "").split(", ").filter((name) => name.startsWith("URI:"));
  return uris.length === 1 ? uris[0]?.slice(4) : undefined;
}
