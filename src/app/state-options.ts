/**
 * The directories of a `meshid local`, as flags of the commands that ask it.
 */

import type { OptionSpec } from "./options.ts";

export const STATE_OPTION: OptionSpec = {
  name: "state",
  type: "string",
  value: "DIR",
  env: "MESHID_STATE",
  default: "OUT/.meshid, where --out is given",
  completes: "directory",
  effect: "The state directory of the meshid local that serves it.",
};

export const OUT_OPTION: OptionSpec = {
  name: "out",
  type: "string",
  value: "DIR",
  env: "MESHID_OUT",
  default: "what --state records",
  completes: "directory",
  effect: "The directory that meshid local writes to.",
};
