/**
 * The state directory of a `meshid local`, there or not: whoever restores may have lost all of it.
 */

import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { RECORD_FILES } from "../../authority/backup-file.ts";
import type { Clock } from "../../core/clock.ts";
import { isOperatorError } from "../../core/errors.ts";
import { asRecord } from "../../core/strict-json.ts";
import { ifPresent, makeDirectory, replaceFile, storing } from "../../directory/files.ts";
import { journalPlace } from "../../directory/journal-place.ts";
import { lockState } from "../../directory/lock.ts";
import { defaultTrustDomain, type ObjectRecord, trustDomainOf } from "../../directory/registry.ts";
import { keyStore, readJson } from "../../directory/state-stores.ts";
import type { TrustDomainObject } from "../../registration/service-identity.ts";
import { listDirectory, readText } from "../files.ts";
import type { Io } from "../io.ts";
import type { GivenOptions } from "../options.ts";
import { flagsFor, namedPlaces, type Places } from "../places.ts";
import { type Published, type Records, sequenceIn, stampOf, type Vault } from "./vault.ts";

/** Of no use here: it is about the names of certificates. */
const CLUSTER_DOMAIN = "cluster.local";
const DEFAULT_BUNDLE = "meshid-bundle";

export interface VaultUse {
  readonly options: GivenOptions;
  readonly io: Io;
  /** Whether something will be written: then no `meshid local` may serve it. */
  readonly writes: boolean;
}

/** @throws INVALID_CONFIGURATION, STATE_LOCKED, STORAGE_FAILED; what `run` throws. */
export async function withLocalVault(
  { options, io, writes }: VaultUse,
  run: (vault: Vault) => Promise<number>,
): Promise<number> {
  const places = await namedPlaces(options);
  const { state } = places;
  if (!writes) return run(localVault(places, io));
  storing("creating", state, () => makeDirectory(state, 0o700));
  using _lock = lockState(state);
  return await run(localVault(places, io));
}

function localVault(places: Places, { clock }: Pick<Io, "clock">): Vault {
  const { state, out } = places;
  const journal = join(state, "journal.json");
  return {
    place: `the state ${state}`,
    clock,
    context: { mode: "local", clusterDomain: CLUSTER_DOMAIN },
    journals: journalPlace(state, stampOf(clock)),
    keyStore: keyStore(state),
    records: recordsOf(state),
    published: async (name) => {
      const { trustDomain, sequence } = await publishedIn(out);
      return { trustDomain: trustDomain ?? recordedTrustDomain(state, name, clock), sequence };
    },
    moveAway: `mv ${journal} ${journal}.old`,
    flags: ` ${flagsFor(places)}`,
    takenUp: `meshid local --identities DIR ${flagsFor(places)} goes on from here.`,
  };
}

function recordsOf(state: string): Records {
  /** Undefined where there is none. @throws JOURNAL_CORRUPT. */
  const read = (name: string): string | undefined => {
    const path = join(state, name);
    const text = ifPresent(path, () => readFileSync(path, "utf8"));
    if (text !== undefined) readJson(path, name.replace(/\.json$/, ""));
    return text;
  };
  const isLacking = (name: string): boolean => {
    try {
      return read(name) === undefined;
    } catch (error) {
      if (isOperatorError(error, "JOURNAL_CORRUPT")) return true;
      throw error;
    }
  };
  return {
    read: async () => {
      const found = RECORD_FILES.map((name) => [name, read(name)] as const);
      return Object.fromEntries(
        found.filter((each): each is [(typeof each)[0], string] => each[1] !== undefined),
      );
    },
    lacking: async () => RECORD_FILES.filter(isLacking),
    write: async (name, text) => replaceFile(join(state, name), text, { mode: 0o600, durable: true }),
  };
}

/** What STATE tells of the TrustDomain where OUT is gone: without a record of one, it is that of nobody's file. */
function recordedTrustDomain(
  state: string,
  name: string | undefined,
  clock: Clock,
): TrustDomainObject | undefined {
  const path = join(state, "objects.json");
  if (ifPresent(path, () => statSync(path)) === undefined) return undefined;
  try {
    const records = Object.values(readJson(path, "objects") as Record<string, ObjectRecord>);
    for (const { accepted, ...record } of records)
      if (accepted.kind === "TrustDomain") return trustDomainOf({ ...record, accepted });
    return name === undefined ? undefined : defaultTrustDomain(name, clock);
  } catch (error) {
    if (isOperatorError(error, "JOURNAL_CORRUPT")) return undefined;
    throw error;
  }
}

/** What lies in OUT; where there is nothing, nothing is known. */
async function publishedIn(out: string): Promise<Published> {
  const trustDomain = await readTrustDomainObject(join(out, "trustdomain.yaml"));
  const name = trustDomain?.spec.bundle?.configMapName ?? DEFAULT_BUNDLE;
  const sequences = [trustDomain?.status?.bundle?.sequence ?? 0];
  for (const namespace of await directoriesIn(out)) {
    const path = join(out, namespace, name, "bundle.json");
    const text = ifPresent(path, () => readFileSync(path, "utf8"));
    if (text !== undefined) sequences.push(sequenceIn(text));
  }
  return { trustDomain, sequence: Math.max(...sequences) };
}

async function directoriesIn(out: string): Promise<readonly string[]> {
  try {
    const entries = await listDirectory(out);
    return entries
      .filter((entry) => entry.isDirectory && !entry.name.startsWith("."))
      .map(({ name }) => name);
  } catch (error) {
    if (isOperatorError(error, "NOT_FOUND")) return [];
    throw error;
  }
}

/** Undefined where there is none, or nothing that can be read: `meshid local` writes it anew then too. */
async function readTrustDomainObject(path: string): Promise<TrustDomainObject | undefined> {
  const text = await readText(path);
  if (text === undefined) return undefined;
  const { parse } = await import("yaml");
  try {
    const object = asRecord(parse(text, { maxAliasCount: 0 }));
    const name = asRecord(object?.["metadata"])?.["name"];
    // meshid's own file: the StatusWriter wrote it from this very type.
    if (typeof name === "string") return { spec: {}, ...object } as unknown as TrustDomainObject;
  } catch (error) {
    if (!(error instanceof Error) || error.name !== "YAMLParseError") throw error;
  }
  return undefined;
}
