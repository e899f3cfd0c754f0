/**
 * Objects with their status, as `kubectl get -o yaml` shows them: `OUT/<namespace>/<name>.serviceidentity.yaml` and
 * `OUT/trustdomain.yaml`.
 */

import { lstatSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { isOperatorError, OperatorError } from "../core/errors.ts";
import type {
  ServiceIdentity,
  ServiceIdentityStatus,
  TrustDomainObject,
  TrustDomainStatus,
} from "../registration/service-identity.ts";
import { ifPresent, replaceFile, storing } from "./files.ts";
import { modesFor } from "./object-store.ts";
import { own } from "./volume.ts";

/** Quotes what older YAML parsers would take for a time or a number. */
const YAML = { lineWidth: 0, aliasDuplicateObjects: false, compat: "yaml-1.1" } as const;

export function identityStatusPath(
  out: string,
  { namespace, name }: { namespace: string; name: string },
): string {
  return join(out, namespace, `${name}.serviceidentity.yaml`);
}

export function trustDomainPath(out: string): string {
  return join(out, "trustdomain.yaml");
}

/** Of those that have been written. */
export function statusPaths(out: string, identities: Iterable<ServiceIdentity>): readonly string[] {
  const written = [...identities].filter(({ status }) => status !== undefined);
  return [trustDomainPath(out), ...written.map(({ metadata }) => identityStatusPath(out, metadata))];
}

/** Writes status files; one that is not meshid's is left alone. */
export class StatusFiles {
  readonly #gid: number | undefined;
  /** Paths that are known to be ours. */
  readonly #own = new Set<string>();

  constructor(gid: number | undefined) {
    this.#gid = gid;
  }

  /** @throws NOT_OWNED, STORAGE_FAILED. */
  write(path: string, object: ServiceIdentity | TrustDomainObject): void {
    if (!this.#own.has(path) && !isFreeOrOurs(path, object.kind)) {
      throw new OperatorError("NOT_OWNED", `${path} exists and is not meshid's: move it away`, {
        details: { path },
      });
    }
    this.#own.add(path);
    const { file } = modesFor(this.#gid);
    replaceFile(path, stringify(object, YAML), { mode: file, durable: false });
    own(path, file, this.#gid);
  }

  remove(path: string): void {
    this.#own.delete(path);
    if (isFreeOrOurs(path, "ServiceIdentity")) storing("removing", path, () => rmSync(path, { force: true }));
  }
}

/** Ours has the kind, a uid and a status: nobody writes such a file by hand. */
function isFreeOrOurs(path: string, kind: string): boolean {
  const stat = ifPresent(path, () => lstatSync(path));
  if (stat === undefined) return true;
  if (!stat.isFile()) return false;
  const text = ifPresent(path, () => readFileSync(path, "utf8")) ?? "";
  return text.includes(`kind: ${kind}\n`) && /^ {2}uid: /m.test(text) && /^status:/m.test(text);
}

/** The status that an earlier run wrote for the object of this uid; what cannot be read is no status. */
export function readIdentityStatus(path: string, uid: string): ServiceIdentityStatus | undefined {
  try {
    return readStatus(path, uid) as ServiceIdentityStatus | undefined;
  } catch (error) {
    // The others start all the same, and whoever writes it is told what is in the way.
    if (isOperatorError(error, "STORAGE_FAILED")) return undefined;
    throw error;
  }
}

export function readTrustDomainStatus(path: string): TrustDomainStatus | undefined {
  return readStatus(path, undefined) as TrustDomainStatus | undefined;
}

function readStatus(path: string, uid: string | undefined): unknown {
  const text = ifPresent(path, () => readFileSync(path, "utf8"));
  if (text === undefined) return undefined;
  try {
    const { metadata, status } = parse(text) as { metadata?: { uid?: string }; status?: unknown };
    return uid === undefined || metadata?.uid === uid ? status : undefined;
  } catch {
    return undefined; // damaged by someone: it is written anew
  }
}
