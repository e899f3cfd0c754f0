/**
 * An API server that says exactly what a test lets it say, and when: for what a real one cannot be made to do.
 */

import { throwIfAborted } from "../../../src/core/clock.ts";
import type { KubeClient, KubeRequest, KubeResponse, WatchEvent } from "../../../src/kubernetes/client.ts";
import { KubeApiError } from "../../../src/kubernetes/errors.ts";
import type { KubeObject } from "../../../src/kubernetes/objects.ts";

interface OpenWatch {
  readonly path: string;
  readonly events: WatchEvent[];
  wake: () => void;
  end: Error | undefined;
}

export class PushedClient implements KubeClient {
  readonly requests: KubeRequest[] = [];
  /** By path of the collection; one that is not here is empty. */
  readonly lists: Map<string, { readonly version: number; readonly items: readonly KubeObject[] }> =
    new Map();
  /** Answers everything but lists. */
  answer: (request: KubeRequest) => unknown = ({ method, path }) => {
    throw new KubeApiError(404, "NotFound", `${method} ${path}: not found`);
  };
  readonly #watches = new Set<OpenWatch>();

  async request<T>(request: KubeRequest, signal: AbortSignal): Promise<KubeResponse<T>> {
    throwIfAborted(signal);
    request.fence?.();
    this.requests.push(request);
    const isList = request.method === "GET" && request.query?.["limit"] !== undefined;
    if (!isList) return { status: 200, body: this.answer(request) as T };
    const { version, items } = this.lists.get(request.path) ?? { version: 1, items: [] };
    return { status: 200, body: { metadata: { resourceVersion: String(version) }, items } as T };
  }

  async *watch({ path }: Pick<KubeRequest, "path">, signal: AbortSignal): AsyncIterable<WatchEvent> {
    throwIfAborted(signal);
    const watch: OpenWatch = { path, events: [], wake: () => {}, end: undefined };
    this.#watches.add(watch);
    const onAbort = (): void => watch.wake();
    signal.addEventListener("abort", onAbort);
    try {
      for (;;) {
        throwIfAborted(signal);
        if (watch.end !== undefined) throw watch.end;
        const event = watch.events.shift();
        if (event !== undefined) yield event;
        else
          await new Promise<void>((resolve) => {
            watch.wake = resolve;
          });
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#watches.delete(watch);
    }
  }

  /** Sends an event to every watch of a collection. */
  push(path: string, type: WatchEvent["type"], object: unknown): void {
    for (const watch of this.#watches) {
      if (watch.path !== path) continue;
      watch.events.push({ type, object });
      watch.wake();
    }
  }

  /** Ends every watch of a collection. */
  end(path: string, error: Error): void {
    for (const watch of this.#watches) {
      if (watch.path !== path) continue;
      watch.end = error;
      watch.wake();
    }
  }
}
