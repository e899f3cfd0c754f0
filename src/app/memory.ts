/**
 * How the engine lets the heap grow.
 *
 * Left alone, V8 gives new objects up to 48 MiB and lets the old ones grow to about twice what lives before it looks for
 * garbage. What meshid drops is small on that heap and large outside it (the buffers of files and certificates, OpenSSL's
 * keys), so ten thousand identities, 60 MiB of live objects, took 340 MiB. With these bounds they take 160 MiB, and no more
 * processor time: the collections are more and shorter. They are read at each collection, so that setting them in the
 * process works and no launcher has to pass them.
 */

import { setFlagsFromString } from "node:v8";

const BOUNDS = [
  // The young generation stays as small as it starts.
  "--semi-space-growth-factor=1",
  // The old generation is collected when it has grown by this share of what lives.
  "--heap-growing-percent=20",
] as const;

/** Once, before anything large is allocated. */
export function boundHeap(): void {
  for (const flag of BOUNDS) setFlagsFromString(flag);
}
