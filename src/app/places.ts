/**
 * Where a running `meshid local` keeps its things: OUT and STATE, from whichever of the two the user named.
 */

import { basename, dirname, join, resolve } from "node:path";
import { OperatorError } from "../core/errors.ts";
import { asRecord, parseStrictJson } from "../core/strict-json.ts";
import { lockHolder } from "../directory/lock.ts";
import { isDirectory, readText } from "./files.ts";
import { type GivenOptions, textOf } from "./options.ts";

export interface Places {
  /** Absolute paths. */
  readonly out: string;
  readonly state: string;
}

const DEFAULT_STATE = ".meshid";

/** @throws INVALID_CONFIGURATION when neither is named, or they are not what they should be. */
export async function findPlaces(options: GivenOptions): Promise<Places> {
  return requireDirectories(await namedPlaces(options), options);
}

/** Whether or not there is anything. @throws INVALID_CONFIGURATION when neither is named, or one does not tell of the other. */
export async function namedPlaces(options: GivenOptions): Promise<Places> {
  const out = textOf(options, "out");
  const state = textOf(options, "state");
  if (state === undefined) {
    if (out === undefined)
      throw usage(
        "--out or --state: is missing; expected --out DIR, what meshid local writes to, or its --state DIR",
      );
    return { out: resolve(out), state: join(resolve(out), DEFAULT_STATE) };
  }
  const statePath = resolve(state);
  return { state: statePath, out: out === undefined ? await outOf(statePath) : resolve(out) };
}

/** The flags that name these places to a command, fit for a shell. */
export function flagsFor({ out, state }: Places): string {
  const rest = state === join(out, DEFAULT_STATE) ? "" : ` --state ${shellWord(state)}`;
  return `--out ${shellWord(out)}${rest}`;
}

/** The process that serves `state`; undefined when none does. */
export function holderOf(state: string): { readonly pid: number } | undefined {
  const pid = lockHolder(state);
  return pid === undefined ? undefined : { pid };
}

/** As `meshid local` has noted it in STATE; next to it where it has not. */
async function outOf(state: string): Promise<string> {
  const text = await readText(join(state, "out.json"));
  if (text !== undefined) {
    const { out } = asRecord(parseStrictJson(text, state)) ?? {};
    if (typeof out === "string") return out;
  }
  if (basename(state) === DEFAULT_STATE) return dirname(state);
  throw usage(`--state ${state}: does not say which OUT belongs to it; expected --out DIR too`);
}

async function requireDirectories(places: Places, options: GivenOptions): Promise<Places> {
  for (const name of ["state", "out"] as const) {
    const path = places[name];
    if (await isThere(path)) continue;
    const from =
      options.get(name)?.from ??
      (name === "state" ? `the state directory of ${options.get("out")?.from ?? "--out"}` : "--out");
    throw usage(
      `${from} ${path}: is not a directory; expected what a meshid local ${name === "out" ? "writes to" : "keeps its keys in"}`,
    );
  }
  return places;
}

async function isThere(path: string): Promise<boolean> {
  try {
    return await isDirectory(path);
  } catch (error) {
    if (error instanceof OperatorError && error.code === "NOT_FOUND") return false;
    throw error;
  }
}

function usage(message: string): OperatorError {
  return new OperatorError("INVALID_CONFIGURATION", message);
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
