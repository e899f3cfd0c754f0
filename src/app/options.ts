/**
 * Options as data: what help, completion, `docs/cli.md` and the parsers know about a flag stands here once, beside it.
 */

export interface OptionSpec {
  /** Without its dashes. */
  readonly name: string;
  readonly short?: string;
  readonly type: "string" | "boolean";
  /** What stands for the value in help, with its unit where it has one: `DIR`, `HOST:PORT`. Absent for a boolean. */
  readonly value?: string;
  /** Read where the flag is absent. */
  readonly env?: string;
  /** In words; absent: none, the option is off. */
  readonly default?: string;
  /** Allowed values, in words. */
  readonly range?: string;
  /** The closed list of values, where there is one. */
  readonly choices?: readonly string[];
  /** What completion offers. */
  readonly completes?: "file" | "directory";
  readonly required?: boolean;
  /** What it does, in one sentence. */
  readonly effect: string;
}

export interface PositionalSpec {
  readonly name: string;
  readonly required: boolean;
  readonly choices?: readonly string[];
  readonly completes?: "file";
  readonly effect: string;
}

/** An option or argument as it was given: `from` is how the user named it, `--out`, `MESHID_OUT` or `FILE`. */
export interface GivenOption {
  readonly from: string;
  /** `false`: switched off by `--no-…`. */
  readonly value: string | boolean;
}

/** By name; only what was given, by flag or environment. A flag goes before the environment. */
export type GivenOptions = ReadonlyMap<string, GivenOption>;

export const OUTPUT_FORMATS = ["table", "json", "yaml"] as const;
export const LOG_LEVEL_NAMES = ["error", "warn", "info", "debug"] as const;
export const LOG_FORMATS = ["json", "pretty"] as const;

export const OUTPUT_OPTION: OptionSpec = {
  name: "output",
  short: "o",
  type: "string",
  value: "FORMAT",
  env: "MESHID_OUTPUT",
  default: "table",
  choices: OUTPUT_FORMATS,
  effect: "How the answer is written: a table for a person, json or yaml for a program.",
};

/** Every command has these. */
export const COMMON_OPTIONS: readonly OptionSpec[] = [
  {
    name: "log-level",
    type: "string",
    value: "LEVEL",
    env: "MESHID_LOG_LEVEL",
    default: "info",
    choices: LOG_LEVEL_NAMES,
    effect:
      "What is logged to standard error: error = a person must act, debug = also why nothing changed, and stack traces.",
  },
  {
    name: "log-format",
    type: "string",
    value: "FORMAT",
    env: "MESHID_LOG_FORMAT",
    default: "pretty on a terminal, json otherwise",
    choices: LOG_FORMATS,
    effect: "Log lines for a person or one JSON object a line.",
  },
];

/** The text of an option; undefined where it was not given. */
export function textOf(options: GivenOptions, name: string): string | undefined {
  const value = options.get(name)?.value;
  return typeof value === "string" ? value : undefined;
}

export function isSet(options: GivenOptions, name: string): boolean {
  return options.get(name)?.value === true;
}

/** How a person names an option in a sentence: `--listen "x"` or `MESHID_LISTEN "x"`. */
export function flagOf(options: GivenOptions, name: string): string {
  return options.get(name)?.from ?? `--${name}`;
}
