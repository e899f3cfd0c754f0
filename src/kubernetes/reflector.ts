/**
 * Keeps a copy of a collection current: lists it, then watches from there, and never gives up.
 */

import { backoff } from "../core/backoff.ts";
import { type Milliseconds, milliseconds } from "../core/brand.ts";
import { type Clock, throwIfAborted } from "../core/clock.ts";
import { isOperatorError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import { isTooLarge, type KubeClient, type KubeRequest } from "./client.ts";
import { isStatus, KubeApiError } from "./errors.ts";
import { type KubeList, type KubeObject, keyOf, LAST_VERSION } from "./objects.ts";
import { collectionPath, type Resource } from "./resources.ts";

/** Takes what a reflector sees. Objects may come more than once and in an older state than known: compare versions. */
export interface Sink {
  set(object: KubeObject): void;
  remove(object: KubeObject): void;
  /**
   * After a list: whatever of this collection is not among `keys` (`<namespace>/<name>`) is gone, unless it is known in a
   * newer state than `version`, that of the list: then it was made meanwhile.
   */
  retain(keys: ReadonlySet<string>, version: bigint): void;
  /** The server does not know the kind, so there is none of it. Default: `retain` without any. */
  absent?(): void;
}

export interface ReflectorOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly resource: Resource;
  /** Undefined: of the whole cluster. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Asks for `PartialObjectMetadata`: no spec, no status. */
  readonly metadataOnly?: boolean;
  readonly sink: Sink;
  /** Called after each complete list. */
  readonly onRelist?: (reason: RelistReason) => void;
  /** Told of what will be tried again. */
  readonly onError?: (error: unknown) => void;
}

/**
 * `Expired`: the server no longer knows what came after the last event; `Unknown`: it knows less than we do (it was restored
 * from a backup); `Absent`: it did not know the kind.
 */
export type RelistReason = "Start" | "Expired" | "Unknown" | "Absent";

/** Fewer where they are large: anyone may put a megabyte into each object of a kind that is listed. */
const PAGE = 250;
/** Milliseconds: so long at most others wait while a page is read. */
const SLICE = 8;
const BACKOFF = { base: milliseconds(800), cap: milliseconds(30_000) } as const;
/** A server that does not answer at all is not spared by waiting, and its users wait for us when it is back. */
const UNREACHABLE = { base: milliseconds(800), cap: milliseconds(8000) } as const;
/** Seconds; spread, so that not all watches are opened anew at once. */
const WATCH_SECONDS = { min: 300, spread: 300 } as const;
/** A kind that is not there is asked for again after this long. */
const ABSENT_POLL: Milliseconds = milliseconds(10_000);
/** A watch that ends sooner without a word counts as a failure. */
const SHORTEST_WATCH = 1000;

export class Reflector {
  readonly #options: ReflectorOptions;
  readonly #synced: Promise<void>;
  #isSynced = false;
  #resolveSynced: () => void = () => {};
  #lastEventAt: number;

  constructor(options: ReflectorOptions) {
    this.#options = options;
    this.#lastEventAt = options.clock.monotonic();
    this.#synced = new Promise((resolve) => {
      this.#resolveSynced = resolve;
    });
  }

  /** Resolves when the first list is complete (or the kind is known to be absent). */
  get synced(): Promise<void> {
    return this.#synced;
  }

  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** Milliseconds since the server last said anything, bookmarks included. */
  get silence(): Milliseconds {
    return milliseconds(this.#options.clock.monotonic() - this.#lastEventAt);
  }

  /** Until `signal` aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    let version: string | undefined;
    let reason: RelistReason = "Start";
    let failures = 0;
    let wasAnswer = true;
    while (!signal.aborted) {
      let opened = Number.POSITIVE_INFINITY;
      let error: unknown;
      try {
        version ??= await this.#list(reason, signal);
        this.#settle();
        opened = clock.monotonic();
        version = await this.#watch(version, signal);
      } catch (caught) {
        if (signal.aborted) return;
        error = caught;
        const why = reasonToList(error);
        if (why !== undefined) [version, reason] = [undefined, why];
      }
      // A server that is back refuses this and that before it is itself again: no reason to leave it alone for long.
      const isNews = isAnswer(error) && !wasAnswer;
      wasAnswer = isAnswer(error);
      if (error === undefined && clock.monotonic() - opened >= SHORTEST_WATCH) failures = 0;
      else failures = isNews ? 1 : failures + 1;
      await this.#pause(error, failures, signal);
    }
  }

  async #pause(error: unknown, failures: number, signal: AbortSignal): Promise<void> {
    const { clock, random, sink, onError } = this.#options;
    if (failures === 0) return;
    if (isStatus(error, 404)) {
      this.#heard();
      if (sink.absent === undefined) sink.retain(new Set(), LAST_VERSION);
      else sink.absent();
      this.#settle();
      return clock.sleep(milliseconds(ABSENT_POLL * (1 + random.uniform() / 2)), signal);
    }
    if (error !== undefined && reasonToList(error) === undefined) onError?.(error);
    const wanted = error instanceof KubeApiError ? (error.retryAfter ?? 0) * 1000 : 0;
    const pause = Math.max(wanted, backoff(failures, isAnswer(error) ? BACKOFF : UNREACHABLE, random));
    await clock.sleep(milliseconds(pause), signal);
  }

  async #list(reason: RelistReason, signal: AbortSignal): Promise<string> {
    const { sink, onRelist } = this.#options;
    const seen = new Set<string>();
    let size = PAGE;
    let from: string | undefined;
    for (;;) {
      const page = await this.#page({ from, size }, signal);
      if (page === undefined) {
        size = Math.ceil(size / 8);
        continue;
      }
      size = Math.min(PAGE, size * 2);
      this.#heard();
      await this.#take(page.items ?? [], seen);
      throwIfAborted(signal);
      from = page.metadata.continue || undefined;
      if (from === undefined) {
        const { resourceVersion } = page.metadata;
        sink.retain(seen, BigInt(resourceVersion));
        onRelist?.(reason);
        return resourceVersion;
      }
    }
  }

  /** Undefined: so many objects are too large together. */
  async #page(
    { from, size }: { readonly from: string | undefined; readonly size: number },
    signal: AbortSignal,
  ): Promise<KubeList | undefined> {
    const next = from === undefined ? {} : { continue: from };
    const request: KubeRequest = {
      method: "GET",
      path: this.#path(),
      query: { ...this.#selectors(), limit: String(size), ...next },
      accept: this.#accept("PartialObjectMetadataList"),
    };
    try {
      return (await this.#options.client.request<KubeList>(request, signal)).body;
    } catch (error) {
      if (isTooLarge(error) && size > 1) return undefined;
      throw error;
    }
  }

  /** Lets others run every now and then. */
  async #take(items: readonly KubeObject[], seen: Set<string>): Promise<void> {
    const { clock } = this.#options;
    let since = clock.monotonic();
    for (const item of items) {
      seen.add(keyOf(item));
      this.#tell("set", item);
      if (clock.monotonic() - since < SLICE) continue;
      await new Promise((resolve) => setImmediate(resolve));
      since = clock.monotonic();
    }
  }

  /** One object that cannot be taken up must not keep the others from being seen. */
  #tell(what: "set" | "remove", object: KubeObject): void {
    const { sink, onError } = this.#options;
    try {
      sink[what](object);
    } catch (error) {
      onError?.(error);
    }
  }

  /** The version to go on from, when the server ended the watch. */
  async #watch(version: string, signal: AbortSignal): Promise<string> {
    const { client, random } = this.#options;
    const timeoutSeconds = Math.floor(WATCH_SECONDS.min + random.uniform() * WATCH_SECONDS.spread);
    const query = {
      ...this.#selectors(),
      watch: "true",
      allowWatchBookmarks: "true",
      resourceVersion: version,
      timeoutSeconds: String(timeoutSeconds),
    };
    let current = version;
    const accept = this.#accept("PartialObjectMetadata");
    try {
      for await (const { type, object } of client.watch({ path: this.#path(), query, accept }, signal)) {
        this.#heard();
        if (type === "ERROR") throw statusError(object);
        const one = object as KubeObject;
        if (type === "DELETED") this.#tell("remove", one);
        else if (type !== "BOOKMARK") this.#tell("set", one);
        current = one.metadata.resourceVersion;
      }
    } catch (error) {
      // A connection that broke loses nothing: the next watch goes on from the last event.
      if (isOperatorError(error, "STORAGE_FAILED") && !(error instanceof KubeApiError) && current !== version)
        return current;
      throw error;
    }
    return current;
  }

  #selectors(): Readonly<Record<string, string>> {
    const { labelSelector, fieldSelector } = this.#options;
    return {
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
    };
  }

  #path(): string {
    return collectionPath(this.#options.resource, this.#options.namespace);
  }

  #accept(kind: string): string {
    return this.#options.metadataOnly === true
      ? `application/json;as=${kind};g=meta.k8s.io;v=v1`
      : "application/json";
  }

  #heard(): void {
    this.#lastEventAt = this.#options.clock.monotonic();
  }

  #settle(): void {
    this.#isSynced = true;
    this.#resolveSynced();
  }
}

/** An ERROR event carries a `Status`. */
function statusError(object: unknown): KubeApiError {
  const { code, reason, message } = object as {
    readonly code?: number;
    readonly reason?: string;
    readonly message?: string;
  };
  return new KubeApiError(code ?? 500, reason ?? "", `watch: ${message ?? "error"}`);
}

/** Whether the server has spoken, be it to refuse. */
function isAnswer(error: unknown): boolean {
  return error === undefined || error instanceof KubeApiError;
}

/** Why the version is no longer one to go on from; undefined: it still is. */
function reasonToList(error: unknown): RelistReason | undefined {
  if (!(error instanceof KubeApiError)) return undefined;
  const { status, reason, message } = error;
  if (status === 404) return "Absent";
  if (status === 410 || reason === "Expired" || reason === "Gone") return "Expired";
  return message.includes("Too large resource version") ? "Unknown" : undefined;
}
