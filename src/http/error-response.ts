/**
 * The one place where error codes become HTTP answers. Only text made for the caller leaves: never a stack, a cause
 * or the details of a fault of ours.
 */

import { type ErrorCode, isOperatorError } from "../core/errors.ts";

/** Answers that no `OperatorError` stands behind: they come from HTTP itself. */
export type HttpFaultCode =
  | "BAD_REQUEST"
  | "NOT_FOUND"
  | "METHOD_NOT_ALLOWED"
  | "REQUEST_TIMEOUT"
  | "HEADERS_TOO_LARGE"
  | "NOT_READY"
  | "INTERNAL";

export interface ErrorResponse {
  readonly status: number;
  /** JSON: `{"code", "message"}`. */
  readonly body: string;
}

const HTTP_FAULTS: Readonly<Record<HttpFaultCode, { readonly status: number; readonly message: string }>> = {
  BAD_REQUEST: { status: 400, message: "the request is malformed" },
  NOT_FOUND: { status: 404, message: "there is nothing at this path" },
  METHOD_NOT_ALLOWED: { status: 405, message: "only GET and HEAD are allowed" },
  REQUEST_TIMEOUT: { status: 408, message: "the request did not arrive in time" },
  HEADERS_TOO_LARGE: { status: 431, message: "the request headers are too large" },
  NOT_READY: { status: 503, message: "not ready yet; try again shortly" },
  INTERNAL: { status: 500, message: "internal error" },
};

/** `isPublic`: the error's own message describes what the caller sent and is shown to it. */
const OPERATOR_ERRORS: Readonly<Record<ErrorCode, { readonly status: number; readonly isPublic?: true }>> = {
  INVALID_INPUT: { status: 400, isPublic: true },
  INVALID_CONFIGURATION: { status: 500 },
  VERIFICATION_FAILED: { status: 401, isPublic: true },
  AUTHORITY_NOT_READY: { status: 503 },
  SIGNING_FAILED: { status: 500 },
  CONFLICT: { status: 409 },
  NOT_OWNED: { status: 409 },
  NOT_FOUND: { status: 404 },
  JOURNAL_MISSING: { status: 503 },
  JOURNAL_CORRUPT: { status: 503 },
  JOURNAL_VERSION_UNSUPPORTED: { status: 503 },
  JOURNAL_FOREIGN: { status: 503 },
  SECRET_INVALID: { status: 503 },
  STATE_LOCKED: { status: 503 },
  CLOCK_SKEW: { status: 503 },
  STORAGE_FAILED: { status: 503 },
  CLUSTER_UNREACHABLE: { status: 503 },
  WRITE_REFUSED: { status: 500 },
  ABORTED: { status: 503 },
};

const GENERIC_MESSAGES: Readonly<Record<number, string>> = {
  404: HTTP_FAULTS.NOT_FOUND.message,
  409: "the request conflicts with the present state",
  503: HTTP_FAULTS.NOT_READY.message,
};

/** The answer to a request that HTTP's own rules refuse. */
export function faultResponse(code: HttpFaultCode): ErrorResponse {
  const { status, message } = HTTP_FAULTS[code];
  return encode(status, code, message);
}

/** The answer to a request whose handling threw `error`, whatever that is. */
export function errorResponse(error: unknown): ErrorResponse {
  if (!isOperatorError(error)) {
    const status = clientStatusOf(error);
    return status === undefined ? faultResponse("INTERNAL") : encode(status, "BAD_REQUEST", "bad request");
  }
  const { status, isPublic } = OPERATOR_ERRORS[error.code];
  if (isPublic) return encode(status, error.code, error.message);
  return encode(status, error.code, GENERIC_MESSAGES[status] ?? HTTP_FAULTS.INTERNAL.message);
}

/** The 4xx status that the HTTP library gave to its own errors (`FST_ERR_BAD_URL` and the like). */
function clientStatusOf(error: unknown): number | undefined {
  if (typeof error !== "object" || error === null || !("statusCode" in error) || !("code" in error))
    return undefined;
  const { statusCode, code } = error;
  if (typeof statusCode !== "number" || typeof code !== "string" || !code.startsWith("FST_ERR_"))
    return undefined;
  return statusCode >= 400 && statusCode < 500 ? statusCode : undefined;
}

function encode(status: number, code: string, message: string): ErrorResponse {
  return { status, body: `${JSON.stringify({ code, message })}\n` };
}
