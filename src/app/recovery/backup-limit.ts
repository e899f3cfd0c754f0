/**
 * How large a backup may be.
 */

import type { ReadLimit } from "../files.ts";

/** Local mode keeps a record of each object: a million of them. */
export const MAX_BACKUP: ReadLimit = {
  bytes: 256 * 1_048_576,
  expected: "a file that meshid backup has written",
};
