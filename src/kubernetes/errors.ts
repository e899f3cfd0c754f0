/**
 * Answers of the API server that say no (`metav1.Status`).
 */

import { OperatorError } from "../core/errors.ts";

/** The reason word of a `Status`, such as `NotFound`, `Conflict`, `Expired`, `Forbidden`. */
export class KubeApiError extends OperatorError {
  /** HTTP status code. */
  readonly status: number;
  readonly reason: string;
  /** Seconds; given where the server did nothing and asks to be asked again. */
  readonly retryAfter: number | undefined;

  constructor(status: number, reason: string, message: string, retryAfter?: number) {
    super("STORAGE_FAILED", message, {
      // Everything may be mended by a person or pass by itself, except what the server finds wrong with the object.
      retryable: status !== 400 && status !== 422,
      details: { status, reason },
    });
    this.name = "KubeApiError";
    this.status = status;
    this.reason = reason;
    this.retryAfter = retryAfter;
  }
}

export function isStatus(error: unknown, status: number): error is KubeApiError {
  return error instanceof KubeApiError && error.status === status;
}
