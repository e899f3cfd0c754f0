/**
 * What STATE tells the other commands of the process that serves it.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ifPresent, replaceFile } from "../directory/files.ts";

/** Notes where the outputs are, for `meshid status --state`. */
export function rememberOut(state: string, out: string): void {
  const path = join(state, "out.json");
  const text = `${JSON.stringify({ out })}\n`;
  if (ifPresent(path, () => readFileSync(path, "utf8")) === text) return;
  replaceFile(path, text, { mode: 0o600, durable: false });
}
