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
  | { readonly kind: "renew"; readonly namespace: string; readonly name: string }
  | { readonly kind: "rotate"; readonly authority: AuthorityKind };

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

/** Whether a request still waits. */
export function isPending(stateDir: string, id: string): boolean {
  const path = join(stateDir, "requests", `${id}.json`);
  return ifPresent(path, () => readFileSync(path)) !== undefined;
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

function parseRequest(text: string): Request | undefined {
  try {
    const { kind, namespace, name, authority } = asRecord(parseStrictJson(text, "request")) ?? {};
    if (kind === "renew" && typeof namespace === "string" && typeof name === "string")
      return { kind, namespace, name };
    const asked = AUTHORITY_KINDS.find((one) => one === authority);
    return kind === "rotate" && asked !== undefined ? { kind, authority: asked } : undefined;
  } catch {
    return undefined;
  }
}
