/**
 * Ends what `jest-setup.ts` has started.
 */

import { endAll } from "./processes.ts";
import { announced } from "./shared-state.ts";

// oxlint-disable-next-line import/no-default-export -- Jest takes no other.
export default async function endShared(): Promise<void> {
  const shared = announced();
  if ("dir" in shared) await endAll(shared.dir);
}
