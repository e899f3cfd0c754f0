/**
 * Findings as a person reads them: what failed first, and what to do under each.
 */

import { type Paint, visible, wrap } from "../output.ts";
import type { Finding, Result } from "./finding.ts";

const ORDER: readonly Result[] = ["failed", "warning", "skipped", "ok"];
const WORDS = { failed: "FAILED", warning: "WARNING", skipped: "SKIPPED", ok: "OK" } as const;
const STYLES = { failed: "bad", warning: "warn", skipped: "dim", ok: "good" } as const;
const WORD_WIDTH = 9;
/** Of the text beside the names. */
const TEXT_WIDTH = 100;

export function printFindings(findings: readonly Finding[], paint: Paint): string {
  const width = Math.max(...findings.map(({ name }) => name.length)) + 2;
  const indent = " ".repeat(WORD_WIDTH + width);
  const sorted = ORDER.flatMap((result) => findings.filter((finding) => finding.result === result));
  const lines = sorted.map(({ name, result, message, remedy }) => {
    const word = paint(STYLES[result], WORDS[result]) + " ".repeat(WORD_WIDTH - WORDS[result].length);
    const text = hanging(message, indent);
    const head = `${word}${paint("bold", name.padEnd(width))}${text}\n`;
    const arrow = `${indent}${paint("dim", "→")} `;
    return remedy === undefined ? head : `${head}${arrow}${hanging(remedy, `${indent}  `)}\n`;
  });
  return `${lines.join("")}\n${summary(findings)}\n`;
}

function hanging(text: string, indent: string): string {
  return wrap(visible(text), TEXT_WIDTH).join(`\n${indent}`);
}

export function countsOf(findings: readonly Finding[]): Readonly<Record<Result, number>> {
  const count = (result: Result): number => findings.filter((finding) => finding.result === result).length;
  return { failed: count("failed"), warning: count("warning"), skipped: count("skipped"), ok: count("ok") };
}

function summary(findings: readonly Finding[]): string {
  const { failed, warning, skipped, ok } = countsOf(findings);
  return `${failed} failed, ${warning} ${warning === 1 ? "warning" : "warnings"}, ${skipped} skipped, ${ok} ok`;
}
