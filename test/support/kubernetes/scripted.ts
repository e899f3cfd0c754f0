/**
 * A client that answers what a test has written down for it, one answer after the other.
 */

import { throwIfAborted } from "../../../src/core/clock.ts";
import type { KubeClient, KubeRequest, KubeResponse, WatchEvent } from "../../../src/kubernetes/client.ts";
import type { KubeObject } from "../../../src/kubernetes/objects.ts";

/** The body of the answer, or what the request is to reject with. */
export type Answer = object | Error;
/** The events of a watch and how it ends: by itself, with an error, or only by the caller. */
export interface Stream {
  readonly events: readonly WatchEvent[];
  readonly end?: Error | "silent";
}

export class ScriptedClient implements KubeClient {
  readonly requests: KubeRequest[] = [];
  readonly watches: Pick<KubeRequest, "path" | "query" | "accept">[] = [];
  readonly #answers: Answer[];
  readonly #streams: (Stream | Error)[];

  /** The last answer is given for ever; when the streams are used up they are silent. */
  constructor(answers: readonly Answer[], streams: readonly (Stream | Error)[] = []) {
    this.#answers = [...answers];
    this.#streams = [...streams];
  }

  async request<T>(request: KubeRequest, signal: AbortSignal): Promise<KubeResponse<T>> {
    throwIfAborted(signal);
    request.fence?.();
    this.requests.push(request);
    const answer = this.#answers.length > 1 ? this.#answers.shift() : this.#answers[0];
    if (answer === undefined) throw new TypeError("nothing is written down");
    if (answer instanceof Error) throw answer;
    return { status: 200, body: answer as T };
  }

  async *watch(
    request: Pick<KubeRequest, "path" | "query" | "accept">,
    signal: AbortSignal,
  ): AsyncIterable<WatchEvent> {
    throwIfAborted(signal);
    this.watches.push(request);
    const stream = this.#streams.shift() ?? { events: [], end: "silent" };
    if (stream instanceof Error) throw stream;
    for (const event of stream.events) yield event;
    if (stream.end instanceof Error) throw stream.end;
    if (stream.end !== "silent") return;
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    throwIfAborted(signal);
  }
}

export function objectOf(
  name: string,
  version: number,
  rest: Partial<KubeObject["metadata"]> = {},
): KubeObject {
  return {
    metadata: {
      name,
      namespace: "shop",
      uid: `uid-${name}`,
      resourceVersion: String(version),
      creationTimestamp: "2026-11-24T10:00:00Z",
      ...rest,
    },
  };
}

export function listOf(version: number, items: readonly KubeObject[], next?: string): object {
  const metadata = { resourceVersion: String(version), ...(next === undefined ? {} : { continue: next }) };
  return { metadata, items };
}
