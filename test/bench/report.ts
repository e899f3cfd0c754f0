/** Measures section by section, prints as it goes, writes a Markdown table, and says how many limits were passed. */

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
}

/** The exit code. */
export async function writeReport({ title, command, file, sections, notes = [] }: Report): Promise<number> {
  const load = (): string => loadavg()[0]?.toFixed(2) ?? "unknown";
  const before = load();
  const lines: string[] = [];
  let failed = 0;
  for (const [section, measure] of sections) {
    console.log(`\n${section} (load ${load()})`);
    const results = await measure();
    lines.push("", `## ${section}`, "", "| what | measured | limit | |", "|---|--:|--:|---|");
    for (const result of results) {
      if (result.ok === false) failed += 1;
      lines.push(row(result));
      console.log(line(result));
    }
  }
  const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  const head = [
    `# ${title}`,
    "",
    `Written by \`${command}\`, which ends with 1 when a limit is passed. Ratios are taken within one run; medians where there are several.`,
    "",
    `meshid ${version}, Node ${process.version}, OpenSSL ${process.versions.openssl}, ${cpus()[0]?.model.trim() ?? "unknown processor"} × ${availableParallelism()},`,
    `${(totalmem() / 2 ** 30).toFixed(0)} GiB, ${platform()} ${release()}, load ${before} before and ${load()} after, ${new Date().toISOString().slice(0, 10)}.`,
  ];
  const text = [...head, ...lines, ...(notes.length > 0 ? ["", ...notes] : [])].join("\n");
  await writeFile(new URL(`../../docs/${file}`, import.meta.url), `${text}\n`);
  console.log(failed === 0 ? "\nevery limit held" : `\n${failed} past the limit`);
  return failed === 0 ? 0 : 1;
}

function row({ what, measured, limit, ok }: Result): string {
  const verdict = ok === undefined ? "" : ok ? "ok" : "**past the limit**";
  return `| ${what} | ${measured} | ${limit ?? ""} | ${verdict} |`;
}

function line({ what, measured, limit, ok }: Result): string {
  const verdict = limit === undefined ? "" : ` (${limit}) ${ok === true ? "ok" : "PAST THE LIMIT"}`;
  return `  ${what}: ${measured}${verdict}`;
}
