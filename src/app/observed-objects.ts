/**
 * The objects with their status as `meshid local` has written them into OUT.
 */

import { join } from "node:path";
import { isOperatorError, messageOf, OperatorError } from "../core/errors.ts";
import { asRecord } from "../core/strict-json.ts";
import type {
  ServiceIdentityStatus,
  TrustDomainSpec,
  TrustDomainStatus,
} from "../registration/service-identity.ts";
import { listDirectory, readText } from "./files.ts";

export interface ObservedIdentity {
  readonly namespace: string;
  readonly name: string;
  /** RFC 3339. */
  readonly creationTimestamp: string | undefined;
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status: ServiceIdentityStatus;
}

export interface ObservedTrustDomain {
  readonly name: string;
  readonly spec: TrustDomainSpec;
  readonly status: TrustDomainStatus;
}

/** A file that is there and cannot be read as what it should be. */
interface UnreadableObject {
  readonly path: string;
  readonly message: string;
}

export interface ObservedIdentities {
  /** By namespace, then name. */
  readonly identities: readonly ObservedIdentity[];
  readonly unreadable: readonly UnreadableObject[];
}

export interface IdentityFile {
  readonly namespace: string;
  readonly name: string;
  readonly path: string;
}

const SUFFIX = ".serviceidentity.yaml";
/** Files open at once. */
const BATCH = 32;

/** Of one namespace, or of all. @throws NOT_FOUND, STORAGE_FAILED when OUT cannot be listed. */
export async function readIdentities(out: string, namespace?: string): Promise<ObservedIdentities> {
  const files = await listIdentities(out, namespace);
  const identities: ObservedIdentity[] = [];
  const unreadable: UnreadableObject[] = [];
  for (let start = 0; start < files.length; start += BATCH) {
    const read = await Promise.all(files.slice(start, start + BATCH).map(readIdentity));
    for (const each of read) {
      if (each === undefined) continue;
      if ("message" in each) unreadable.push(each);
      else identities.push(each);
    }
  }
  return { identities, unreadable };
}

/** Of one identity; undefined where there is none. @throws INVALID_INPUT, STORAGE_FAILED when its file cannot be read. */
export async function readOneIdentity(
  out: string,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): Promise<ObservedIdentity | undefined> {
  const path = join(out, namespace, `${name}${SUFFIX}`);
  const found = await readIdentity({ namespace, name, path });
  if (found === undefined || !("message" in found)) return found;
  throw new OperatorError("INVALID_INPUT", `${found.path}: ${found.message}`);
}

/** The identities that have a status, without reading any. @throws NOT_FOUND, STORAGE_FAILED */
export async function listIdentities(out: string, namespace?: string): Promise<readonly IdentityFile[]> {
  const entries = await listDirectory(out);
  const namespaces = entries.filter((entry) => entry.isDirectory && !entry.name.startsWith("."));
  const files: IdentityFile[] = [];
  for (const { name: each } of namespaces) {
    if (namespace !== undefined && each !== namespace) continue;
    for (const entry of await listDirectory(join(out, each))) {
      if (entry.isDirectory || !entry.name.endsWith(SUFFIX)) continue;
      files.push({
        namespace: each,
        name: entry.name.slice(0, -SUFFIX.length),
        path: join(out, each, entry.name),
      });
    }
  }
  return files;
}

/** Undefined where there is none yet. @throws INVALID_INPUT when the file is no TrustDomain. */
export async function readTrustDomain(out: string): Promise<ObservedTrustDomain | undefined> {
  const path = join(out, "trustdomain.yaml");
  const text = await readText(path);
  if (text === undefined) return undefined;
  const object = await parseObject(text);
  const name = asRecord(object["metadata"])?.["name"];
  return {
    name: typeof name === "string" ? name : "",
    // meshid's own file, made of objects that the schema has accepted.
    spec: asRecord(object["spec"]) ?? {},
    status: asRecord(object["status"]) ?? {},
  };
}

/** Undefined where it went away meanwhile. */
async function readIdentity(at: IdentityFile): Promise<ObservedIdentity | UnreadableObject | undefined> {
  try {
    const text = await readText(at.path);
    if (text === undefined) return undefined;
    const object = await parseObject(text);
    const created = asRecord(object["metadata"])?.["creationTimestamp"];
    return {
      namespace: at.namespace,
      name: at.name,
      creationTimestamp: typeof created === "string" ? created : undefined,
      spec: asRecord(object["spec"]) ?? {},
      // meshid's own file: the StatusWriter wrote it from this very type.
      status: asRecord(object["status"]) ?? {},
    };
  } catch (error) {
    const isYaml = error instanceof Error && error.name === "YAMLParseError";
    if (!isOperatorError(error) && !isYaml) throw error;
    return { path: at.path, message: isYaml ? "is not YAML" : messageOf(error) };
  }
}

/** YAML is loaded only when something is read. */
async function parseObject(text: string): Promise<Readonly<Record<string, unknown>>> {
  const { parse } = await import("yaml");
  const value: unknown = parse(text, { maxAliasCount: 0 });
  return asRecord(value) ?? {};
}
