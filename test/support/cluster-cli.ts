/**
 * The CLI in this process against a real cluster, by the real clock, with everything that it would have printed.
 */

import { runCli } from "../../src/app/cli.ts";
import { systemClock } from "../../src/core/clock.ts";
import { systemRandom } from "../../src/core/random.ts";
import type { Outcome } from "./cli.ts";

export type Meshid = (...args: readonly string[]) => Promise<Outcome>;

/** `meshid` as the user of a kubeconfig calls it; `told` all of its standard error each time that there is more. */
export function meshidWith(kubeconfig: string, told: (stderr: string) => void = () => {}): Meshid {
  return async (...args) => {
    let stdout = "";
    let stderr = "";
    const code = await runCli(args, {
      stdout: { write: (text) => (stdout += text) },
      stderr: {
        write: (text) => {
          stderr += text;
          told(stderr);
        },
      },
      isTTY: false,
      isErrorTTY: false,
      env: { KUBECONFIG: kubeconfig },
      clock: systemClock,
      random: systemRandom,
    });
    return { code, stdout, stderr };
  };
}
