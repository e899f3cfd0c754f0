/**
 * Writes docs/cli.md from the tables that the CLI itself runs by. `npm test` fails when the file is not what this makes.
 */

import { writeFile } from "node:fs/promises";
import type { CommandSpec } from "../src/app/command.ts";
import { COMMANDS } from "../src/app/command-table.ts";
import { EXIT_CODES, flagText, usageOf } from "../src/app/help.ts";
import { COMMON_OPTIONS, type OptionSpec } from "../src/app/options.ts";

/** The text of docs/cli.md. */
export function cliDocs(): string {
  const list = COMMANDS.map(
    ({ name, summary }) => `| [\`${name}\`](#meshid-${name}) | ${cell(summary)} |\n`,
  ).join("");
  const codes = EXIT_CODES.map(([code, meaning]) => `| ${code} | ${cell(meaning)} |\n`).join("");
  return `<!-- Made by hack/generate-docs.ts from src/app: change it there. -->

# The command line

From a checkout \`hack/meshid\` stands for \`meshid\`. \`meshid COMMAND --help\` says the same as this page.

| command | what it does |
|---|---|
${list}
An option that is given as a flag goes before its environment variable; an empty variable is an absent one. Answers go to
standard output, everything about them to standard error. Colours are shown on a terminal only, and not with \`NO_COLOR\`.

| exit code | meaning |
|---|---|
${codes}
Every command has these options too:

${optionTable(COMMON_OPTIONS)}
${COMMANDS.map(commandDocs).join("\n")}`;
}

function commandDocs(command: CommandSpec): string {
  const positionals = command.positionals.map(({ name, effect, choices }) => {
    return `| \`${name}\` | ${cell(choices === undefined ? "" : choices.join(", "))} | ${cell(effect)} |\n`;
  });
  const examples = command.examples.map(([line, purpose]) => `# ${purpose}\n${line}\n`).join("\n");
  return `## meshid ${command.name}

${command.description.replaceAll("\n", " ")}

\`\`\`
${usageOf(command)}
\`\`\`

${positionals.length === 0 ? "" : `| argument | one of | what |\n|---|---|---|\n${positionals.join("")}\n`}${
  command.options.length === 0 ? "" : `${optionTable(command.options)}\n`
}\`\`\`sh
${examples}\`\`\`
`;
}

function optionTable(options: readonly OptionSpec[]): string {
  const rows = options.map((option) => {
    const range = [option.choices?.join(", ") ?? "", option.range ?? ""]
      .filter((text) => text !== "")
      .join("; ");
    const env = option.env === undefined ? "" : `\`${option.env}\``;
    const otherwise = option.required === true ? "required" : (option.default ?? "");
    return `| \`${flagText(option)}\` | ${env} | ${cell(otherwise)} | ${cell(range)} | ${cell(option.effect)} |\n`;
  });
  return `| option | variable | default | values | effect |\n|---|---|---|---|---|\n${rows.join("")}`;
}

function cell(text: string): string {
  return text.replaceAll("|", String.raw`\|`).replaceAll("*", String.raw`\*`);
}

if (import.meta.main) await writeFile(new URL("../docs/cli.md", import.meta.url), cliDocs());
