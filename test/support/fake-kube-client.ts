/**
 * An API server for objects of one kind, in memory, and clients of it that fail in the ways that real connections do.
 * It knows get, list, create, update, delete and watch; field selectors on the name; no label selectors, no patches.
 */

import { milliseconds } from "../../src/core/brand.ts";
import { type Clock, throwIfAborted } from "../../src/core/clock.ts";
import { OperatorError } from "../../src/core/errors.ts";
import type { KubeClient, KubeRequest, KubeResponse, WatchEvent } from "../../src/kubernetes/client.ts";
import { KubeApiError } from "../../src/kubernetes/errors.ts";
import type { KubeObject } from "../../src/kubernetes/objects.ts";
import { collectionPath, objectPath, type Resource } from "../../src/kubernetes/resources.ts";

/**
 * What happens to a request. Either the server refuses it with a status, or it is done `before` milliseconds from now, whether
 * or not the client still waits, and the answer comes `after` milliseconds later. "unreachable": not done, no answer;
 * "lost": done, and the connection breaks; "hang": not done, never an answer.
 */
export type Fault =
  | { readonly status: number }
  | { readonly before?: number; readonly after?: number }
  | "unreachable"
  | "lost"
  | "hang";

export interface SentRequest extends Pick<KubeRequest, "method" | "path" | "query" | "lane" | "body"> {
  readonly isWatch: boolean;
  /** Milliseconds on the clock of the client. */
  readonly at: number;
}

interface LoggedEvent {
  readonly version: number;
  readonly event: WatchEvent;
}

const DEADLINE = milliseconds(30_000);

export class FakeKubeServer {
  readonly resource: Resource;
  readonly #objects = new Map<string, KubeObject>();
  readonly #log: LoggedEvent[] = [];
  readonly #listeners = new Set<() => void>();
  #version = 100;

  constructor(resource: Resource) {
    this.resource = resource;
  }

  get version(): number {
    return this.#version;
  }

  get(namespace: string, name: string): KubeObject | undefined {
    return this.#objects.get(objectPath(this.resource, { namespace, name }));
  }

  /** What a person does with kubectl: creates or replaces, whatever is there. */
  put(namespace: string, name: string, content: Readonly<Record<string, unknown>>): KubeObject {
    const path = objectPath(this.resource, { namespace, name });
    const old = this.#objects.get(path);
    const metadata = { ...old?.metadata, namespace, name, ...(content["metadata"] as object | undefined) };
    return this.#store(path, { ...content, metadata } as KubeObject, old);
  }

  delete(namespace: string, name: string): void {
    const path = objectPath(this.resource, { namespace, name });
    const old = this.#objects.get(path);
    if (old === undefined) throw new Error(`there is no ${path}`);
    this.#objects.delete(path);
    this.#publish("DELETED", {
      ...old,
      metadata: { ...old.metadata, resourceVersion: String(++this.#version) },
    });
  }

  /** What the server does with a request and answers. @throws KubeApiError. */
  handle({ method, path, query, body }: KubeRequest): KubeResponse<unknown> {
    const object = this.#objects.get(path);
    if (this.#isCollection(path)) {
      if (method === "POST") return { status: 201, body: this.#create(path, body as KubeObject) };
      if (method === "GET") return { status: 200, body: this.#list(path, query) };
    }
    if (object === undefined) throw new KubeApiError(404, "NotFound", `${method} ${path}: not found`);
    if (method === "GET") return { status: 200, body: object };
    if (method === "PUT") return { status: 200, body: this.#update(path, body as KubeObject, object) };
    if (method === "DELETE") {
      this.delete(object.metadata.namespace ?? "", object.metadata.name);
      return { status: 200, body: object };
    }
    throw new KubeApiError(405, "MethodNotAllowed", `${method} ${path}: not known here`);
  }

  /** The events of a collection after a version. `wake` is called when there are more. */
  eventsAfter(path: string, query: KubeRequest["query"], version: number): readonly LoggedEvent[] {
    return this.#log.filter(
      (one) => one.version > version && this.#isIn(path, query, one.event.object as KubeObject),
    );
  }

  listen(wake: () => void): () => void {
    this.#listeners.add(wake);
    return () => this.#listeners.delete(wake);
  }

  #create(collection: string, body: KubeObject): KubeObject {
    const path = `${collection}/${encodeURIComponent(body.metadata.name)}`;
    if (this.#objects.has(path)) throw new KubeApiError(409, "AlreadyExists", `POST ${path}: already exists`);
    return this.#store(path, body, undefined);
  }

  #update(path: string, body: KubeObject, old: KubeObject): KubeObject {
    const { uid, resourceVersion } = body.metadata;
    if ((uid ?? old.metadata.uid) !== old.metadata.uid || resourceVersion !== old.metadata.resourceVersion)
      throw new KubeApiError(409, "Conflict", `PUT ${path}: the object has been modified`);
    return this.#store(path, body, old);
  }

  #store(path: string, body: KubeObject, old: KubeObject | undefined): KubeObject {
    // The same again is no change, as on the real server.
    if (old !== undefined && JSON.stringify(body) === JSON.stringify(old)) return old;
    const resourceVersion = String(++this.#version);
    const uid = old?.metadata.uid ?? `uid-${resourceVersion}`;
    const object = JSON.parse(JSON.stringify(body)) as KubeObject;
    const stored = { ...object, metadata: { ...object.metadata, uid, resourceVersion } };
    this.#objects.set(path, stored);
    this.#publish(old === undefined ? "ADDED" : "MODIFIED", stored);
    return stored;
  }

  #publish(type: WatchEvent["type"], object: KubeObject): void {
    this.#log.push({ version: Number(object.metadata.resourceVersion), event: { type, object } });
    for (const wake of this.#listeners) wake();
  }

  #list(path: string, query: KubeRequest["query"]): unknown {
    const items = [...this.#objects.values()].filter((one) => this.#isIn(path, query, one));
    return { metadata: { resourceVersion: String(this.#version) }, items };
  }

  #isCollection(path: string): boolean {
    return path.endsWith(`/${this.resource.plural}`);
  }

  #isIn(path: string, query: KubeRequest["query"], { metadata }: KubeObject): boolean {
    const name = /^metadata\.name=(.*)$/.exec(query?.["fieldSelector"] ?? "")?.[1];
    if (name !== undefined && name !== metadata.name) return false;
    return (
      path === collectionPath(this.resource) || path === collectionPath(this.resource, metadata.namespace)
    );
  }
}

export class FakeKubeClient implements KubeClient {
  /** All that was sent, in order. */
  readonly requests: SentRequest[] = [];
  /** Decides on each request, a watch's opening included. */
  fault: (request: SentRequest) => Fault | undefined = () => undefined;
  readonly #server: FakeKubeServer;
  readonly #clock: Clock;
  #watches = new AbortController();
  #isDeaf = false;

  constructor(server: FakeKubeServer, clock: Clock) {
    this.#server = server;
    this.#clock = clock;
  }

  async request<T>(request: KubeRequest, signal: AbortSignal): Promise<KubeResponse<T>> {
    throwIfAborted(signal);
    request.fence?.();
    const fault = this.#send(request, false);
    const given = new AbortController();
    const until = AbortSignal.any([signal, given.signal]);
    const deadline = this.#clock.sleep(request.deadline ?? DEADLINE, until).then(() => {
      throwIfAborted(signal);
      throw noAnswer("deadline exceeded");
    });
    try {
      return await Promise.race([this.#answer<T>(request, fault), deadline]);
    } finally {
      given.abort();
      deadline.catch(() => {});
    }
  }

  async *watch(
    request: Pick<KubeRequest, "path" | "query" | "accept">,
    signal: AbortSignal,
  ): AsyncIterable<WatchEvent> {
    throwIfAborted(signal);
    const fault = this.#send({ ...request, method: "GET" }, true);
    if (fault !== undefined) await this.#answer({ ...request, method: "GET" }, fault);
    const broken = this.#watches.signal;
    const end = AbortSignal.any([signal, broken]);
    let version = Number(request.query?.["resourceVersion"] ?? this.#server.version);
    while (!end.aborted) {
      let wake: () => void = () => {};
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const forget = this.#server.listen(wake);
      end.addEventListener("abort", wake);
      const events = this.#isDeaf ? [] : this.#server.eventsAfter(request.path, request.query, version);
      for (const one of events) {
        version = one.version;
        yield one.event;
      }
      if (events.length === 0) await woken;
      forget();
      end.removeEventListener("abort", wake);
    }
    throwIfAborted(signal);
    throw noAnswer("the connection broke");
  }

  /** Every open watch breaks. */
  breakWatches(): void {
    const watches = this.#watches;
    this.#watches = new AbortController();
    watches.abort();
  }

  /** Watches stay open and say nothing any more: a connection that died without a word. */
  deafenWatches(isDeaf = true): void {
    this.#isDeaf = isDeaf;
  }

  /** How many requests of this method were sent; watches are counted as "WATCH". */
  count(method: KubeRequest["method"] | "WATCH"): number {
    return this.requests.filter((one) => (one.isWatch ? "WATCH" : one.method) === method).length;
  }

  #send({ method, path, query, lane, body }: KubeRequest, isWatch: boolean): Fault | undefined {
    const sent: SentRequest = {
      method,
      path,
      isWatch,
      at: this.#clock.monotonic(),
      body,
      ...(query === undefined ? {} : { query }),
      ...(lane === undefined ? {} : { lane }),
    };
    this.requests.push(sent);
    return this.fault(sent);
  }

  async #answer<T>(request: KubeRequest, fault: Fault = {}): Promise<KubeResponse<T>> {
    if (fault === "unreachable") throw noAnswer("connection refused");
    if (fault === "hang") return new Promise(() => {});
    if (fault === "lost") {
      this.#server.handle(request);
      throw noAnswer("connection reset");
    }
    if ("status" in fault) throw new KubeApiError(fault.status, "Injected", `HTTP ${fault.status}`);
    await this.#pass(fault.before);
    const answer = this.#server.handle(request);
    await this.#pass(fault.after);
    return answer as KubeResponse<T>;
  }

  async #pass(length: number | undefined): Promise<void> {
    if (length === undefined) return;
    await this.#clock.sleep(milliseconds(length), new AbortController().signal);
  }
}

function noAnswer(why: string): OperatorError {
  return new OperatorError("STORAGE_FAILED", `no answer from the API server (${why})`, { retryable: true });
}
