/**
 * The command line: finds the command, runs it, and turns what went wrong into one message and an exit code.
 */

import { isOperatorError, messageOf, type OperatorError } from "../core/errors.ts";
import { scrub } from "../telemetry/redaction.ts";
import { commandNamed, parseArguments } from "./arguments.ts";
import type { RunCommand } from "./command.ts";
import { commandHelp, mainHelp } from "./help.ts";
import { EXIT, type Io, type Writer } from "./io.ts";
import { LOADERS } from "./loaders.ts";
import { type GivenOptions, textOf } from "./options.ts";
import { painter } from "./output.ts";

/** Resolves to the exit code; never rejects. */
export async function runCli(args: readonly string[], unguarded: Io): Promise<number> {
  // The last net: whatever slips into a message, no key and no token is printed.
  const io: Io = { ...unguarded, stdout: scrubbed(unguarded.stdout), stderr: scrubbed(unguarded.stderr) };
  let name = "";
  let options: GivenOptions = new Map();
  try {
    const help = helpFor(args, io);
    if (help !== undefined) {
      const isAsked = args.length > 0;
      (isAsked ? io.stdout : io.stderr).write(help);
      return isAsked ? EXIT.ok : EXIT.usage;
    }
    const call = parseArguments(args[0] === "--version" ? ["version", ...args.slice(1)] : args, io.env);
    name = call.command.name;
    options = call.options;
    return await load(name).then((run) => run(options, io));
  } catch (error) {
    const command = isOperatorError(error) ? String(error.details["command"] ?? name) : name;
    const wantsStack = textOf(options, "log-level") === "debug" || io.env["MESHID_LOG_LEVEL"] === "debug";
    io.stderr.write(describeFailure(error, command, wantsStack));
    return exitCodeOf(error);
  }
}

function load(name: string): Promise<RunCommand> {
  const loader = LOADERS[name];
  if (loader === undefined) throw new TypeError(`command ${name} has no loader`);
  return loader();
}

/** What to print in place of running anything. @throws INVALID_CONFIGURATION for help on an unknown command. */
function helpFor(args: readonly string[], io: Io): string | undefined {
  const end = args.indexOf("--");
  const words = end === -1 ? args : args.slice(0, end);
  const isAsked = words[0] === "help" || words.includes("--help") || words.includes("-h");
  if (!isAsked && args.length > 0) return undefined;
  const command = commandNamed(words);
  const paint = painter(io);
  return command === undefined ? mainHelp(paint) : commandHelp(command, paint);
}

function describeFailure(error: unknown, command: string, wantsStack: boolean): string {
  const prefix = command === "" ? "meshid" : `meshid ${command}`;
  const message = isOperatorError(error) ? error.message : `internal error: ${messageOf(error)}`;
  const stack = wantsStack && error instanceof Error ? `${error.stack ?? ""}\n` : "";
  const isUsage = isOperatorError(error, "INVALID_CONFIGURATION");
  return `${prefix}: ${message}\n${isUsage ? `See '${prefix} --help'.\n` : ""}${stack}`;
}

function exitCodeOf(error: unknown): number {
  if (isOperatorError(error, "CLUSTER_UNREACHABLE")) return EXIT.unreachable;
  return isFailedCheck(error) ? EXIT.checkFailed : EXIT.usage;
}

function isFailedCheck(error: unknown): error is OperatorError {
  return isOperatorError(error, "VERIFICATION_FAILED");
}

function scrubbed(writer: Writer): Writer {
  return { write: (text) => writer.write(scrub(text)) };
}
