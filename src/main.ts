#!/usr/bin/env node
/**
 * The process: hands its arguments, streams and environment to the CLI.
 */

import { isatty } from "node:tty";
import { runCli } from "./app/cli.ts";
import { INTERRUPTED, type Io } from "./app/io.ts";
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

// What cannot be said, on a full disk or to a reader that has left, must not end what is said.
process.stderr.on("error", () => {});

const canDraw = isatty(2) && process.env["TERM"] !== "dumb";

const io: Io = {
  stdout: process.stdout,
  rawStdout: process.stdout,
  stderr: process.stderr,
  isTTY: isatty(1),
  isErrorTTY: isatty(2),
  env: process.env,
  clock: systemClock,
  random: systemRandom,
  // A terminal that does not know its size says 0.
  ...(canDraw
    ? { screen: () => ({ columns: process.stderr.columns || 80, rows: process.stderr.rows || 24 }) }
    : {}),
  onInterrupt: (listener) => {
    process.on("SIGINT", listener);
    return { [Symbol.dispose]: () => process.off("SIGINT", listener) };
  },
};

const code = await runCli(process.argv.slice(2), io);
process.exitCode = code;
// A plugin of the kubeconfig that hangs is a child of ours, and would keep us.
if (process.getActiveResourcesInfo().includes("ProcessWrap")) process.exit();
// Shells stop a script for a command that ended by the signal, and not for one that only says so.
if (code === INTERRUPTED) process.kill(process.pid, "SIGINT");
