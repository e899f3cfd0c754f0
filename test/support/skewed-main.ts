/**
 * `meshid` as `src/main.ts` starts it, on a clock that a test puts forward and back: by the seconds in the file `$HOME.clock`.
 * What knows no `Clock` (TLS, the time of a log line) keeps the right time.
 */

import { readFileSync } from "node:fs";
import { runCli } from "../../src/app/cli.ts";
import { seconds } from "../../src/core/brand.ts";
import { systemClock } from "../../src/core/clock.ts";
import { systemRandom } from "../../src/core/random.ts";

const file = `${process.env["HOME"] ?? ""}.clock`;

function offset(): number {
  try {
    return Number(readFileSync(file, "utf8"));
  } catch {
    return 0; // nobody has touched the clock
  }
}

process.exitCode = await runCli(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  isTTY: false,
  isErrorTTY: false,
  env: process.env,
  clock: { ...systemClock, now: () => seconds(systemClock.now() + offset()) },
  random: systemRandom,
});
