/**
 * Every kind of key rotates while three kinds of peers call each other: not one handshake fails, not one token is refused.
 * The two modes run at the same time.
 */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { areClusterTestsOff } from "../../support/control-plane/shared-state.ts";
import type { Bed } from "./bed.ts";
import { startClusterBed } from "./cluster-bed.ts";
import { startLocalBed } from "./local-bed.ts";
import { findPrograms, type Programs } from "./peers.ts";
import { pictureOf } from "./picture.ts";
import { type RunRecord, violationsOf } from "./record.ts";
import { load, reportText, totals } from "./report.ts";
import { runTraffic } from "./run.ts";
import { FAULT, FULL, type Settings, SHORT } from "./settings.ts";

/** A module that makes of the program one with this fault. */
const PLANTED = new URL("fault/preload.ts", import.meta.url).href;
const DOCS = fileURLToPath(new URL("../../../docs", import.meta.url));
const REPORT = "rotation-report.md";
const PICTURE = "rotation-timeline.svg";

const isFull = process.env["MESHID_ROTATION_FULL"] === "1";
const settings = isFull ? FULL : SHORT;
const itInCluster = areClusterTestsOff() ? it.skip : it;
const LIMIT = (settings.limit + 240) * 1000;

describe("traffic of three kinds of peers over overlapping rotations of every kind", () => {
  const loadBefore = load();
  let begun: readonly Promise<RunRecord>[] | undefined;
  let directory: string;
  let programs: Programs;

  const runIn = async (name: string, start: () => Promise<Bed>, those: Settings): Promise<RunRecord> => {
    await using bed = await start();
    const record = await runTraffic({ bed, programs, directory: join(directory, name), settings: those });
    process.stdout.write(`${totals(record)}\n`);
    return record;
  };

  /** Both modes, from the first call on. */
  const runs = (): readonly Promise<RunRecord>[] => {
    if (begun !== undefined) return begun;
    const local = runIn("local", startLocalBed, settings);
    begun = areClusterTestsOff() ? [local] : [local, runIn("cluster", startClusterBed, settings)];
    // Each is met by its own test.
    for (const run of begun) run.catch(() => {});
    return begun;
  };

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "meshid-rotation-"));
    programs = await findPrograms(directory);
  }, 480_000);

  afterAll(async () => {
    await Promise.allSettled(begun ?? []);
    if (directory !== undefined) await rm(directory, { recursive: true, force: true });
  }, LIMIT);

  it(
    "fails no handshake and refuses no token in local mode, whenever meshid is killed",
    async () => {
      const record = await runs()[0];
      expect(record && violationsOf(record)).toEqual([]);
    },
    LIMIT,
  );

  itInCluster(
    "fails no handshake and refuses no token in cluster mode, whichever replica is killed or cut off",
    async () => {
      const record = await runs()[1];
      expect(record && violationsOf(record)).toEqual([]);
    },
    LIMIT,
  );

  it(
    "is reported as it was",
    async () => {
      const records = await Promise.all(runs());
      const to = isFull ? DOCS : await mkdtemp(join(tmpdir(), "meshid-rotation-report-"));
      const text = reportText({ records, loadBefore, picture: PICTURE });
      await writeFile(join(to, REPORT), text);
      await writeFile(join(to, PICTURE), pictureOf(records));
      process.stdout.write(`written: ${join(to, REPORT)} and ${PICTURE}\n`);
      for (const { tally } of records)
        expect(text).toContain(`| ${tally.handshakes.toLocaleString("en-US")} | ${tally.failed} |`);
    },
    LIMIT,
  );

  it("fails where a key is used at once: handshakes and tokens alike", async () => {
    // Copies that come late, though within the propagation time: what the fault does is seen for longer.
    const lag = { min: 3000, max: 4000 };
    const record = await runIn("fault", () => startLocalBed({ preload: PLANTED, lag }), FAULT);
    expect(violationsOf(record)).toEqual([
      expect.stringMatching(/^local: [1-9]\d* failed handshakes; the first:/),
      expect.stringMatching(/^local: [1-9]\d* refused tokens; the first:/),
    ]);
  }, 180_000);
});
