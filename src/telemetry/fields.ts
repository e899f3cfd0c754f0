/**
 * The names of log fields: one fact, one name. A line carries only these; there is none for keys, tokens or the
 * data of a Secret.
 */

export interface LogFields {
  /** The part of meshid that speaks, such as `controller` or `http`. On every line. */
  readonly component?: string;
  /** One pass of a loop over one key. */
  readonly reconcileId?: string;
  /** One HTTP request. */
  readonly requestId?: string;
  /** `true` on the lines of the issuance record. */
  readonly audit?: true;

  /** `<namespace>/<name>` */
  readonly serviceIdentity?: string;
  readonly trustDomain?: string;
  readonly spiffeId?: string;
  /** `x509` or `jwt` for an SVID; `Root`, `Issuing` or `JWT` for an authority. */
  readonly kind?: string;
  /** Of a certificate, lower-case hex. */
  readonly serial?: string;
  /** Of a token. */
  readonly jti?: string;
  readonly audience?: string;
  /** The key ID of the authority that signed, or that a rotation is about. */
  readonly kid?: string;
  /** RFC 3339. */
  readonly notAfter?: string;
  /** Stable and in CamelCase: why something was done or not done. */
  readonly reason?: string;
  /** What `reason` means here, in words for a person. */
  readonly explanation?: string;
  /** Of a rotation. */
  readonly step?: string;
  /** Of a bundle. */
  readonly sequence?: number;
  readonly hash?: string;

  readonly controller?: string;
  /** How a pass of a loop ended. */
  readonly result?: string;
  readonly attempt?: number;
  readonly requeueAfterMs?: number;
  readonly durationMs?: number;
  readonly count?: number;

  /** Where something was read or written: a file, with its line (from 1) and field. */
  readonly file?: string;
  readonly line?: number;
  readonly field?: string;
  /** `HOST:PORT` */
  readonly address?: string;
  readonly method?: string;
  /** The pattern of an HTTP route, never the path that a client sent. */
  readonly route?: string;
  readonly status?: number;
  readonly pid?: number;
  readonly signal?: string;
  readonly version?: string;
  readonly mode?: string;
  /** Of a Lease: the process that leads. */
  readonly holder?: string;

  /** Of an `OperatorError`. */
  readonly code?: string;
  /** Anything thrown; written as code, message, details and cause, with its stack at level debug only. */
  readonly err?: unknown;
}

/** Names that no line may carry; a value that comes under one of them all the same is not written. */
export const REDACTED_FIELDS: readonly string[] = [
  "authorization",
  "cookie",
  "data",
  "jwt",
  "passphrase",
  "password",
  "pem",
  "privateKey",
  "secret",
  "token",
];
