/**
 * Measures section by section, prints as it goes, writes Markdown tables, and says how many limits were passed. Where only some
 * sections are asked for, the others stay in the file as they are.
 */

import { readFile, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, loadavg, platform, release, totalmem } from "node:os";
import type { Result } from "./result.ts";

export interface Report {
  readonly title: string;
  readonly command: string;
  /** Below `docs`. */
  readonly file: string;
  readonly sections: readonly (readonly [title: string, measure: () => Promise<readonly Result[]>])[];
  /** Lines after the table. */
  readonly notes?: readonly string[];
  /** By title, whether a section is measured; absent: all are. */
  readonly only?: ((title: string) => boolean) | undefined;
  /** Of a trial with other sizes than those of the report: nothing is written. */
  readonly isTrial?: boolean;
}

/** The exit code. */
export async function writeReport(report: Report): Promise<number> {
  const { sections, only, isTrial = false } = report;
  const wanted = sections.filter(([title]) => only === undefined || only(title));
  if (wanted.length === 0) throw new Error("there is no section to measure");
  const before = load();
  const measured = new Map<string, readonly string[]>();
  let failed = 0;
  for (const [title, measure] of wanted) {
    const begun = load();
    console.log(`\n${title} (load ${begun})`);
    const results = await measure();
    const alone =
      only === undefined
        ? []
        : [`Measured by itself on ${today()}, load ${begun} before and ${load()} after.`, ""];
    const lines = [`## ${title}`, "", ...alone, "| what | measured | limit | |", "|---|--:|--:|---|"];
    measured.set(title, [...lines, ...results.map(row)]);
    failed += results.filter(({ ok }) => ok === false).length;
    for (const result of results) console.log(line(result));
  }
  if (!isTrial) {
    const file = new URL(`../../docs/${report.file}`, import.meta.url);
    const text =
      only === undefined
        ? await whole(report, measured, before)
        : amended(await readFile(file, "utf8"), measured, report.notes ?? []);
    await writeFile(file, text);
  }
  console.log(failed === 0 ? "\nevery limit held" : `\n${failed} past the limit`);
  return failed === 0 ? 0 : 1;
}

async function whole(
  { title, command, notes = [] }: Report,
  measured: ReadonlyMap<string, readonly string[]>,
  before: string,
): Promise<string> {
  const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  const head = [
    `# ${title}`,
    "",
    `Written by \`${command}\`, which ends with 1 when a limit is passed. Ratios are taken within one run; medians where there are several.`,
    "",
    `meshid ${version}, Node ${process.version}, OpenSSL ${process.versions.openssl}, ${cpus()[0]?.model.trim() ?? "unknown processor"} × ${availableParallelism()},`,
    `${(totalmem() / 2 ** 30).toFixed(0)} GiB, ${platform()} ${release()}, load ${before} before and ${load()} after, ${today()}.`,
  ];
  const body = [...measured.values()].flatMap((lines) => ["", ...lines]);
  return `${[...head, ...body, ...(notes.length > 0 ? ["", ...notes] : [])].join("\n")}\n`;
}

function amended(
  text: string,
  measured: ReadonlyMap<string, readonly string[]>,
  notes: readonly string[],
): string {
  const end = notes.length > 0 ? `\n${notes.join("\n")}\n` : "";
  const body = text.endsWith(end) ? text.slice(0, text.length - end.length) : text;
  const parts = body.split(/^(?=## )/m).map((part) => part.trimEnd());
  for (const [title, lines] of measured) {
    const index = parts.findIndex((part) => part.startsWith(`## ${title}\n`));
    parts.splice(index === -1 ? parts.length : index, index === -1 ? 0 : 1, lines.join("\n"));
  }
  return `${parts.join("\n\n")}\n${end}`;
}

function load(): string {
  return loadavg()[0]?.toFixed(2) ?? "unknown";
}

function today(): string {
  return new Date().toISOString().slice(0, 10);
}

function row({ what, measured, limit, ok }: Result): string {
  const verdict = ok === undefined ? "" : ok ? "ok" : "**past the limit**";
  return `| ${what} | ${measured} | ${limit ?? ""} | ${verdict} |`;
}

function line({ what, measured, limit, ok }: Result): string {
  const verdict = limit === undefined ? "" : ` (${limit}) ${ok === true ? "ok" : "PAST THE LIMIT"}`;
  return `  ${what}: ${measured}${verdict}`;
}
