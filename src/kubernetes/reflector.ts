/**
 * Keeps a copy of a collection current: lists it, then watches from there, and never gives up.
 */

import { backoff } from "../core/backoff.ts";
import { type Milliseconds, milliseconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";
import { isOperatorError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import type { KubeClient } from "./client.ts";
import { isStatus, KubeApiError } from "./errors.ts";
import { type KubeList, type KubeObject, keyOf } from "./objects.ts";
import { collectionPath, type Resource } from "./resources.ts";

/** Takes what a reflector sees. Objects may come more than once and in an older state than known: compare versions. */
export interface Sink {
  set(object: KubeObject): void;
  remove(object: KubeObject): void;
  /** After a list: whatever of this collection is not among `keys` (`<namespace>/<name>`) is gone. */
  retain(keys: ReadonlySet<string>): void;
  /** The server does not know the kind. */
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
  readonly onRelist?: (reason: RelistReason) => void;
  readonly onError?: (error: unknown) => void;
}

export type RelistReason = "Start" | "Expired" | "Unknown";

const PAGE = "500";
const BACKOFF = { base: milliseconds(800), cap: milliseconds(30_000) } as const;
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
    const { clock, random, sink, onError } = this.#options;
    let version: string | undefined;
    let reason: RelistReason = "Start";
    let failures = 0;
    while (!signal.aborted) {
      const started = clock.monotonic();
      try {
        version ??= await this.#list(reason, signal);
        this.#settle();
        version = await this.#watch(version, signal);
        failures = clock.monotonic() - started < SHORTEST_WATCH ? failures + 1 : 0;
      } catch (error) {
        if (signal.aborted) return;
        if (isExpired(error)) {
          version = undefined;
          reason = "Expired";
        } else if (isStatus(error, 404)) {
          version = undefined;
          sink.retain(new Set());
          sink.absent?.();
          this.#settle();
          await clock.sleep(milliseconds(ABSENT_POLL * (1 + random.uniform() / 2)), signal);
          continue;
        } else onError?.(error);
        failures += 1;
      }
      if (failures > 0) await clock.sleep(backoff(failures, BACKOFF, random), signal);
    }
  }

  async #list(reason: RelistReason, signal: AbortSignal): Promise<string> {
    const { client, sink, onRelist } = this.#options;
    onRelist?.(reason);
    const seen = new Set<string>();
    let from: string | undefined;
    for (;;) {
      const { body } = await client.request<KubeList>(
        {
          method: "GET",
          path: this.#path(),
          query: { ...this.#selectors(), limit: PAGE, ...(from === undefined ? {} : { continue: from }) },
          accept: this.#accept("PartialObjectMetadataList"),
        },
        signal,
      );
      this.#heard();
      for (const item of body.items ?? []) {
        seen.add(keyOf(item));
        sink.set(item);
      }
      from = body.metadata.continue;
      if (from !== undefined && from !== "") {
        // Let others run between two pages.
        await new Promise((resolve) => setImmediate(resolve));
        continue;
      }
      sink.retain(seen);
      return body.metadata.resourceVersion;
    }
  }

  /** The version to go on from, when the server ended the watch. */
  async #watch(version: string, signal: AbortSignal): Promise<string> {
    const { client, random, sink } = this.#options;
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
        if (type === "DELETED") sink.remove(one);
        else if (type !== "BOOKMARK") sink.set(one);
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

/** 410 Gone in either form: the version is too old to go on from. */
function isExpired(error: unknown): boolean {
  return (
    error instanceof KubeApiError &&
    (error.status === 410 || error.reason === "Expired" || error.reason === "Gone")
  );
}
