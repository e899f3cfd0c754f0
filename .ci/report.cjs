// Says what failed, and ends with one line of counts; exit code 1 unless all is well.
// node report.cjs DIRECTORY STAGE…: of each stage DIRECTORY/STAGE.code and .log, of a suite also Jest's DIRECTORY/STAGE.json.
const { existsSync, readFileSync } = require("node:fs");
const { join, relative } = require("node:path");
const { stripVTControlCharacters } = require("node:util");

const LINES = 20;
const COLUMNS = 240;
const [directory, ...stages] = process.argv.slice(2);
const total = { passed: 0, failed: 0, skipped: 0 };

const shown = new Set();

function show(title, text) {
  const lines = stripVTControlCharacters(text).trimEnd().split("\n");
  console.log(`\n✕ ${title}`);
  // One cause can fail many tests.
  if (shown.has(text)) return console.log("    as above");
  shown.add(text);
  for (const line of lines.slice(0, LINES)) console.log(`    ${line.slice(0, COLUMNS)}`);
  if (lines.length > LINES) console.log(`    … ${lines.length - LINES} more lines`);
}

function suite(stage, run) {
  total.passed += run.numPassedTests;
  total.skipped += run.numPendingTests + run.numTodoTests;
  let failed = 0;
  for (const { name, message, assertionResults } of run.testResults) {
    const file = relative(process.cwd(), name);
    const failures = assertionResults.filter(({ status }) => status === "failed");
    for (const { fullName, failureMessages } of failures)
      show(`${stage}: ${file} › ${fullName}`, failureMessages.join("\n"));
    // A file that could not even be read has no failed test of its own.
    const isBroken = failures.length === 0 && assertionResults.length === 0 && message !== "";
    if (isBroken) show(`${stage}: ${file}`, message);
    failed += failures.length + (isBroken ? 1 : 0);
  }
  total.failed += Math.max(failed, run.numFailedTests + run.numRuntimeErrorTestSuites);
  return failed > 0;
}

for (const stage of stages) {
  const code = readFileSync(join(directory, `${stage}.code`), "utf8").trim();
  const json = join(directory, `${stage}.json`);
  const hasFailures = existsSync(json) && suite(stage, JSON.parse(readFileSync(json, "utf8")));
  if (code === "0" || hasFailures) continue;
  total.failed += 1;
  const reason = code === "124" || code === "137" ? "took too long and was ended" : `ended with ${code}`;
  const output = readFileSync(join(directory, `${stage}.log`), "utf8")
    .trimEnd()
    .split("\n");
  show(`${stage} ${reason}`, output.slice(-LINES).join("\n"));
}

const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`);
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
