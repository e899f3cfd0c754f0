/**
 * The engine: queues, loops and reconcilers over ports. It knows no adapter; `compose.ts` hands them in.
 */

import type { Authority } from "../authority/authority.ts";
import type { AuthorityKind } from "../authority/slot.ts";
import type { AuthorityReconcilerDeps } from "../controller/authority-reconciler.ts";
import { AuthorityReconciler } from "../controller/authority-reconciler.ts";
import { BundleReconciler } from "../controller/bundle-reconciler.ts";
import { Claims } from "../controller/claims.ts";
import { type ControllerReport, runController } from "../controller/controller.ts";
import { KeyTurns } from "../controller/key-turns.ts";
import type {
  Applier,
  Audit,
  Changes,
  DesiredState,
  EventRecorder,
  HolderStore,
  ObservedState,
  Observer,
  RotationRequests,
  StatusWriter,
} from "../controller/ports.ts";
import { priorityOf } from "../controller/priority.ts";
import { Refusals } from "../controller/refusals.ts";
import { RewriteGuard } from "../controller/rewrite-guard.ts";
import { ServiceIdentityReconciler } from "../controller/service-identity-reconciler.ts";
import { type QueueObserver, WorkQueue } from "../controller/work-queue.ts";
import { milliseconds, type Seconds, seconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { ObjectRef } from "../reconcile/state.ts";
import type { IdentityKey } from "../registration/registration-entry.ts";
import type { ServiceIdentity } from "../registration/service-identity.ts";
import type { TrustDomainPolicy } from "../registration/trust-domain-policy.ts";

export interface EngineOptions {
  readonly desired: DesiredState;
  readonly observed: ObservedState;
  readonly applier: Applier;
  readonly status: StatusWriter;
  readonly observer: Observer;
  /** Shared with the observer where that has something to say of who refuses. */
  readonly refusals?: Refusals;
  /** Undefined: the oldest claim holds. */
  readonly holders: HolderStore | undefined;
  readonly requests: RotationRequests;
  readonly authority: Authority;
  readonly audit: Audit;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly random: Random;
  readonly policy: () => TrustDomainPolicy;
  readonly specProblem: AuthorityReconcilerDeps["specProblem"];
  readonly meshRootNamespace: string;
  readonly workers: number;
  readonly onIdentityChanged: (identity: ServiceIdentity) => void;
  readonly onTrustDomainChanged: () => void;
  readonly onStep: AuthorityReconcilerDeps["onStep"];
  readonly onRound: AuthorityReconcilerDeps["onRound"];
  readonly brought: AuthorityReconcilerDeps["brought"];
  readonly onError: (error: unknown) => void;
  readonly report: (report: ControllerReport) => void;
  /** By the name of the queue. */
  readonly queueObserver: (name: "serviceidentity" | "bundle") => QueueObserver | undefined;
}

const BACKOFF = { base: milliseconds(1000), cap: milliseconds(300_000) } as const;
const IDLE_POLL = milliseconds(5);
/** Identities whose Secrets get a changed bundle in a second: ten thousand in less than two minutes. */
const BUNDLES_PER_SECOND = 100;

export class Engine implements Changes {
  readonly identityQueue: WorkQueue;
  readonly bundleQueue: WorkQueue;
  readonly #options: EngineOptions;
  readonly #claims: Claims;
  readonly #identities: ServiceIdentityReconciler;
  readonly #bundles: BundleReconciler;
  readonly #authority: AuthorityReconciler;
  #hasCaughtUp = false;
  #isOnce = false;
  /** The latest key that was distrusted when something was published last; undefined before the first time. */
  #distrusted: { readonly last: string | undefined } | undefined;
  #namespaces: ReadonlySet<string> = new Set();

  constructor(options: EngineOptions) {
    const { clock, random, desired } = options;
    this.#options = options;
    this.#claims = new Claims(desired, options.holders);
    const queue = { clock, random, backoff: BACKOFF };
    this.identityQueue = new WorkQueue({
      ...queue,
      observer: options.queueObserver("serviceidentity"),
      maxInFlightPerNamespace: Math.max(1, Math.ceil(options.workers / 2)),
      priorityOf: (key) => priorityOf(desired.identity(key), clock.now()),
    });
    this.bundleQueue = new WorkQueue({
      ...queue,
      observer: options.queueObserver("bundle"),
      maxInFlightPerNamespace: 1,
      priorityOf: () => ({ urgency: "Routine", deadline: seconds(0) }),
    });
    const refusals = options.refusals ?? new Refusals(clock);
    this.#bundles = new BundleReconciler({ ...options, refusals, onChanged: () => this.#authority.wake() });
    this.#identities = new ServiceIdentityReconciler({
      ...options,
      refusals,
      claims: this.#claims,
      rewrites: new RewriteGuard(clock),
      keyTurns: new KeyTurns((key) => this.identityQueue.add(key)),
      onChanged: options.onIdentityChanged,
    });
    this.#authority = new AuthorityReconciler({
      ...options,
      refusals,
      bundles: this.#bundles,
      onPublished: () => this.#bringToAll(),
    });
  }

  /** By kind of key, since when the next one waits for consumers or for time. */
  get waitingSince(): ReadonlyMap<AuthorityKind, Seconds> {
    return this.#authority.waitingSince;
  }

  /** Whether the queues have been empty once. */
  get hasCaughtUp(): boolean {
    this.#hasCaughtUp ||= this.identityQueue.isIdle && this.bundleQueue.isIdle;
    return this.#hasCaughtUp;
  }

  /** Settles who holds what; everything is looked at once. */
  async open(): Promise<void> {
    await this.#claims.open();
    this.#enqueueAll();
    const { desired, observed } = this.#options;
    // Of those that were left while nobody served, only their bundles tell.
    for (const { kind, namespace } of observed.ownedBy(desired.trustDomain().metadata.uid))
      if (kind === "ConfigMap") this.bundleQueue.add(namespace);
  }

  /** Runs every loop until `signal` aborts; what is in work then is finished, as long as `working` lets it. */
  async run(signal: AbortSignal, working: AbortSignal = signal): Promise<void> {
    // Before it is known whether the authority can sign no identity is told that it cannot.
    await this.#authority.open(signal, working);
    await Promise.all([this.#authority.run(signal, working), this.#runQueues(signal, working)]);
  }

  /** Does what is due and ends: until nothing is ready any more. */
  async runOnce(signal: AbortSignal): Promise<void> {
    this.#isOnce = true;
    await this.#authority.reconcile(signal);
    const stop = new AbortController();
    const running = this.#runQueues(AbortSignal.any([signal, stop.signal]), signal);
    await this.#whenIdle(signal);
    // Namespaces that got their bundle are counted, and a key that all carry by now goes on.
    await this.#authority.reconcile(signal);
    await this.#whenIdle(signal);
    stop.abort();
    await running;
    await this.#authority.reconcile(signal);
  }

  async identitiesChanged(keys: readonly IdentityKey[]): Promise<void> {
    for (const key of await this.#claims.update(keys)) this.identityQueue.add(key);
    if (this.#options.desired.bundleNamespaces().some((namespace) => !this.#namespaces.has(namespace))) {
      this.namespacesChanged();
    }
  }

  trustDomainChanged(): void {
    this.#options.onTrustDomainChanged();
    this.#authority.wake();
    this.#enqueueAll();
  }

  rotationRequested(): void {
    this.#authority.wake();
  }

  outputChanged(ref: ObjectRef, ownerUid: string | undefined): void {
    if (ref.kind === "ConfigMap") {
      this.bundleQueue.add(ref.namespace);
      return;
    }
    for (const identity of this.#options.desired.identities()) {
      if (identity.metadata.uid === ownerUid)
        this.identityQueue.add(`${identity.metadata.namespace}/${identity.metadata.name}`);
    }
  }

  namespacesChanged(): void {
    const before = this.#namespaces;
    const current = new Set(this.#options.desired.bundleNamespaces());
    this.#namespaces = current;
    // One that is left has its bundle removed.
    for (const namespace of before) if (!current.has(namespace)) this.bundleQueue.add(namespace);
    for (const namespace of current) if (!before.has(namespace)) this.bundleQueue.add(namespace);
    // Left and selected again at once is no change to see, and asks all the same for another look.
    for (const namespace of this.#bundles.blocked) this.bundleQueue.add(namespace);
  }

  /**
   * Every bundle is to be brought up to date: of the identities so many in a second, so that ten thousand do not hold up those
   * that are new or due. In an emergency all at once, and where nobody serves on.
   */
  #bringToAll(): void {
    const distrusted = this.#options.authority.view().distrusted.at(-1);
    const isGradual = this.#distrusted !== undefined && this.#distrusted.last === distrusted?.keyID;
    this.#distrusted = { last: distrusted?.keyID };
    if (!isGradual || this.#isOnce) return this.#enqueueAll();
    this.#enqueueNamespaces();
    this.identityQueue.addSpread(this.#identityKeys(), BUNDLES_PER_SECOND);
  }

  *#identityKeys(): Iterable<IdentityKey> {
    for (const { metadata } of this.#options.desired.identities())
      yield `${metadata.namespace}/${metadata.name}`;
  }

  #enqueueNamespaces(): void {
    this.namespacesChanged();
    for (const namespace of this.#namespaces) this.bundleQueue.add(namespace);
  }

  #enqueueAll(): void {
    this.#enqueueNamespaces();
    for (const key of this.#identityKeys()) this.identityQueue.add(key);
  }

  async #runQueues(signal: AbortSignal, working: AbortSignal): Promise<void> {
    const { clock, report, workers } = this.#options;
    const common = { clock, report, working };
    await Promise.all([
      runController(
        {
          ...common,
          name: "serviceidentity",
          queue: this.identityQueue,
          reconciler: this.#identities,
          workers,
        },
        signal,
      ),
      runController(
        { ...common, name: "bundle", queue: this.bundleQueue, reconciler: this.#bundles, workers: 2 },
        signal,
      ),
    ]);
  }

  async #whenIdle(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !(this.identityQueue.isIdle && this.bundleQueue.isIdle)) {
      await this.#options.clock.sleep(IDLE_POLL, signal);
    }
  }
}
