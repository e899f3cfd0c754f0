/**
 * A client in front of another one that counts what is asked, and may change or break it.
 */

import { OperatorError } from "../../../src/core/errors.ts";
import type { KubeClient, KubeRequest, KubeResponse, WatchEvent } from "../../../src/kubernetes/client.ts";

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly isWatch: boolean;
  readonly body: unknown;
}

export class SpiedClient implements KubeClient {
  readonly asked: Asked[] = [];
  /** Types of the events that watches have given. */
  readonly seen: string[] = [];
  /** Lists, watches and others that are under way now, and the most there ever were. */
  underWay = 0;
  mostUnderWay = 0;
  /** Changes a query before it is sent. */
  query: (query: Readonly<Record<string, string>>, isWatch: boolean) => Readonly<Record<string, string>> = (
    query,
  ) => query;
  /** Called before each request and each opening of a watch. */
  before: (asked: Asked) => Promise<void> | void = () => {};
  readonly #client: KubeClient;
  #watches = new AbortController();

  constructor(client: KubeClient) {
    this.#client = client;
  }

  /** Lists, as `GET` of collections and objects is called here. */
  get reads(): readonly Asked[] {
    return this.asked.filter(({ method, isWatch }) => method === "GET" && !isWatch);
  }

  get watches(): readonly Asked[] {
    return this.asked.filter(({ isWatch }) => isWatch);
  }

  get writes(): readonly Asked[] {
    return this.asked.filter(({ method }) => method !== "GET");
  }

  /** Every open watch breaks, as a connection does. */
  breakWatches(): void {
    const broken = this.#watches;
    this.#watches = new AbortController();
    broken.abort();
  }

  async request<T>(request: KubeRequest, signal: AbortSignal): Promise<KubeResponse<T>> {
    const query = this.query(request.query ?? {}, false);
    await this.#note(request, query, false);
    this.#begin();
    try {
      return await this.#client.request<T>({ ...request, query }, signal);
    } finally {
      this.underWay -= 1;
    }
  }

  async *watch(
    request: Pick<KubeRequest, "path" | "query" | "accept">,
    signal: AbortSignal,
  ): AsyncIterable<WatchEvent> {
    const query = this.query(request.query ?? {}, true);
    await this.#note({ ...request, method: "GET" }, query, true);
    const broken = this.#watches.signal;
    this.#begin();
    try {
      for await (const event of this.#client.watch(
        { ...request, query },
        AbortSignal.any([signal, broken]),
      )) {
        this.seen.push(event.type);
        yield event;
      }
    } catch (error) {
      if (!broken.aborted || signal.aborted) throw error;
      throw new OperatorError("STORAGE_FAILED", "the connection broke", { retryable: true });
    } finally {
      this.underWay -= 1;
    }
  }

  async #note(
    { method, path, body }: KubeRequest,
    query: Readonly<Record<string, string>>,
    isWatch: boolean,
  ): Promise<void> {
    const asked = { method, path, query, isWatch, body };
    this.asked.push(asked);
    await this.before(asked);
  }

  #begin(): void {
    this.underWay += 1;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
  }
}
