/** `npm run bench`: measures, writes docs/benchmarks.md, and ends with 1 when a limit is passed. */

import { readFile, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, loadavg, totalmem } from "node:os";
import { issuingResults } from "./issuing.ts";
import { localResults } from "./local.ts";
import type { Result } from "./result.ts";
import { stormResults } from "./storm.ts";

const load = loadavg()[0]?.toFixed(2);
const sections: readonly [string, () => Promise<readonly Result[]>][] = [
  ["Signing", issuingResults],
  ["Local mode", localResults],
  ["A renewal storm", stormResults],
];
const report: string[] = [];
let failed = 0;
for (const [title, measure] of sections) {
  console.log(`\n${title}`);
  const results = await measure();
  report.push("", `## ${title}`, "", "| what | measured | limit | |", "|---|--:|--:|---|");
  for (const { what, measured, limit, ok } of results) {
    const verdict = ok === undefined ? "" : ok ? "ok" : "**past the limit**";
    if (ok === false) failed += 1;
    report.push(`| ${what} | ${measured} | ${limit ?? ""} | ${verdict} |`);
    console.log(
      `  ${what}: ${measured}${limit === undefined ? "" : ` (${limit}) ${ok === true ? "ok" : "PAST THE LIMIT"}`}`,
    );
  }
}
const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};
const head = [
  "# Benchmarks",
  "",
  "Written by `npm run bench`, which ends with 1 when a limit is passed. Ratios are taken within one run, pair by pair; medians.",
  "",
  `meshid ${version}, Node ${process.version}, ${cpus()[0]?.model.trim() ?? "unknown processor"} × ${availableParallelism()},`,
  `${(totalmem() / 2 ** 30).toFixed(0)} GiB, load before ${load}, ${new Date().toISOString().slice(0, 10)}.`,
];
await writeFile(new URL("../../docs/benchmarks.md", import.meta.url), `${[...head, ...report].join("\n")}\n`);
console.log(failed === 0 ? "\nevery limit held" : `\n${failed} past the limit`);
process.exitCode = failed === 0 ? 0 : 1;
