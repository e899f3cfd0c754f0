/**
 * What identities that are gone have left under OUT is removed, and their records after it.
 */

import { tryEach } from "./faults.ts";
import type { ObjectStore } from "./object-store.ts";
import { keyOf, type Registry } from "./registry.ts";
import { identityStatusPath, type StatusFiles } from "./status-files.ts";

export interface CollectionParts {
  readonly registry: Registry;
  readonly objects: ObjectStore;
  readonly statusFiles: StatusFiles;
  readonly out: string;
}

/** @throws STORAGE_FAILED for the first that cannot be removed, once all the others are. */
export async function collectRemoved(parts: CollectionParts, signal: AbortSignal): Promise<void> {
  const { registry, objects, statusFiles, out } = parts;
  const done = new Set<string>();
  try {
    await tryEach(registry.removed, async ({ accepted, uid }) => {
      if (signal.aborted) return;
      await tryEach(objects.ownedBy(uid), (ref) => objects.prune(ref, uid));
      // One of the same name may be there again.
      if (registry.identity(keyOf(accepted)) === undefined)
        statusFiles.remove(identityStatusPath(out, accepted));
      done.add(uid);
    });
  } finally {
    if (done.size > 0) registry.forget(done);
  }
}
