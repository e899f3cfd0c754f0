/**
 * Help texts, made from the command table.
 */

import type { CommandSpec } from "./command.ts";
import { COMMANDS } from "./command-table.ts";
import { COMMON_OPTIONS, type OptionSpec } from "./options.ts";
import { type Paint, wrap } from "./output.ts";

const WIDTH = 100;

export const EXIT_CODES: readonly (readonly [code: number, meaning: string])[] = [
  [0, "it is so, or it was done"],
  [1, "a check failed: something is not Ready, not valid or refused"],
  [2, "wrong usage or configuration, or something could not be read"],
  [3, "the cluster cannot be reached"],
];

export function mainHelp(paint: Paint): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length)) + 2;
  const commands = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}\n`).join("");
  const codes = EXIT_CODES.map(([code, meaning]) => `  ${code}  ${meaning}\n`).join("");
  return (
    "meshid gives workloads identities that rotate by themselves.\n\n" +
    `${paint("bold", "Usage:")} meshid COMMAND [options]\n\n` +
    `${paint("bold", "Commands:")}\n${commands}\n` +
    `${paint("bold", "Examples:")}\n${examplesOf([
      ["meshid doctor", "what is wrong in the cluster, and what to do"],
      ["meshid status", "who is ready in the cluster, and until when"],
      ["meshid local --identities identities --out out", "serve a directory of ServiceIdentity files"],
      ["meshid status --out out", "the same of that directory"],
      ["meshid inspect out/shop/payments-tls", "what a credential is, and what is wrong with it"],
    ])}\n` +
    `${paint("bold", "Exit codes:")}\n${codes}\n` +
    "meshid COMMAND --help says more about one of them.\n"
  );
}

export function commandHelp(command: CommandSpec, paint: Paint): string {
  const positionals = command.positionals.map(({ name, effect, choices }) => {
    return entry(name, effect, choices === undefined ? [] : [`one of ${choices.join(", ")}`], paint);
  });
  const options = [...command.options, ...COMMON_OPTIONS].map((option) =>
    entry(flagText(option), option.effect, notesOf(option), paint),
  );
  return [
    `${command.summary}.\n\n${command.description}\n`,
    `${paint("bold", "Usage:")} ${usageOf(command)}\n`,
    ...(positionals.length === 0 ? [] : [`${paint("bold", "Arguments:")}\n${positionals.join("")}`]),
    `${paint("bold", "Options:")}\n${options.join("")}`,
    `${paint("bold", "Examples:")}\n${examplesOf(command.examples)}`,
  ].join("\n");
}

/** `meshid verify --bundle FILE [options] FILE` */
export function usageOf(command: CommandSpec): string {
  const required = command.options
    .filter((option) => option.required === true)
    .map(({ name, value }) => `--${name} ${value}`);
  const positionals = command.positionals.map(({ name, required: isRequired, choices }) => {
    const shown = choices === undefined ? name : choices.join("|");
    return isRequired ? shown : `[${shown}]`;
  });
  return ["meshid", command.name, ...required, ...positionals, "[options]"].join(" ");
}

/** `-o, --output FORMAT` */
export function flagText({ name, short, value }: OptionSpec): string {
  return `${short === undefined ? "" : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`;
}

/** Default, range and environment of an option, each in a few words. */
function notesOf(option: OptionSpec): readonly string[] {
  return [
    ...(option.required === true ? ["required"] : []),
    ...(option.default === undefined ? [] : [`default: ${option.default}`]),
    ...(option.choices === undefined ? [] : [`one of ${option.choices.join(", ")}`]),
    ...(option.range === undefined ? [] : [option.range]),
    ...(option.env === undefined ? [] : [`env: ${option.env}`]),
  ];
}

function entry(name: string, effect: string, notes: readonly string[], paint: Paint): string {
  const lines = wrap(effect, WIDTH - 6).map((line) => `      ${line}\n`);
  const remarks =
    notes.length === 0
      ? []
      : wrap(`(${notes.join("; ")})`, WIDTH - 6).map((line) => `      ${paint("dim", line)}\n`);
  return [`  ${paint("bold", name)}\n`, ...lines, ...remarks].join("");
}

function examplesOf(examples: CommandSpec["examples"]): string {
  return examples.map(([command, purpose]) => `  # ${purpose}\n  ${command}\n`).join("");
}
