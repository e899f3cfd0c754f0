/** `npm run bench`: measures, writes docs/benchmarks.md, and ends with 1 when a limit is passed. */

import { boundHeap } from "../../src/app/memory.ts";
import { issuingResults } from "./issuing.ts";
import { localResults } from "./local.ts";
import { writeReport } from "./report.ts";
import { makeScratch } from "./scratch.ts";
import { stormResults } from "./storm.ts";

// As the product's own process does.
boundHeap();
await using scratch = await makeScratch();

process.exitCode = await writeReport({
  title: "Benchmarks",
  command: "npm run bench",
  file: "benchmarks.md",
  sections: [
    ["Signing", issuingResults],
    ["Local mode", () => localResults(scratch)],
    ["A renewal storm", () => stormResults(scratch)],
  ],
  notes: [
    "Signing is measured in processor time, of all threads; the rest by the clock on the wall, where other work on the machine counts.",
  ],
});
