/**
 * What a person sees of something that goes on, as lines that fit a terminal: a title with the time that has passed, a few
 * facts, a table. A pure function of the panel and the size of the terminal.
 */

import { type Seconds, seconds } from "../../core/brand.ts";
import type { ScreenSize } from "../io.ts";
import { type Cell, type Paint, visible, wrap } from "../output.ts";
import { shortLength } from "../times.ts";

/** Parts of one line, one after the other. */
export type Line = readonly Cell[];

interface PanelTable {
  readonly header: readonly string[];
  /** The last column may be long: it is broken into several lines. */
  readonly rows: readonly (readonly Cell[])[];
}

export interface Panel {
  readonly title: string;
  /** Each is broken into several lines where it is long. */
  readonly facts: readonly Cell[];
  readonly table?: PanelTable;
  /** What to know about leaving. */
  readonly hint: string;
}

const GAP = "  ";
const INDENT = "    ";
/** Below this width the last column stands under its row. */
const MIN_LAST = 28;
/** A fact or a cell takes no more lines than these. */
const MAX_LINES = 4;
const BAR = 24;

/** At most `rows - 1` lines of less than `columns` columns, so that the terminal neither breaks nor scrolls them. */
export function panelLines(
  { title, facts, table, hint }: Panel,
  { columns, rows }: ScreenSize,
  elapsed: Seconds,
): readonly Line[] {
  const width = Math.max(1, columns - 1);
  const head: Line = [{ text: title, style: "bold" }, { text: `${GAP}${shortLength(elapsed)}` }];
  const lines: readonly Line[] = [
    head,
    ...facts.flatMap((fact) => broken(fact, width)),
    ...(table === undefined ? [] : tableLines(table, width)),
    [{ text: hint, style: "dim" }],
  ];
  const room = Math.max(1, rows - 1);
  const hidden = lines.length - room + 1;
  const shown: readonly Line[] =
    lines.length <= room
      ? lines
      : [...lines.slice(0, room - 1), [{ text: `and ${hidden} more lines`, style: "dim" }]];
  return shown.map((line) => cutLine(line, width));
}

/** `[######------] 430 of 1,000` */
export function progressBar(done: number, total: number): string {
  const filled = total === 0 ? BAR : Math.floor((BAR * Math.min(done, total)) / total);
  return `[${"#".repeat(filled)}${"-".repeat(BAR - filled)}] ${grouped(done)} of ${grouped(total)}`;
}

/** `12,345` */
export function grouped(count: number): string {
  return String(count).replaceAll(/\B(?=(\d{3})+$)/g, ",");
}

export function paintLine(line: Line, paint: Paint): string {
  return line.map(({ text, style }) => (style === undefined ? text : paint(style, text))).join("");
}

/** In columns of the terminal. */
export function lineWidth(line: Line): number {
  return line.reduce((width, { text }) => width + textWidth(text), 0);
}

/** Whole seconds between two readings of a monotonic clock. */
export function secondsBetween(start: number, end: number): Seconds {
  return seconds(Math.max(0, Math.floor((end - start) / 1000)));
}

function tableLines({ header, rows }: PanelTable, width: number): readonly Line[] {
  const all = [
    header.map((text): Cell => ({ text, style: "bold" })),
    ...rows.map((row) => row.map(harmless)),
  ];
  const last = header.length - 1;
  const widths = header
    .slice(0, last)
    .map((_, column) => all.reduce((most, row) => Math.max(most, textWidth(row[column]?.text ?? "")), 0));
  const left = widths.reduce((sum, each) => sum + each + GAP.length, 0);
  const isStacked = width - left < MIN_LAST;
  return all.flatMap((row, index): readonly Line[] => {
    const start = row
      .slice(0, last)
      .flatMap((cell, column): readonly Cell[] => [cell, { text: gapAfter(cell, widths[column] ?? 0) }]);
    const end = row[last] ?? { text: "" };
    if (!isStacked) return hung(start, end, { left, width: width - left });
    // A heading over what stands elsewhere would mislead.
    if (index === 0) return [start.slice(0, -1)];
    const below = end.text === "-" ? [] : broken(end, width - INDENT.length);
    return [start.slice(0, -1), ...below.map((line): Line => [{ text: INDENT }, ...line])];
  });
}

/** A row whose last cell goes on under itself. */
function hung(
  start: Line,
  end: Cell,
  { left, width }: { readonly left: number; readonly width: number },
): readonly Line[] {
  const [first = [], ...more] = broken(end, width);
  return [[...start, ...first], ...more.map((line): Line => [{ text: " ".repeat(left) }, ...line])];
}

function gapAfter({ text }: Cell, width: number): string {
  return " ".repeat(Math.max(0, width - textWidth(text))) + GAP;
}

function broken(cell: Cell, width: number): readonly Line[] {
  const lines = wrap(harmless(cell).text, Math.max(1, width));
  const kept = lines.slice(0, MAX_LINES);
  if (lines.length > MAX_LINES) kept[MAX_LINES - 1] = `${kept[MAX_LINES - 1]} ..`;
  return kept.map((text): Line => [{ ...cell, text }]);
}

function harmless(cell: Cell): Cell {
  return { ...cell, text: cell.text === "" ? "-" : visible(cell.text) };
}

function cutLine(line: Line, width: number): Line {
  if (lineWidth(line) <= width) return line;
  const kept: Cell[] = [];
  let room = Math.max(0, width - 2);
  for (const cell of line) {
    const text = cutText(cell.text, room);
    room -= textWidth(text);
    kept.push({ ...cell, text });
    if (text !== cell.text) break;
  }
  return [...kept, { text: "..".slice(0, width) }];
}

function cutText(text: string, width: number): string {
  let room = width;
  let kept = "";
  for (const character of text) {
    room -= characterWidth(character);
    if (room < 0) break;
    kept += character;
  }
  return kept;
}

function textWidth(text: string): number {
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

/** Names of meshid are ASCII; messages of others may hold anything. Wide scripts begin at U+1100. */
function characterWidth(character: string): number {
  if (/^\p{M}/u.test(character)) return 0;
  return (character.codePointAt(0) ?? 0) >= 0x1100 && /\p{Lo}|\p{So}|\p{Emoji}/u.test(character) ? 2 : 1;
}
