#!/usr/bin/env node
/**
 * The process: hands its arguments, streams and environment to the CLI.
 */

import { isatty } from "node:tty";
import { runCli } from "./app/cli.ts";
import { boundHeap } from "./app/memory.ts";
import { systemClock } from "./core/clock.ts";
import { systemRandom } from "./core/random.ts";

boundHeap();

// SQLite in Node is called experimental; who runs meshid cannot do anything about it.
process.removeAllListeners("warning");
process.on("warning", (warning) => {
  if (warning.name !== "ExperimentalWarning") process.stderr.write(`${warning.name}: ${warning.message}\n`);
});

// The reader of a pipe may leave early (`| head`): that is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

process.exitCode = await runCli(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  isTTY: isatty(1),
  isErrorTTY: isatty(2),
  env: process.env,
  clock: systemClock,
  random: systemRandom,
});
