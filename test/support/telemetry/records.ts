/** A logger whose lines a test reads back. */

import { createLogger, type Logger, type LoggerOptions } from "../../../src/telemetry/logger.ts";

export interface RecordingLogger {
  readonly logger: Logger;
  /** Raw, in order. */
  readonly lines: readonly string[];
  /** Parsed, without `time`. */
  readonly records: () => readonly Readonly<Record<string, unknown>>[];
}

export function recordingLogger(options: Partial<LoggerOptions> = {}): RecordingLogger {
  const lines: string[] = [];
  const logger = createLogger({
    level: "info",
    format: "json",
    write: (line) => void lines.push(line),
    ...options,
  });
  return {
    logger,
    lines,
    records: () =>
      lines.map((line) => {
        const { time: _time, ...record } = JSON.parse(line);
        return record;
      }),
  };
}
