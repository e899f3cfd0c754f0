/**
 * From a command line to a command and its options. yargs splits the words; what is allowed is decided here, so that
 * every refusal names the flag and what was expected.
 */

import yargs from "yargs";
import { OperatorError, quoted } from "../core/errors.ts";
import type { CommandSpec } from "./command.ts";
import { COMMANDS } from "./command-table.ts";
import { COMMON_OPTIONS, type GivenOption, type GivenOptions, type OptionSpec } from "./options.ts";
import { didYouMean } from "./suggest.ts";

export interface Call {
  readonly command: CommandSpec;
  readonly options: GivenOptions;
}

type Env = Readonly<Record<string, string | undefined>>;

/** What yargs made of the words. */
type Parsed = Readonly<Record<string, unknown>> & { readonly _: readonly unknown[] };

/** Addresses can be switched off by `--no-…`. */
const NEGATABLE: ReadonlySet<string> = new Set(["listen", "probes"]);

/** yargs loses a lone `-`, which stands for standard input: it passes as this. */
const DASH = "\0-";

const WORDS: Readonly<Record<string, boolean>> = {
  true: true,
  "1": true,
  yes: true,
  false: false,
  "0": false,
  no: false,
};

/** @throws INVALID_CONFIGURATION naming each unknown flag, command and missing value; `details.command` where it is known. */
export function parseArguments(args: readonly string[], env: Env): Call {
  const { command, parsed } = split(args.map((word) => (word === "-" ? DASH : word)));
  if (command === undefined) throw unknownCommand(parsed);
  const specs = [...command.options, ...COMMON_OPTIONS];
  const problems: string[] = [];
  const options = new Map<string, GivenOption>();
  for (const spec of specs) {
    const given = fromFlag(spec, parsed, problems) ?? fromEnvironment(spec, env, problems);
    if (given === undefined) continue;
    options.set(spec.name, given);
    if (command.checksChoices !== true) checkChoice(spec, given, problems);
  }
  problems.push(...unknownFlags(parsed, specs, args));
  readPositionals(command, parsed, options, problems);
  if (problems.length > 0) {
    const text =
      problems.length === 1
        ? (problems[0] ?? "")
        : `${problems.length} problems:\n${problems.map((line) => `  ${line}`).join("\n")}`;
    throw new OperatorError("INVALID_CONFIGURATION", text, { details: { command: command.name } });
  }
  return { command, options };
}

/** The command that help is asked for; undefined: help on all. */
export function commandNamed(args: readonly string[]): CommandSpec | undefined {
  const name = args.find((word) => !word.startsWith("-") && word !== "help");
  const command = COMMANDS.find((each) => each.name === name);
  if (name !== undefined && command === undefined) throw unknownCommand({ _: [name] });
  return command;
}

function split(args: readonly string[]): { command: CommandSpec | undefined; parsed: Parsed } {
  let command: CommandSpec | undefined;
  const parser = yargs([...args])
    .locale("en")
    .help(false)
    .version(false)
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new OperatorError("INVALID_CONFIGURATION", message);
    })
    .parserConfiguration({
      "camel-case-expansion": false,
      "dot-notation": false,
      "parse-numbers": false,
      "parse-positional-numbers": false,
      "duplicate-arguments-array": false,
      "strip-aliased": true,
      "populate--": false,
    });
  declare(parser, COMMON_OPTIONS);
  for (const spec of COMMANDS) {
    const words = spec.positionals.map(({ name }) => `[${name}]`).join(" ");
    parser.command(
      `${spec.name} ${words}`.trimEnd(),
      spec.summary,
      (builder) => {
        for (const { name } of spec.positionals) builder.positional(name, { type: "string" });
        declare(builder, spec.options);
      },
      () => {
        command = spec;
      },
    );
  }
  const parsed: unknown = parser.parseSync();
  return { command, parsed: parsed as Parsed };
}

function declare(parser: ReturnType<typeof yargs>, options: readonly OptionSpec[]): void {
  for (const { name, short, type } of options)
    parser.option(name, short === undefined ? { type } : { type, alias: short });
}

function unknownCommand(parsed: Parsed): OperatorError {
  const names = COMMANDS.map(({ name }) => name);
  const word = parsed._[0];
  const list = `expected one of ${names.join(", ")}`;
  if (word === undefined) return new OperatorError("INVALID_CONFIGURATION", `a command is missing; ${list}`);
  const text = typeof word === "string" ? word : "";
  return new OperatorError(
    "INVALID_CONFIGURATION",
    `${quoted(text)} is not a command; ${list}${didYouMean(text, names)}`,
  );
}

function fromFlag(spec: OptionSpec, parsed: Parsed, problems: string[]): GivenOption | undefined {
  const value = parsed[spec.name];
  const from = `--${spec.name}`;
  if (value === undefined) return undefined;
  if (spec.type === "boolean") return { from, value: value === true };
  if (value === false && NEGATABLE.has(spec.name)) return { from, value: false };
  if (value === false) problems.push(`--no-${spec.name}: is not a flag; expected ${from} ${spec.value}`);
  else if (typeof value !== "string" || value === "")
    problems.push(`${from}: needs a value; expected ${from} ${spec.value}`);
  else return { from, value: value === DASH ? "-" : value };
  return undefined;
}

/** An empty variable is an absent one. */
function fromEnvironment(spec: OptionSpec, env: Env, problems: string[]): GivenOption | undefined {
  const from = spec.env;
  const value = from === undefined ? undefined : env[from];
  if (from === undefined || value === undefined || value === "") return undefined;
  if (spec.type === "string") return { from, value };
  const word = Object.hasOwn(WORDS, value.toLowerCase()) ? WORDS[value.toLowerCase()] : undefined;
  if (word !== undefined) return { from, value: word };
  problems.push(`${from}: ${quoted(value)} is not usable; expected true or false`);
  return undefined;
}

function checkChoice({ choices }: OptionSpec, { from, value }: GivenOption, problems: string[]): void {
  if (choices === undefined || typeof value !== "string" || choices.includes(value)) return;
  problems.push(`${from}: ${quoted(value)} is not usable; expected one of ${choices.join(", ")}`);
}

function unknownFlags(
  parsed: Parsed,
  specs: readonly OptionSpec[],
  args: readonly string[],
): readonly string[] {
  const known = new Set([
    "_",
    "$0",
    ...specs.flatMap(({ name, short }) => (short === undefined ? [name] : [name, short])),
  ]);
  const flags = specs.map(({ name }) => `--${name}`);
  return Object.keys(parsed)
    .filter((key) => !known.has(key) && !/^[A-Z]/.test(key))
    .map((key) => {
      const no = `--no-${key}`;
      const flag = args.includes(no) ? no : `${key.length === 1 ? "-" : "--"}${key}`;
      const guess = didYouMean(flag, flags);
      return `${visibleFlag(flag)}: is not a flag of this command${guess === "" ? `; expected one of ${flags.join(", ")}` : guess}`;
    });
}

function visibleFlag(flag: string): string {
  return quoted(flag).slice(1, -1);
}

function readPositionals(
  command: CommandSpec,
  parsed: Parsed,
  options: Map<string, GivenOption>,
  problems: string[],
): void {
  for (const { name, required, choices, effect } of command.positionals) {
    const value = parsed[name];
    if (typeof value === "string" && value !== "") {
      if (choices !== undefined && !choices.includes(value)) {
        problems.push(
          `${name}: ${quoted(value)} is not usable; expected one of ${choices.join(", ")}${didYouMean(value, choices)}`,
        );
      }
      options.set(name, { from: name, value: value === DASH ? "-" : value });
    } else if (required) {
      const form =
        choices === undefined
          ? effect.charAt(0).toLowerCase() + effect.slice(1).replace(/\.$/, "")
          : `one of ${choices.join(", ")}`;
      problems.push(`${name}: is missing; expected ${form}`);
    }
  }
  for (const word of parsed._.slice(1)) {
    problems.push(
      `${quoted(String(word))}: one argument too many; expected ${command.positionals.length === 0 ? "none" : `only ${command.positionals.map(({ name }) => name).join(" ")}`}`,
    );
  }
}
