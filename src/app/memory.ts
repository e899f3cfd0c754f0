/**
 * How the engine lets the heap grow.
 *
 * Left alone, V8 gives new objects up to 48 MiB and lets the old ones grow to about twice what lives before it looks for
 * garbage. What meshid drops is small on that heap and large outside it (the buffers of files and certificates, OpenSSL's
 * keys), so ten thousand identities, 60 MiB of live objects, took 340 MiB. With these bounds they take 160 MiB in local mode.
 * New objects get some room all the same: with none a cluster's identity costs a fifth more of processor time, for what a
 * request needs until it is answered has to be copied again and again. They are collected by the event loop's own thread: where other
 * processes keep the processors busy it waits for helpers far longer than they save it (a new root brought to a thousand
 * identities: p99 of the loop 112 ms with them, 17 ms without). The bounds are read at each collection, so that
 * setting them in the process works and no launcher has to pass them.
 */

import { PerformanceObserver } from "node:perf_hooks";
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";

/** The old generation is collected when it has grown by this share of what lives. */
const OLD = "--heap-growing-percent=20";
const YOUNG_WITHOUT_HELPERS = "--no-parallel-scavenge";
/** The young generation grows no more. */
const YOUNG_IS_FULL_GROWN = "--semi-space-growth-factor=1";
/** Of both halves. */
const YOUNG_BYTES = 16 * 1_048_576;

/** Once, before anything large is allocated. */
export function boundHeap(): void {
  setFlagsFromString(OLD);
  setFlagsFromString(YOUNG_WITHOUT_HELPERS);
  const observer = new PerformanceObserver(() => {
    const young = getHeapSpaceStatistics().find((space) => space.space_name === "new_space");
    if ((young?.space_size ?? 0) < YOUNG_BYTES) return;
    setFlagsFromString(YOUNG_IS_FULL_GROWN);
    observer.disconnect();
  });
  observer.observe({ entryTypes: ["gc"] });
}
