/**
 * Events of ServiceIdentities and TrustDomains (`events.k8s.io/v1`): written in the background, repeated ones counted in the
 * one that is there. Events explain; nothing depends on them, so a full queue drops the oldest.
 */

import type { EventRecorder } from "../controller/ports.ts";
import { type Milliseconds, milliseconds } from "../core/brand.ts";
import { type Clock, toRfc3339 } from "../core/clock.ts";
import { isOperatorError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import { API_VERSION } from "../registration/service-identity.ts";
import type { KubeClient, KubeRequest } from "./client.ts";
import { isStatus } from "./errors.ts";
import { collectionPath, EVENTS, objectPath } from "./resources.ts";

type RecordedEvent = Parameters<EventRecorder["record"]>[0];

export interface KubeEventRecorderOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: Random;
  /** The name of this process, as in the Lease. */
  readonly instance: string;
  /** Of the object that an event is about; undefined: it is gone, and its event is dropped. */
  readonly uidOf: (regarding: RecordedEvent["regarding"]) => string | undefined;
  readonly onError: (error: unknown) => void;
  /** The write fence; default: this process may always write. */
  readonly fence?: () => void;
}

/** What of one reason may still be told about one object. */
interface Allowance {
  readonly left: number;
  readonly at: number;
}

interface Series {
  readonly name: string;
  readonly namespace: string;
  count: number;
  lastAt: number;
  /** When the count was written last; the first event needs none. */
  writtenAt: number | undefined;
  /** Settles when the event is there, or could not be made. */
  posted: Promise<unknown> | undefined;
}

const MAX_QUEUE = 5000;
const MAX_SERIES = 5000;
/** A repetition within this time counts as the same series. */
const SERIES_TIME: Milliseconds = milliseconds(360_000);
/** The count of a series is written at most this often: an event in between is in the next one's count. */
const UPDATE_TIME: Milliseconds = milliseconds(30_000);
const WRITERS = 2;
/** Events of one reason about one object: so many at once, then one each five minutes, as client-go has it. */
const BURST = 25;
const REFILL: Milliseconds = milliseconds(300_000);
/** Bytes. */
const MAX_NOTE = 1024;
/** The API server wants one for events of what has no namespace. */
const DEFAULT_NAMESPACE = "default";

export class KubeEventRecorder implements EventRecorder {
  readonly #options: KubeEventRecorderOptions;
  readonly #queue: RecordedEvent[] = [];
  readonly #series = new Map<string, Series>();
  readonly #allowances = new Map<string, Allowance>();
  #wake: (() => void)[] = [];

  constructor(options: KubeEventRecorderOptions) {
    this.#options = options;
  }

  record(event: RecordedEvent): void {
    if (!this.#isAllowed(event)) return;
    this.#queue.push(event);
    if (this.#queue.length > MAX_QUEUE) this.#queue.shift();
    this.#wake.shift()?.();
  }

  /** Writes what is recorded until `signal` aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.#wakeAll(), { once: true });
    await Promise.all(Array.from({ length: WRITERS }, () => this.#work(signal)));
  }

  /** Whoever makes an object change all the time neither floods the API server nor pushes the events of others out. */
  #isAllowed({ regarding, reason }: RecordedEvent): boolean {
    const key = [regarding.kind, regarding.namespace, regarding.name, reason].join("/");
    const now = this.#options.clock.monotonic();
    const known = this.#allowances.get(key) ?? { left: BURST, at: now };
    const left = Math.min(BURST, known.left + (now - known.at) / REFILL);
    this.#allowances.delete(key);
    this.#allowances.set(key, { left: left < 1 ? left : left - 1, at: now });
    dropOldest(this.#allowances);
    return left >= 1;
  }

  async #work(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const event = this.#queue.shift();
      if (event === undefined) {
        await new Promise<void>((resolve) => this.#wake.push(resolve));
        continue;
      }
      try {
        await this.#write(event, signal);
      } catch (error) {
        if (!isOperatorError(error, "ABORTED")) this.#options.onError(error);
      }
    }
  }

  async #write(event: RecordedEvent, signal: AbortSignal): Promise<void> {
    const { client, clock, uidOf } = this.#options;
    const uid = uidOf(event.regarding);
    if (uid === undefined) return;
    const key = [uid, event.type, event.reason, event.message].join("\n");
    const known = this.#series.get(key);
    const now = clock.monotonic();
    if (known !== undefined && now - known.lastAt < SERIES_TIME) {
      known.count += 1;
      known.lastAt = now;
      if (known.writtenAt !== undefined && now - known.writtenAt < UPDATE_TIME) return;
      if (await this.#update(known, signal)) return;
    }
    const series = this.#start(event);
    this.#remember(key, series);
    const post = client.request(
      {
        method: "POST",
        path: collectionPath(EVENTS, series.namespace),
        body: this.#body(event, uid, series),
        ...this.#fence(),
      },
      signal,
    );
    series.posted = Promise.allSettled([post]);
    try {
      await post;
    } catch (error) {
      // Nothing to count on.
      if (this.#series.get(key) === series) this.#series.delete(key);
      throw error;
    }
  }

  /** Whether it was there to be updated: events live an hour, and anyone may delete them. */
  async #update(series: Series, signal: AbortSignal): Promise<boolean> {
    const { client, clock } = this.#options;
    series.writtenAt = clock.monotonic();
    // The other writer may still be at it.
    await series.posted;
    try {
      await client.request(
        {
          method: "PATCH",
          path: objectPath(EVENTS, series),
          contentType: "application/merge-patch+json",
          body: { series: { count: series.count, lastObservedTime: this.#microTime() } },
          ...this.#fence(),
        },
        signal,
      );
      return true;
    } catch (error) {
      if (isStatus(error, 404)) return false;
      throw error;
    }
  }

  #start({ regarding }: RecordedEvent): Series {
    const { clock, random } = this.#options;
    const suffix = Buffer.from(random.bytes(8)).toString("hex");
    return {
      // No part of a name may end in anything but a letter or a digit.
      name: `${regarding.name.slice(0, 230).replace(/[^a-z0-9]+$/, "")}.${suffix}`,
      namespace: regarding.namespace ?? DEFAULT_NAMESPACE,
      count: 1,
      lastAt: clock.monotonic(),
      writtenAt: undefined,
      posted: undefined,
    };
  }

  #remember(key: string, series: Series): void {
    this.#series.delete(key);
    this.#series.set(key, series);
    dropOldest(this.#series);
  }

  #body(
    { regarding, type, reason, message }: RecordedEvent,
    uid: string,
    { name, namespace }: Series,
  ): object {
    return {
      apiVersion: EVENTS.apiVersion,
      kind: "Event",
      metadata: { name, namespace },
      eventTime: this.#microTime(),
      reportingController: "meshid.dev/controller",
      reportingInstance: this.#options.instance.slice(0, 128),
      action: "Reconcile",
      type,
      reason,
      note: shortened(message),
      regarding: {
        apiVersion: API_VERSION,
        kind: regarding.kind,
        name: regarding.name,
        uid,
        ...(regarding.namespace === undefined ? {} : { namespace: regarding.namespace }),
      },
    };
  }

  /** `MicroTime`: exactly six fraction digits. */
  #microTime(): string {
    return toRfc3339(this.#options.clock.now()).replace("Z", ".000000Z");
  }

  #fence(): Pick<KubeRequest, "fence"> {
    const { fence } = this.#options;
    return fence === undefined ? {} : { fence };
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

function dropOldest(known: Map<string, unknown>): void {
  const [oldest] = known.keys();
  if (known.size > MAX_SERIES && oldest !== undefined) known.delete(oldest);
}

function shortened(message: string): string {
  if (Buffer.byteLength(message) <= MAX_NOTE) return message;
  const end = "…";
  const bytes = Buffer.from(message).subarray(0, MAX_NOTE - Buffer.byteLength(end));
  // A character that was cut in two reads as U+FFFD.
  return `${bytes.toString("utf8").replace(/\ufffd+$/, "")}${end}`;
}
