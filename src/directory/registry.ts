/**
 * The objects that local mode serves, as an API server would keep them: with a uid, a creation time and a generation. They
 * are in `STATE/objects.json`, written once for each batch of changes and before anyone is told of it.
 */

import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { type Clock, toRfc3339 } from "../core/clock.ts";
import { digest } from "../core/digest.ts";
import type { Random } from "../core/random.ts";
import {
  API_VERSION,
  RENEW_ANNOTATION,
  type ServiceIdentity,
  type TrustDomainObject,
} from "../registration/service-identity.ts";
import { checkIdentityTransition } from "../registration/transitions.ts";
import type { SourceProblem } from "./documents.ts";
import { replaceFile } from "./files.ts";
import type { AcceptedIdentity, AcceptedTrustDomain, Scan } from "./source.ts";
import { readJson } from "./state-stores.ts";

type Accepted = AcceptedIdentity | AcceptedTrustDomain;

/** `kind` and names come with `accepted`. */
export interface ObjectRecord<A extends Accepted = Accepted> {
  readonly accepted: A;
  readonly uid: string;
  /** RFC 3339. */
  readonly creationTimestamp: string;
  readonly generation: number;
  /** The value of the last `meshid renew`; gives way to a newer annotation in the file. */
  readonly renew?: string;
}

interface StoredRecord extends ObjectRecord {
  readonly isRemoved?: true;
}

export interface Merge {
  /** Keys of identities that were added, changed or removed. */
  readonly changed: readonly string[];
  readonly trustDomainChanged: boolean;
  readonly problems: readonly SourceProblem[];
}

export class Registry {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #random: Random;
  #identities = new Map<string, ObjectRecord<AcceptedIdentity>>();
  #trustDomain: ObjectRecord<AcceptedTrustDomain> | undefined;
  #removed: readonly ObjectRecord<AcceptedIdentity>[] = [];

  constructor(stateDir: string, clock: Clock, random: Random) {
    this.#path = join(stateDir, "objects.json");
    this.#clock = clock;
    this.#random = random;
  }

  /** @throws JOURNAL_CORRUPT. */
  load(): void {
    const records = Object.values(readJson(this.#path, "objects") as Record<string, StoredRecord>);
    for (const { isRemoved, ...record } of records) {
      if (isTrustDomain(record)) this.#trustDomain = record;
      else if (isIdentity(record) && isRemoved === true) this.#removed = [...this.#removed, record];
      else if (isIdentity(record)) this.#identities.set(keyOf(record.accepted), record);
    }
  }

  identity(key: string): ObjectRecord<AcceptedIdentity> | undefined {
    return this.#identities.get(key);
  }

  identities(): Iterable<ObjectRecord<AcceptedIdentity>> {
    return this.#identities.values();
  }

  get trustDomain(): ObjectRecord<AcceptedTrustDomain> | undefined {
    return this.#trustDomain;
  }

  /** Identities that are gone and may have left something behind: on record until `forget`. */
  get removed(): readonly ObjectRecord<AcceptedIdentity>[] {
    return this.#removed;
  }

  /** Takes up a scan: durable when it returns. Nothing that is merely unreadable is removed. */
  merge(scan: Scan): Merge {
    const problems: SourceProblem[] = [];
    const { next, changed } = this.#mergeIdentities(scan, problems);
    const gone = [...this.#identities].filter(([key]) => !next.has(key)).map(([, record]) => record);
    const removed = [...this.#removed, ...gone];
    const trustDomain = this.#mergeTrustDomain(scan, problems);
    const trustDomainChanged = trustDomain !== this.#trustDomain;
    // What moved to another file is kept in mind, but tells nobody anything.
    const isMoved = [...next].some(([key, record]) => this.#identities.get(key) !== record);
    // Before anything is taken up: what could not be saved is new to the next scan again.
    if (isMoved || gone.length > 0 || trustDomainChanged)
      this.#save([...next.values()], trustDomain, removed);
    this.#identities = next;
    this.#trustDomain = trustDomain;
    this.#removed = removed;
    return {
      changed: [...changed, ...gone.map(({ accepted }) => keyOf(accepted))],
      trustDomainChanged,
      problems,
    };
  }

  /** Whether a scan lacks an object that is on record and cannot be hidden. */
  wouldRemove(scan: Scan): boolean {
    const found = new Set(scan.identities.map(keyOf));
    return [...this.#identities].some(
      ([key, { accepted }]) => !found.has(key) && !scan.mayHide(accepted.file),
    );
  }

  /** Ends the record of removed identities, once nothing of theirs is left. */
  forget(uids: ReadonlySet<string>): void {
    const removed = this.#removed.filter(({ uid }) => !uids.has(uid));
    this.#save([...this.#identities.values()], this.#trustDomain, removed);
    this.#removed = removed;
  }

  /** Notes a manual renewal of each of them that there is, which come back. */
  renew(keys: readonly string[], value: string): readonly string[] {
    const next = new Map(this.#identities);
    const known = keys.filter((key) => {
      const record = next.get(key);
      if (record !== undefined) next.set(key, { ...record, renew: value });
      return record !== undefined;
    });
    if (known.length === 0) return [];
    this.#save([...next.values()], this.#trustDomain, this.#removed);
    this.#identities = next;
    return known;
  }

  #mergeIdentities(
    scan: Scan,
    problems: SourceProblem[],
  ): { readonly next: Map<string, ObjectRecord<AcceptedIdentity>>; readonly changed: readonly string[] } {
    const next = new Map<string, ObjectRecord<AcceptedIdentity>>();
    const changed: string[] = [];
    for (const accepted of winners(
      scan.identities,
      (key) => this.#identities.get(key)?.accepted.file,
      problems,
    )) {
      const key = keyOf(accepted);
      const before = this.#identities.get(key);
      const fault =
        before && checkIdentityTransition(identityOf(before), identityOf({ ...before, accepted }));
      if (before !== undefined && fault !== undefined) {
        problems.push({
          file: accepted.file,
          line: accepted.line,
          field: fault.field,
          message: `${fault.message}; expected ${fault.expected}`,
        });
        next.set(key, before);
        continue;
      }
      const record = this.#record(before, accepted);
      next.set(key, record);
      if (before === undefined || !isSameObject(before, record)) changed.push(key);
    }
    for (const [key, record] of this.#identities) {
      if (!next.has(key) && scan.mayHide(record.accepted.file)) next.set(key, record);
    }
    return { next, changed };
  }

  #mergeTrustDomain(scan: Scan, problems: SourceProblem[]): ObjectRecord<AcceptedTrustDomain> | undefined {
    const before = this.#trustDomain;
    const isServed = ({ name }: AcceptedTrustDomain): boolean => name === before?.accepted.name;
    const accepted =
      scan.trustDomains.find((one) => isServed(one) && one.file === before?.accepted.file) ??
      scan.trustDomains.find(isServed) ??
      scan.trustDomains[0];
    for (const { file, line } of scan.trustDomains.filter((one) => one !== accepted)) {
      const message = `a second TrustDomain; ${accepted?.file}:${accepted?.line} holds the one that counts; expected one at most`;
      problems.push({ file, line, field: "kind", message });
    }
    if (accepted === undefined) {
      return before !== undefined && scan.mayHide(before.accepted.file) ? before : undefined;
    }
    if (before !== undefined && !isServed(accepted)) {
      const message = `the name of the trust domain is fixed; expected ${before.accepted.name}`;
      problems.push({ file: accepted.file, line: accepted.line, field: "metadata.name", message });
      return before;
    }
    const record = this.#record(before, accepted);
    const uid = trustDomainUid(accepted.name);
    return record.uid === uid ? record : { ...record, uid };
  }

  #record<A extends Accepted>(before: ObjectRecord<A> | undefined, accepted: A): ObjectRecord<A> {
    if (before === undefined) {
      const uid = this.#random.uuid();
      return { accepted, uid, creationTimestamp: toRfc3339(this.#clock.now()), generation: 1 };
    }
    if (isDeepStrictEqual(before.accepted, accepted)) return before;
    const isSpecSame = isDeepStrictEqual(before.accepted.spec, accepted.spec);
    const isRenewSame =
      before.accepted.annotations[RENEW_ANNOTATION] === accepted.annotations[RENEW_ANNOTATION];
    const { renew, ...kept } = before;
    return {
      ...kept,
      accepted,
      generation: before.generation + (isSpecSame ? 0 : 1),
      ...(isRenewSame && renew !== undefined ? { renew } : {}),
    };
  }

  #save(
    identities: readonly ObjectRecord[],
    trustDomain: ObjectRecord | undefined,
    removed: readonly ObjectRecord[],
  ): void {
    const records: readonly StoredRecord[] = [
      ...identities,
      ...(trustDomain === undefined ? [] : [trustDomain]),
      ...removed.map((record) => ({ ...record, isRemoved: true as const })),
    ];
    replaceFile(this.#path, JSON.stringify({ objects: records }), { mode: 0o600, durable: true });
  }
}

/** Owns the bundles: the same whether a file tells of the trust domain or none does. */
function trustDomainUid(name: string): string {
  const hex = digest("TrustDomain", name);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** `<namespace>/<name>` */
export function keyOf(accepted: Pick<AcceptedIdentity, "namespace" | "name">): string {
  return `${accepted.namespace}/${accepted.name}`;
}

export function identityOf({
  accepted,
  uid,
  creationTimestamp,
  generation,
  renew,
}: ObjectRecord<AcceptedIdentity>): ServiceIdentity {
  const annotations = {
    ...accepted.annotations,
    ...(renew === undefined ? {} : { [RENEW_ANNOTATION]: renew }),
  };
  return {
    apiVersion: API_VERSION,
    kind: "ServiceIdentity",
    metadata: {
      name: accepted.name,
      namespace: accepted.namespace,
      uid,
      creationTimestamp,
      generation,
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
      ...(Object.keys(accepted.labels).length === 0 ? {} : { labels: accepted.labels }),
    },
    spec: accepted.spec,
  };
}

export function trustDomainOf({
  accepted,
  uid,
  creationTimestamp,
  generation,
}: ObjectRecord<AcceptedTrustDomain>): TrustDomainObject {
  const { name, annotations } = accepted;
  return {
    apiVersion: API_VERSION,
    kind: "TrustDomain",
    metadata: {
      name,
      uid,
      creationTimestamp,
      generation,
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    },
    spec: accepted.spec,
  };
}

/** The trust domain that is served where no file tells of one. */
export function defaultTrustDomain(name: string, clock: Clock): TrustDomainObject {
  const creationTimestamp = toRfc3339(clock.now());
  const metadata = { name, uid: trustDomainUid(name), creationTimestamp, generation: 1 };
  return { apiVersion: API_VERSION, kind: "TrustDomain", metadata, spec: {} };
}

/** One document for each object: the file that had it before keeps it, else the first. */
function winners(
  accepted: readonly AcceptedIdentity[],
  recordedFile: (key: string) => string | undefined,
  problems: SourceProblem[],
): Iterable<AcceptedIdentity> {
  const found = new Map<string, AcceptedIdentity>();
  for (const one of accepted) {
    const key = keyOf(one);
    const rival = found.get(key);
    if (rival === undefined) {
      found.set(key, one);
      continue;
    }
    const isBetter = rival.file !== recordedFile(key) && one.file === recordedFile(key);
    const [winner, loser] = isBetter ? [one, rival] : [rival, one];
    found.set(key, winner);
    const message = `ServiceIdentity ${key} is defined in ${winner.file}:${winner.line} too, which counts; expected each object once`;
    problems.push({ file: loser.file, line: loser.line, field: "metadata.name", message });
  }
  return found.values();
}

function isSameObject(a: ObjectRecord<AcceptedIdentity>, b: ObjectRecord<AcceptedIdentity>): boolean {
  return isDeepStrictEqual(identityOf(a), identityOf(b));
}

function isIdentity(record: ObjectRecord): record is ObjectRecord<AcceptedIdentity> {
  return record.accepted.kind === "ServiceIdentity";
}

function isTrustDomain(record: ObjectRecord): record is ObjectRecord<AcceptedTrustDomain> {
  return record.accepted.kind === "TrustDomain";
}
