/** `npm run bench`: measures, writes docs/benchmarks.md, and ends with 1 when a limit is passed. */

import { issuingResults } from "./issuing.ts";
import { localResults } from "./local.ts";
import { writeReport } from "./report.ts";
import { stormResults } from "./storm.ts";

process.exitCode = await writeReport({
  title: "Benchmarks",
  command: "npm run bench",
  file: "benchmarks.md",
  sections: [
    ["Signing", issuingResults],
    ["Local mode", localResults],
    ["A renewal storm", stormResults],
  ],
});
