/**
 * How answers are written: aligned tables for a person, JSON or YAML for a program. Text from files is made harmless
 * before it reaches a terminal.
 */

import { parseChoice } from "./config.ts";
import type { Io } from "./io.ts";
import { type GivenOptions, OUTPUT_FORMATS } from "./options.ts";

export type OutputFormat = (typeof OUTPUT_FORMATS)[number] | "wide";

type Style = "good" | "bad" | "warn" | "dim" | "bold";

/** Paints nothing where the reader is no terminal or does not want colours. */
export type Paint = (style: Style, text: string) => string;

export interface Cell {
  readonly text: string;
  readonly style?: Style;
}

const CODES: Readonly<Record<Style, string>> = { good: "32", bad: "31", warn: "33", dim: "2", bold: "1" };
const GAP = "   ";

/** Colours go to terminals only, and not where the user said no (https://no-color.org). */
export function painter(io: Pick<Io, "isTTY" | "env">): Paint {
  const isPlain = !io.isTTY || (io.env["NO_COLOR"] ?? "") !== "" || io.env["TERM"] === "dumb";
  return isPlain
    ? (_style, text) => text
    : (style, text) => (text === "" ? "" : `\u001B[${CODES[style]}m${text}\u001B[0m`);
}

/** @throws INVALID_CONFIGURATION naming the flag or variable. */
export function outputFormat(
  options: GivenOptions,
  allowed: readonly OutputFormat[] = OUTPUT_FORMATS,
): OutputFormat {
  return parseChoice(options, "output", allowed) ?? "table";
}

/** Columns as wide as their widest cell; the last one is not padded. Ends with a line end. */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly Cell[])[],
  paint: Paint,
): string {
  const cells = [
    header.map((text): Cell => ({ text, style: "bold" })),
    ...rows.map((row) => row.map(visibleCell)),
  ];
  const widths = header.map((_, column) =>
    cells.reduce((width, row) => Math.max(width, widthOf(row[column]?.text ?? "")), 0),
  );
  const lines = cells.map((row) =>
    row.map((cell, column) => padded(cell, widths[column] ?? 0, column === row.length - 1, paint)),
  );
  return lines.map((line) => `${line.join(GAP).trimEnd()}\n`).join("");
}

/** One `label  value` a line, values aligned; a value of several lines hangs under its first. */
export function formatFields(
  fields: readonly (readonly [label: string, value: string])[],
  indent: string,
  paint: Paint,
): string {
  const width = fields.reduce((most, [label]) => Math.max(most, widthOf(label)), 0);
  const hang = `\n${indent}${" ".repeat(width)}${GAP}`;
  return fields
    .map(([label, value]) => {
      const lines = value.split("\n").map(visible).join(hang);
      return `${indent}${paint("dim", label.padEnd(width))}${GAP}${lines}`.trimEnd();
    })
    .map((line) => `${line}\n`)
    .join("");
}

/** For `--output json|yaml`; the same value in either. YAML is loaded only when it is asked for. */
export async function formatData(value: unknown, format: "json" | "yaml"): Promise<string> {
  if (format === "json") return `${JSON.stringify(value, undefined, 2)}\n`;
  const { stringify } = await import("yaml");
  return stringify(JSON.parse(JSON.stringify(value)), { lineWidth: 0 });
}

/** Control characters and those that reverse the direction of text become `\u{…}`. */
export function visible(text: string): string {
  return text.replaceAll(/[\p{Cc}\u200E\u200F\u202A-\u202E\u2028\u2029\u2066-\u2069]/gu, (character) => {
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
  });
}

/** Lines of at most `width` characters, broken at words; a longer word stands alone. */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length + 1 > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

function visibleCell(cell: Cell): Cell {
  return { ...cell, text: cell.text === "" ? "-" : visible(cell.text) };
}

function padded(cell: Cell, width: number, isLast: boolean, paint: Paint): string {
  const text = cell.style === undefined ? cell.text : paint(cell.style, cell.text);
  return isLast ? text : text + " ".repeat(Math.max(0, width - widthOf(cell.text)));
}

/** Names of meshid are ASCII. */
function widthOf(text: string): number {
  return text.length;
}
