/**
 * The one error type that crosses layers. Callers branch on `code`, never on message text.
 */

export type ErrorCode =
  /** A value from outside has the wrong form; `details.field` and `details.expected` say which and what. */
  | "INVALID_INPUT"
  /** Flags, environment or files given to the process cannot be used together or at all. */
  | "INVALID_CONFIGURATION"
  /** An SVID, chain, token or bundle does not satisfy its profile. */
  | "VERIFICATION_FAILED"
  /** No active authority can sign at present. */
  | "AUTHORITY_NOT_READY"
  /** What was signed did not pass its own verification, or signing itself failed. */
  | "SIGNING_FAILED"
  /** A compare-and-swap met another writer. */
  | "CONFLICT"
  /** The object exists and is not meshid's. */
  | "NOT_OWNED"
  | "NOT_FOUND"
  /** The API server accepts no such object here: a quota, a policy, missing rights. */
  | "WRITE_REFUSED"
  | "JOURNAL_MISSING"
  | "JOURNAL_CORRUPT"
  | "JOURNAL_VERSION_UNSUPPORTED"
  | "JOURNAL_FOREIGN"
  /** The certificates and the key that the trust domain's owner brought cannot sign for it. */
  | "SECRET_INVALID"
  /** Another process holds the state directory; `details.pid` names it. */
  | "STATE_LOCKED"
  /** The clock moved in a way that makes decisions unsafe. */
  | "CLOCK_SKEW"
  /** A file or remote store could not be read or written. */
  | "STORAGE_FAILED"
  /** A command got no answer from the cluster that it asks. */
  | "CLUSTER_UNREACHABLE"
  | "ABORTED";

export interface OperatorErrorOptions {
  /** Whether the same call may succeed later without anyone changing its input. Default false. */
  readonly retryable?: boolean;
  readonly cause?: unknown;
  /** Ids and expectations, never secrets. */
  readonly details?: Readonly<Record<string, string | number>>;
}

export class OperatorError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, string | number>>;

  constructor(code: ErrorCode, message: string, options: OperatorErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "OperatorError";
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.details = options.details ?? {};
  }
}

/** Bad input: `field` and `expected` reach the user, so they are always given. */
export function invalidInput(field: string, message: string, expected: string): OperatorError {
  return new OperatorError("INVALID_INPUT", `${field}: ${message}; expected ${expected}`, {
    details: { field, expected },
  });
}

export function isOperatorError(error: unknown, code?: ErrorCode): error is OperatorError {
  return error instanceof OperatorError && (code === undefined || error.code === code);
}

/** The message of anything thrown, without a stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What nobody wants to see in a message, wherever it was put by mistake. */
const SECRET = /PRIVATE KEY-----|\beyJ[A-Za-z0-9_-]{8,}\./;

/**
 * A value from outside, fit for a message: in quotes, cut after 100 characters, all but printable ASCII escaped. A key or a
 * token, which someone may have put in a wrong place, is not shown at all.
 */
export function quoted(text: string): string {
  if (SECRET.test(text)) return '"[redacted]"';
  const shown = text.slice(0, 100).replace(/["\\]|[^\x20-\x7e]/g, (char) => {
    return char === '"' || char === "\\"
      ? `\\${char}`
      : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
  return `"${shown}${text.length > 100 ? "…" : ""}"`;
}

/** Ends a `switch` over a closed union. */
export function unreachable(value: never): never {
  throw new TypeError(`unreachable: ${String(value)}`);
}
