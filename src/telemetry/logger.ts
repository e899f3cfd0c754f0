/**
 * The log: pino, one JSON object a line on standard error, or one readable line for a terminal.
 */

import { destination, type LoggerOptions as PinoOptions, pino, stdTimeFunctions } from "pino";
import { systemClock, toRfc3339 } from "../core/clock.ts";
import { OperatorError } from "../core/errors.ts";
import { type LogFields, REDACTED_FIELDS } from "./fields.ts";
import { formatPretty } from "./pretty.ts";
import { scrub } from "./redaction.ts";

/** error: a person must act; warn: degraded, will retry; info: a state changed; debug: why nothing changed. */
export type LogLevel = "error" | "warn" | "info" | "debug";
type LogFormat = "json" | "pretty";

export interface Logger {
  error(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  debug(fields: LogFields, message: string): void;
  /** A logger whose lines all carry `fields`; with a level of its own where one is given. */
  child(fields: LogFields, options?: { readonly level?: LogLevel }): Logger;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** With format pretty. Default false; `usesColour` decides it for a terminal. */
  readonly colour?: boolean;
  /** Takes each line, its end included. Default: standard error, written before the call returns where it can be. */
  readonly write?: (line: string) => void;
}

/** Characters that are kept while they cannot be written: about a thousand lines. */
const MAX_KEPT = 262_144;

export function createLogger(options: LoggerOptions): Logger {
  const inForm = (record: Readonly<Record<string, unknown>>): string =>
    options.format === "json" ? `${JSON.stringify(record)}\n` : formatPretty(record, options.colour ?? false);
  const sink = options.write === undefined ? standardError(inForm) : { write: options.write };
  const stream = options.format === "json" ? sink : prettyStream(sink, inForm);
  const isDebug = options.level === "debug";
  const pinoOptions: PinoOptions = {
    level: options.level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: (error: unknown) => serializeError(error, isDebug) },
    redact: {
      paths: REDACTED_FIELDS.flatMap((name) => [name, `*.${name}`]),
      censor: "[redacted]",
    },
    hooks: { streamWrite: scrub },
  };
  return pino(pinoOptions, stream);
}

/** `code` and `message`, with details and the messages of the causes; the stack only where it is asked for. */
export function serializeError(error: unknown, withStack: boolean): Readonly<Record<string, unknown>> {
  // A log line must never fail, and objects exist that no string can be made of.
  if (!isErrorLike(error))
    return { message: typeof error === "object" && error !== null ? "[object]" : String(error) };
  const causes = causesOf(error);
  const details = error instanceof OperatorError ? error.details : {};
  return {
    ...(error instanceof OperatorError ? { code: error.code } : {}),
    message: error.message,
    ...(Object.keys(details).length > 0 ? { details } : {}),
    ...(causes.length > 0 ? { cause: causes.join(": ") } : {}),
    ...(withStack && error.stack !== undefined ? { stack: error.stack } : {}),
  };
}

/** At most eight, so that a ring of causes ends. */
function causesOf(error: Error): readonly string[] {
  const messages: string[] = [];
  let cause = error.cause;
  while (isErrorLike(cause) && messages.length < 8) {
    messages.push(cause.message);
    cause = cause.cause;
  }
  return messages;
}

/** Errors of another realm (a worker, a sandbox) count too. */
function isErrorLike(value: unknown): value is Error {
  return (
    typeof value === "object" && value !== null && "message" in value && typeof value.message === "string"
  );
}

/**
 * What cannot be logged must not stop what is logged: on a full disk lines are kept, and tried again with the next one. (For a
 * pipe that nobody reads any more pino itself gives up.)
 */
function standardError(inForm: (record: Readonly<Record<string, unknown>>) => string): {
  write: (line: string) => unknown;
} {
  const stream = destination({ dest: 2, sync: true, maxLength: MAX_KEPT });
  stream.on("error", () => {});
  let lost = 0;
  stream.on("drop", () => {
    lost += 1;
    // For a line that there is no room for what is kept would not be tried again either, and nothing logged any more.
    stream.write("");
  });
  stream.on("drain", () => {
    if (lost === 0) return;
    const time = toRfc3339(systemClock.now());
    const msg = "log lines were lost: they could not be written, and there was no room to keep them";
    stream.write(inForm({ level: "warn", time, component: "log", count: lost, msg }));
    lost = 0;
  });
  return stream;
}

function prettyStream(
  sink: { write: (line: string) => unknown },
  inForm: (record: Readonly<Record<string, unknown>>) => string,
): { write: (line: string) => void } {
  return {
    write: (line) => {
      const record: unknown = JSON.parse(line);
      sink.write(inForm(record as Readonly<Record<string, unknown>>));
    },
  };
}
