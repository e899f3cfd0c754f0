/**
 * Passwords come in files: as an argument, others could see them.
 */

import { invalidInput } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import { readText } from "./files.ts";

/** The line end that editors add is no part of a password. */
export async function readPassword(path: string | undefined): Promise<Secret | undefined> {
  if (path === undefined) return undefined;
  const text = await readText(path);
  if (text === undefined)
    throw invalidInput("--password-file", `${path} does not exist`, "a file with the password on one line");
  return new Secret(text.replace(/\r?\n$/, ""));
}
