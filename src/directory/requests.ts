/**
 * STATE/requests/<id>.json: what `meshid renew` and `meshid rotate` leave for the process that holds STATE, or for the next one
 * that will. The value asked for is the request's ID, so that a request that is met twice (a crash before its file was
 * removed) means the same as once.
 */

import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { AUTHORITY_KINDS, type AuthorityKind } from "../authority/slot.ts";
import type { Clock } from "../core/clock.ts";
import { OperatorError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import { asRecord, parseStrictJson } from "../core/strict-json.ts";
import { ifPresent, makeDirectory, replaceFile, storing } from "./files.ts";

export type Request =
  | ({ readonly kind: "renew" } & IdentityName)
  /** Many at once: either all of them are asked for, or none. */
  | { readonly kind: "renew-all"; readonly identities: readonly IdentityName[] }
  | {
      readonly kind: "rotate";
      readonly authority: AuthorityKind;
      /** The ID of a key that nobody shall trust any more. */
      readonly compromised?: string;
    };

export interface IdentityName {
  readonly namespace: string;
  readonly name: string;
}

export interface FoundRequest {
  readonly id: string;
  /** Undefined for a file that holds none. */
  readonly request: Request | undefined;
  /** Call once what was asked for is on record. */
  readonly remove: () => void;
}

const FILE = /^([0-9]{12}-[0-9a-f]{16})\.json$/;
/** More wait their turn. */
const MAX_AT_ONCE = 1000;

/**
 * Leaves a request and returns its ID; takes no lock. @throws INVALID_CONFIGURATION when `stateDir` is no state, STORAGE_FAILED.
 */
export function leaveRequest(
  stateDir: string,
  request: Request,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): string {
  if (ifPresent(stateDir, () => readFileSync(join(stateDir, "journal.json"))) === undefined) {
    const message = `--state: ${stateDir} is no state of meshid; expected the directory that meshid local uses (by default OUT/.meshid)`;
    throw new OperatorError("INVALID_CONFIGURATION", message, { details: { path: stateDir } });
  }
  const directory = join(stateDir, "requests");
  storing("creating", directory, () => makeDirectory(directory, 0o700));
  // Sorts by time.
  const id = `${String(clock.now()).padStart(12, "0")}-${Buffer.from(random.bytes(8)).toString("hex")}`;
  replaceFile(join(directory, `${id}.json`), `${JSON.stringify(request)}\n`, { mode: 0o600, durable: true });
  return id;
}

/** The oldest first. */
export function readRequests(stateDir: string): readonly FoundRequest[] {
  const directory = join(stateDir, "requests");
  const names = ifPresent(directory, () => readdirSync(directory)) ?? [];
  return names
    .sort()
    .flatMap((name) => FILE.exec(name)?.[1] ?? [])
    .slice(0, MAX_AT_ONCE)
    .map((id) => {
      const path = join(directory, `${id}.json`);
      const text = ifPresent(path, () => readFileSync(path, "utf8")) ?? "";
      return {
        id,
        request: parseRequest(text),
        remove: () => storing("removing", path, () => rmSync(path, { force: true })),
      };
    });
}

/** The identities that are to be renewed; none for a file that holds no request. */
export function renewedBy(
  request: Exclude<Request, { readonly kind: "rotate" }> | undefined,
): readonly IdentityName[] {
  if (request === undefined) return [];
  return request.kind === "renew" ? [request] : request.identities;
}

function parseRequest(text: string): Request | undefined {
  try {
    const fields = asRecord(parseStrictJson(text, "request")) ?? {};
    const { kind, identities, authority, compromised } = fields;
    if (kind === "renew") {
      const identity = identityIn(fields);
      return identity === undefined ? undefined : { kind, ...identity };
    }
    if (kind === "renew-all") {
      if (!Array.isArray(identities)) return undefined;
      const named = identities.flatMap((one: unknown) => identityIn(one) ?? []);
      return named.length === identities.length ? { kind, identities: named } : undefined;
    }
    const asked = AUTHORITY_KINDS.find((one) => one === authority);
    if (kind !== "rotate" || asked === undefined) return undefined;
    if (compromised === undefined) return { kind, authority: asked };
    return typeof compromised === "string" ? { kind, authority: asked, compromised } : undefined;
  } catch {
    return undefined;
  }
}

function identityIn(value: unknown): IdentityName | undefined {
  const { namespace, name } = asRecord(value) ?? {};
  return typeof namespace === "string" && typeof name === "string" ? { namespace, name } : undefined;
}
