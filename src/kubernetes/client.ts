/**
 * What the other files of this folder need of an API server: one request, one watch. `transport.ts` implements it;
 * unit tests hand in their own.
 */

import type { Milliseconds } from "../core/brand.ts";
import { isOperatorError } from "../core/errors.ts";

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

export interface KubeRequest {
  readonly method: Method;
  /** `/api/v1/namespaces/shop/secrets/payments-tls`; segments are encoded by the caller (`resources.ts`). */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Default `application/json`. */
  readonly contentType?: "application/json" | "application/apply-patch+yaml" | "application/merge-patch+json";
  /** Default `application/json`. */
  readonly accept?: string;
  /** For the whole request, retries included. Default 30 s. */
  readonly deadline?: Milliseconds;
  /** Requests of the Lease have sockets of their own, so that a crowd of others never delays them. */
  readonly lane?: "default" | "lease";
  /** Asked right before each attempt is sent; what it throws ends the request (the write fence). */
  readonly fence?: () => void;
}

/** What the API server answered, when it is no error. */
export interface KubeResponse<T> {
  readonly status: number;
  readonly body: T;
  /** The server's clock (the `Date` header), where it said it. */
  readonly date?: string;
}

export interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: unknown;
}

/** `details.errno` of the STORAGE_FAILED that an answer too large to be read ends with. */
export const TOO_LARGE = "TOO_LARGE";

/** Whether less is to be asked for at once. */
export function isTooLarge(error: unknown): boolean {
  return isOperatorError(error, "STORAGE_FAILED") && error.details["errno"] === TOO_LARGE;
}

export interface KubeClient {
  /**
   * 429 and 5xx answers that carry Retry-After, and connections that broke before an answer to a GET, are tried again
   * until the deadline.
   * @throws KubeApiError for every other answer of 400 and above; STORAGE_FAILED (retryable) when there was no answer;
   * ABORTED when `signal` aborts.
   */
  request<T>(request: KubeRequest, signal: AbortSignal): Promise<KubeResponse<T>>;
  /**
   * Opens a watch (a GET with `watch=true` in its query) on a socket of its own and yields its events until the server
   * ends it. @throws as `request`, also in the middle of the stream.
   */
  watch(
    request: Pick<KubeRequest, "path" | "query" | "accept">,
    signal: AbortSignal,
  ): AsyncIterable<WatchEvent>;
}
