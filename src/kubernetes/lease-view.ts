/**
 * What this process knows of a Lease: a list and a watch keep it current, a list every retry period where there is no
 * watch, and the answers to its own requests.
 */

import { type Milliseconds, milliseconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { KubeClient } from "./client.ts";
import { isStatus, KubeApiError } from "./errors.ts";
import { isSameRecord, type LeaseRecord, recordOf } from "./lease-record.ts";
import { type KubeList, type KubeObject, versionOf } from "./objects.ts";
import { collectionPath, LEASES, objectPath } from "./resources.ts";

export interface LeaseViewOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly namespace: string;
  readonly name: string;
  /** Of one request. */
  readonly deadline: Milliseconds;
  /** Between two lists where there is no watch; twice as long while the lists fail too. */
  readonly retryPeriod: Milliseconds;
  /** Called at once when the record is another one. */
  readonly onChange: (seen: Sighting) => void;
  /** Given the `Date` header of the answer to each `refresh`. */
  readonly onDate?: (date: string | undefined) => void;
  readonly onError: (error: unknown) => void;
}

/** The Lease as it was seen last; without object and record: there is none. */
export interface Sighting {
  readonly object?: KubeObject;
  readonly record?: LeaseRecord;
}

/** Seconds; spread, so that not all watches are opened anew at once. */
const WATCH_SECONDS = { min: 300, spread: 300 } as const;
/** A watch that ends sooner without a word counts as a failure. */
const SHORTEST_WATCH = 1000;

export class LeaseView {
  readonly #options: LeaseViewOptions;
  #seen: Sighting | undefined;
  #version = 0n;
  #news = new AbortController();
  #round = new AbortController();

  constructor(options: LeaseViewOptions) {
    this.#options = options;
  }

  /** Undefined: nothing has been seen yet. */
  get seen(): Sighting | undefined {
    return this.#seen;
  }

  /** Until `signal` aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, retryPeriod, onError } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      this.#round = new AbortController();
      const round = AbortSignal.any([signal, this.#round.signal]);
      let started = Number.POSITIVE_INFINITY;
      try {
        const version = await this.#list(round);
        failures = 0;
        started = clock.monotonic();
        await this.#watch(version, round);
      } catch (error) {
        if (round.aborted) continue;
        if (started === Number.POSITIVE_INFINITY) failures += 1;
        if (!isStatus(error, 410)) onError(error);
      }
      if (clock.monotonic() - started >= SHORTEST_WATCH) continue;
      const pause = retryPeriod * (failures === 0 ? 1 : 2) * (1 + random.uniform() / 5);
      await clock.sleep(milliseconds(pause), round);
    }
  }

  /** Gives up the watch, which is found to be silent, and begins again with a list. */
  restart(): void {
    this.#round.abort();
  }

  /** Reads the Lease; rejects as the client does, a Lease that is not there excepted. */
  async refresh(signal: AbortSignal, deadline: Milliseconds = this.#options.deadline): Promise<Sighting> {
    const { client, namespace, name, onDate } = this.#options;
    const path = objectPath(LEASES, { namespace, name });
    try {
      const { body, date } = await client.request<KubeObject>(
        { method: "GET", path, lane: "lease", deadline },
        signal,
      );
      onDate?.(date);
      return this.accept(body);
    } catch (error) {
      if (!isStatus(error, 404)) throw error;
      return this.accept(undefined);
    }
  }

  /** Takes the answer to a request for this one Lease, which is the truth whatever was known (a restored etcd counts anew). */
  accept(object: KubeObject | undefined): Sighting {
    if (object !== undefined) this.#version = versionOf(object);
    return this.#set(object);
  }

  /** Until the record changes, and no longer than `length`. */
  async wait(length: number, signal: AbortSignal): Promise<void> {
    const whole = milliseconds(Math.max(1, Math.ceil(length)));
    await this.#options.clock.sleep(whole, AbortSignal.any([signal, this.#news.signal]));
  }

  /** The version to watch from. */
  async #list(signal: AbortSignal): Promise<string> {
    const { client, namespace, deadline } = this.#options;
    const { body } = await client.request<KubeList>(
      {
        method: "GET",
        path: collectionPath(LEASES, namespace),
        query: this.#selector(),
        lane: "lease",
        deadline,
      },
      signal,
    );
    const version = body.metadata.resourceVersion;
    this.#hear(body.items?.[0], BigInt(version));
    return version;
  }

  async #watch(version: string, signal: AbortSignal): Promise<void> {
    const { client, random, namespace } = this.#options;
    const timeoutSeconds = Math.floor(WATCH_SECONDS.min + random.uniform() * WATCH_SECONDS.spread);
    const query = {
      ...this.#selector(),
      watch: "true",
      resourceVersion: version,
      timeoutSeconds: String(timeoutSeconds),
    };
    for await (const { type, object } of client.watch(
      { path: collectionPath(LEASES, namespace), query },
      signal,
    )) {
      if (type === "ERROR") throw watchError(object);
      const lease = object as KubeObject;
      this.#hear(type === "DELETED" ? undefined : lease, versionOf(lease));
    }
  }

  /** A list that was under way and a watch that lags tell nothing new. */
  #hear(object: KubeObject | undefined, version: bigint): void {
    if (version < this.#version) return;
    this.#version = version;
    this.#set(object);
  }

  #set(object: KubeObject | undefined): Sighting {
    const before = this.#seen;
    const seen: Sighting = object === undefined ? {} : { object, record: recordOf(object) };
    this.#seen = seen;
    if (before === undefined || !isSameSighting(before, seen)) {
      this.#options.onChange(seen);
      this.#news.abort();
      this.#news = new AbortController();
    }
    return seen;
  }

  #selector(): Readonly<Record<string, string>> {
    return { fieldSelector: `metadata.name=${this.#options.name}` };
  }
}

function isSameSighting({ record: one }: Sighting, { record: other }: Sighting): boolean {
  if (one === undefined || other === undefined) return one === other;
  return isSameRecord(one, other);
}

/** An ERROR event carries a `Status`. */
function watchError(object: unknown): KubeApiError {
  const { code, reason, message } = object as {
    readonly code?: number;
    readonly reason?: string;
    readonly message?: string;
  };
  return new KubeApiError(code ?? 500, reason ?? "", `watch: ${message ?? "error"}`);
}
