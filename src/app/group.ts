/**
 * `--group NAME`: to its number.
 */

import { readFileSync } from "node:fs";
import { OperatorError } from "../core/errors.ts";

/** @throws INVALID_CONFIGURATION for a group that the machine does not know. */
export function groupId(group: string): number {
  if (/^\d+$/.test(group)) return Number(group);
  const line = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((entry) => entry.startsWith(`${group}:`));
  const id = Number(line?.split(":")[2]);
  if (line !== undefined && Number.isInteger(id)) return id;
  throw new OperatorError(
    "INVALID_CONFIGURATION",
    `--group: there is no group ${group}; expected a name of /etc/group or a number`,
  );
}
