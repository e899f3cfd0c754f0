/**
 * Local mode's outside: desired state from one directory, everything written to another, both held against the disk.
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Journal } from "../authority/slot.ts";
import type {
  Changes,
  DesiredState,
  JournalStore,
  KeyStore,
  RotationRequests,
  StatusWriter,
} from "../controller/ports.ts";
import { type Milliseconds, milliseconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";
import { OperatorError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import type { Secret } from "../core/secret.ts";
import { distrustedIn, rotationsIn } from "../registration/rotation-annotations.ts";
import {
  type ServiceIdentity,
  type ServiceIdentityStatus,
  type TrustDomainObject,
  type TrustDomainStatus,
} from "../registration/service-identity.ts";
import type { TrustDomain } from "../spiffe/trust-domain.ts";
import { collectRemoved } from "./collection.ts";
import { describeProblem, type SourceProblem } from "./documents.ts";
import { Faults } from "./faults.ts";
import { ensureDirectory, errnoOf } from "./files.ts";
import { openForGroup } from "./group-access.ts";
import { modesFor, ObjectStore, prepareNamespace } from "./object-store.ts";
import { defaultTrustDomain, identityOf, keyOf, type Merge, Registry, trustDomainOf } from "./registry.ts";
import { readRequests, renewedBy } from "./requests.ts";
import { HeldRotations } from "./rotation-requests.ts";
import { SecretFiles } from "./secret-files.ts";
import { type Scan, Source, type ValidateDocument } from "./source.ts";
import { SourceWatcher } from "./source-watcher.ts";
import { journalStore, keyStore } from "./state-stores.ts";
import {
  identityStatusPath,
  readIdentityStatus,
  readTrustDomainStatus,
  StatusFiles,
  statusPaths,
  trustDomainPath,
} from "./status-files.ts";
import { Untold } from "./untold.ts";
import { own } from "./volume.ts";

export interface DirectoryOptions {
  readonly identities: string;
  readonly out: string;
  readonly state: string;
  /** The name of the trust domain where no file says one. */
  readonly trustDomain: TrustDomain;
  readonly gid: number | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly validate: ValidateDocument;
  /** Told of every problem that is new since the last scan. */
  readonly onProblem: (problem: SourceProblem) => void;
}

const REMOVAL_GRACE = milliseconds(1000);
const REQUEST_POLL = milliseconds(1000);
/** Outputs and inputs are looked at again over this long, whatever the watchers say. */
const SWEEP = { perObject: 10, min: 10_000, max: 120_000 } as const;

export class Directory implements DesiredState, StatusWriter, RotationRequests {
  readonly objects: ObjectStore;
  readonly journal: JournalStore;
  readonly keys: KeyStore;
  readonly #options: DirectoryOptions;
  readonly #source: Source;
  readonly #registry: Registry;
  readonly #identities = new Map<string, ServiceIdentity>();
  readonly #rotations = new HeldRotations();
  readonly #watcher: SourceWatcher;
  readonly #statusFiles: StatusFiles;
  readonly #secrets: SecretFiles;
  #namespaces: readonly string[] | undefined;
  #known = new Set<string>();
  #problems: readonly SourceProblem[] = [];
  readonly #faults: Faults;
  readonly #untold = new Untold();
  #first: Scan | undefined;
  #trustDomain: TrustDomainObject | undefined;
  #trustDomainStatus: TrustDomainStatus | undefined;

  constructor(options: DirectoryOptions) {
    this.#options = options;
    this.#faults = new Faults(options.onProblem);
    this.objects = new ObjectStore(options);
    this.journal = journalStore(options.state, () => this.#hasEvidence());
    this.keys = keyStore(options.state);
    this.#statusFiles = new StatusFiles(options.gid);
    this.#secrets = new SecretFiles(options.identities);
    this.#watcher = new SourceWatcher(options.clock);
    this.#source = new Source(options.identities, options.validate);
    this.#registry = new Registry(options.state, options.clock, options.random);
  }

  /**
   * Reads the identities directory and writes nothing: the TrustDomain to start with. @throws INVALID_CONFIGURATION (the
   * directory cannot be read; a bad, a second or another TrustDomain).
   */
  async scan(): Promise<TrustDomainObject> {
    const scan = await this.#scan();
    this.#tell(scan.problems);
    const [first, second] = scan.trustDomains;
    if (first !== undefined && second !== undefined) {
      const found = `${first.file}:${first.line}`;
      throw unusable(
        `${second.file}:${second.line}: a second TrustDomain; expected one at most, and ${found} holds one`,
      );
    }
    const bad = this.#problems.find((problem) => problem.kind === "TrustDomain");
    if (bad !== undefined) throw unusable(describeProblem(bad));
    this.#first = scan;
    this.#trustDomain =
      first === undefined
        ? defaultTrustDomain(this.#options.trustDomain, this.#options.clock)
        : trustDomainOf({ accepted: first, uid: "", creationTimestamp: "", generation: 1 });
    return this.#trustDomain;
  }

  /** Reads what earlier runs have left; the lock must be held. @throws JOURNAL_CORRUPT, STORAGE_FAILED. */
  async load(): Promise<void> {
    this.#registry.load();
    this.#trustDomainStatus = readTrustDomainStatus(trustDomainPath(this.#options.out));
    await this.objects.load();
  }

  /** Takes up what `scan` has found. From here on there are identities. */
  adopt(): void {
    this.objects.mend();
    if (this.#first !== undefined) this.#adopt(this.#first, this.#registry.merge(this.#first));
    this.#secrets.changed(this.#identities.values());
    this.#first = undefined;
    this.#trustDomain = undefined;
    const { out, gid } = this.#options;
    const objects = this.objects.refs().map((ref) => this.objects.pathOf(ref));
    if (gid !== undefined) openForGroup([...objects, ...statusPaths(out, this.#identities.values())], gid);
  }

  identity(key: string): ServiceIdentity | undefined {
    return this.#identities.get(key);
  }

  identities(): Iterable<ServiceIdentity> {
    return this.#identities.values();
  }

  /** What was not accepted by the last scan, and what cannot be done. */
  get problems(): readonly SourceProblem[] {
    return [...this.#problems, ...this.#faults.current];
  }

  trustDomain(): TrustDomainObject {
    const record = this.#registry.trustDomain;
    this.#trustDomain ??=
      record === undefined
        ? defaultTrustDomain(this.#options.trustDomain, this.#options.clock)
        : trustDomainOf(record);
    return this.#trustDomainStatus === undefined
      ? this.#trustDomain
      : { ...this.#trustDomain, status: this.#trustDomainStatus };
  }

  /** A directory has no ServiceAccounts: the identity itself declares its own. */
  serviceAccountExists(): boolean {
    return true;
  }

  bundleNamespaces(): readonly string[] {
    this.#namespaces ??= [
      ...new Set([...this.#identities.values()].map((identity) => identity.metadata.namespace)),
    ].sort();
    return this.#namespaces;
  }

  async secretValue(namespace: string, name: string, key: string): Promise<Secret | undefined> {
    return this.#secrets.value(namespace, name, key);
  }

  pending(): ReturnType<RotationRequests["pending"]> {
    return { ...rotationsIn(this.trustDomain().metadata.annotations), ...this.#rotations.newest };
  }

  distrusted(): ReadonlySet<string> {
    return new Set([...distrustedIn(this.trustDomain().metadata.annotations), ...this.#rotations.distrusted]);
  }

  async writeIdentityStatus(identity: ServiceIdentity, status: ServiceIdentityStatus): Promise<void> {
    const key = keyOf(identity.metadata);
    const current = this.#identities.get(key);
    if (current === undefined || current.metadata.uid !== identity.metadata.uid) return;
    const written = { ...current, status };
    const { out, gid } = this.#options;
    prepareNamespace(out, identity.metadata.namespace, modesFor(gid));
    this.#statusFiles.write(identityStatusPath(out, identity.metadata), written);
    this.#identities.set(key, written);
  }

  async writeTrustDomainStatus(status: TrustDomainStatus): Promise<void> {
    this.#statusFiles.write(trustDomainPath(this.#options.out), { ...this.trustDomain(), status });
    this.#trustDomainStatus = status;
  }

  /** `payments.yaml:7`: where a field of an identity, or of the TrustDomain (no key), stands; undefined where no file has it. */
  locate(key: string | undefined, path: readonly (string | number)[]): string | undefined {
    const [first] = this.#first?.trustDomains ?? [];
    const accepted =
      key === undefined
        ? (first ?? this.#registry.trustDomain?.accepted)
        : this.#registry.identity(key)?.accepted;
    if (accepted === undefined) return undefined;
    const line = this.#source.locate(accepted, path);
    return line === undefined ? accepted.file : `${accepted.file}:${line}`;
  }

  /**
   * Removes what belongs to identities that are gone, and their records after it. What fails is a problem, and met again by
   * the next scan, or the next start.
   */
  async collect(signal: AbortSignal): Promise<void> {
    const parts = {
      registry: this.#registry,
      objects: this.objects,
      statusFiles: this.#statusFiles,
      out: this.#options.out,
    };
    await this.#faults.attempt("collect", () => collectRemoved(parts, signal));
  }

  /** Follows changes on both sides until `signal` aborts. */
  async run(changes: Changes, signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#follow(changes, signal),
      this.#sweep(changes, signal),
      this.#poll(changes, signal),
    ]);
    this.#watcher.close();
  }

  /** Takes up the requests that commands have left; each is on record before it is removed. */
  async takeRequests(changes: Changes): Promise<void> {
    for (const { id, request, remove } of readRequests(this.#options.state)) {
      if (request?.kind === "rotate") {
        const { authority: kind, compromised } = request;
        const isNew = this.#rotations.hold({ kind, value: id, compromised, remove });
        if (isNew) changes.rotationRequested();
        continue;
      }
      const known = this.#registry.renew(renewedBy(request).map(keyOf), id);
      for (const key of known) this.#refresh(key);
      this.#untold.add(known);
      remove();
    }
    await this.#announce(changes);
  }

  /** Ends the requests for rotation that the journal has honoured. */
  honoured(journal: Pick<Journal, "honoured" | "slots">): void {
    this.#rotations.honoured(journal);
  }

  async #scan(): Promise<Scan> {
    try {
      return await this.#source.scan();
    } catch (cause) {
      if (cause instanceof OperatorError) throw cause;
      const { identities } = this.#options;
      throw unusable(
        `--identities: ${identities} cannot be read (${errnoOf(cause) ?? "failed"}); expected a directory of ServiceIdentity files`,
        cause,
      );
    }
  }

  #tell(problems: readonly SourceProblem[]): void {
    const known = new Set<string>();
    for (const problem of problems) {
      const id = JSON.stringify(problem);
      known.add(id);
      if (!this.#known.has(id)) this.#options.onProblem(problem);
    }
    this.#known = known;
    this.#problems = problems;
  }

  #adopt(scan: Scan, merge: Merge): void {
    const isStart = this.#identities.size === 0;
    for (const key of merge.changed) this.#refresh(key);
    // At a start everything is new to us, whatever has changed since the last run.
    if (isStart) for (const record of this.#registry.identities()) this.#refresh(keyOf(record.accepted));
    if (merge.trustDomainChanged) this.#trustDomain = undefined;
    this.#tell([...scan.problems, ...merge.problems]);
  }

  #refresh(key: string): void {
    const record = this.#registry.identity(key);
    if (record === undefined || !this.#identities.has(key)) this.#namespaces = undefined;
    if (record === undefined) {
      this.#identities.delete(key);
      return;
    }
    const known = this.#identities.get(key);
    const status =
      known?.metadata.uid === record.uid
        ? known.status
        : readIdentityStatus(identityStatusPath(this.#options.out, record.accepted), record.uid);
    const identity = identityOf(record);
    this.#identities.set(key, status === undefined ? identity : { ...identity, status });
  }

  #hasEvidence(): boolean {
    const { state } = this.#options;
    // Keys alone are none: a kill in the middle of the very first start leaves them, and nobody has seen them yet.
    if (existsSync(join(state, "objects.json")) || (this.#trustDomainStatus?.bundle?.sequence ?? 0) > 0)
      return true;
    return this.objects.refs().some((ref) => ref.kind === "ConfigMap");
  }

  async #follow(changes: Changes, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.collect(signal);
      this.#watcher.watch(this.#source.directories);
      await this.#watcher.untilTouched(this.#period(), signal);
      if (signal.aborted) return;
      await this.#faults.attempt("scan", async () => {
        const scan = await this.#settledScan(signal);
        if (signal.aborted) return;
        const merge = this.#registry.merge(scan);
        const namespaces = this.bundleNamespaces().join();
        this.#adopt(scan, merge);
        if (merge.trustDomainChanged) changes.trustDomainChanged();
        if (this.bundleNamespaces().join() !== namespaces) changes.namespacesChanged();
        this.#untold.add([...merge.changed, ...this.#secrets.changed(this.#identities.values())]);
        await this.#announce(changes);
      });
    }
  }

  async #announce(changes: Changes): Promise<void> {
    await this.#faults.attempt("announce", () => this.#untold.tell(changes));
  }

  /** A file that is being rewritten is empty for a moment: what seems to be gone must be gone a second later too. */
  async #settledScan(signal: AbortSignal): Promise<Scan> {
    const scan = await this.#scan();
    if (!this.#registry.wouldRemove(scan)) return scan;
    await this.#options.clock.sleep(REMOVAL_GRACE, signal);
    return this.#scan();
  }

  async #sweep(changes: Changes, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      await clock.sleep(this.#period(), signal);
      const pause = (): Promise<void> => clock.sleep(milliseconds(20), signal);
      await this.#faults.attempt("sweep", () => this.objects.sweep(changes, pause, signal));
    }
  }

  async #poll(changes: Changes, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#faults.attempt("requests", () => this.takeRequests(changes));
      await this.#options.clock.sleep(REQUEST_POLL, signal);
    }
  }

  /** With jitter: ten seconds, longer for a large OUT, so that looking costs a fraction of a percent. */
  #period(): Milliseconds {
    const wanted = Math.min(SWEEP.max, Math.max(SWEEP.min, this.objects.refs().length * SWEEP.perObject));
    return milliseconds(wanted * (0.9 + 0.2 * this.#options.random.uniform()));
  }
}

/** Checks that both directories can be written. @throws INVALID_CONFIGURATION. */
export function prepareDirectories(options: {
  readonly out: string;
  readonly state: string;
  readonly gid: number | undefined;
}): void {
  const { directory } = modesFor(options.gid);
  ensureDirectory(options.out, directory, "--out");
  own(options.out, directory, options.gid);
  ensureDirectory(options.state, 0o700, "--state");
}

function unusable(message: string, cause?: unknown): OperatorError {
  return new OperatorError("INVALID_CONFIGURATION", message, { cause });
}
