/**
 * The report of a run, in Markdown: all of it from what was recorded.
 */

import { readFileSync } from "node:fs";
import { cpus, loadavg, platform, release, totalmem } from "node:os";
import { PAIRS, type Pair, PEERS } from "./peers/told.ts";
import { handshakesIn, type RunRecord, sumByPair, tokenChecks, violationsOf } from "./record.ts";
import { type KeyLife, KINDS, PHASES, type Phase } from "./timeline.ts";

const COMMANDS = {
  short: "npm run e2e:rotation",
  full: "MESHID_ROTATION_FULL=1 npm run e2e:rotation",
  fault: "npm run e2e:rotation",
} as const;

const PHASE_WORDS: Readonly<Record<Phase, string>> = {
  Prepared: "next key published, not used",
  Switched: "first 10 s of a new key",
  Retired: "old key still published",
};

export interface ReportOptions {
  readonly records: readonly RunRecord[];
  /** The load of the machine before. */
  readonly loadBefore: number;
  /** The picture's name beside the report. */
  readonly picture: string;
}

export function load(): number {
  return loadavg()[0] ?? 0;
}

export function reportText({ records, loadBefore, picture }: ReportOptions): string {
  const [first] = records;
  if (first === undefined) throw new TypeError("no run");
  const manifest = readFileSync(new URL("../../../package.json", import.meta.url), "utf8");
  const { version } = JSON.parse(manifest) as { readonly version: string };
  const violations = records.flatMap(violationsOf);
  const from = new Date(first.from).toISOString().slice(0, 16).replace("T", " ");
  return [
    "# Rotation under fire",
    "",
    `Written by \`${COMMANDS[first.settings.name]}\`, which fails with one failed handshake or one refused token.`,
    "Three kinds of peers (Node TLS, Envoy with file-based SDS, Go) call each other on fresh connections with mutual TLS; every call carries a JWT-SVID. Meanwhile keys of every kind",
    "rotate, several at once, credentials are renewed after each switch, the controller is killed, and its way to the API server is cut.",
    "",
    `meshid ${version}, Node ${process.version}, OpenSSL ${process.versions.openssl}, ${cpus()[0]?.model.trim() ?? "unknown processor"} × ${cpus().length},`,
    `${(totalmem() / 2 ** 30).toFixed(0)} GiB, ${platform()} ${release()}, load ${loadBefore.toFixed(2)} before and ${load().toFixed(2)} after, ${from} UTC.`,
    "",
    violations.length === 0 ? "Everything held." : `**Not everything held:** ${violations.join("; ")}.`,
    "",
    "| mode | minutes | handshakes | failed | tokens accepted: served JWKS, mounted JWKS | refused | complete rotations | killed or cut |",
    "|---|--:|--:|--:|--:|--:|---|--:|",
    ...records.map(summary),
    "",
    `![Keys over time](${picture})`,
    ...records.flatMap(section),
    "",
  ].join("\n");
}

/** For the terminal. */
export function totals(record: RunRecord): string {
  const { mode, tally, disturbances } = record;
  const checks = tokenChecks(tally);
  return `${mode}: ${tally.handshakes} handshakes, ${tally.failed} failed; tokens accepted ${checks.served} times against the served JWKS and ${checks.mounted} times against the mounted one, ${tally.refusedTokens} refused; complete rotations: ${rotations(record)}; ${disturbances.length} times killed or cut; ${minutes(record)} minutes`;
}

function minutes({ from, to }: RunRecord): string {
  return ((to - from) / 60_000).toFixed(1);
}

function rotations({ timeline }: RunRecord): string {
  return KINDS.map((kind) => `${timeline.complete(kind).length} ${kind}`).join(", ");
}

function summary(record: RunRecord): string {
  const { mode, tally, disturbances } = record;
  const { served, mounted } = tokenChecks(tally);
  const cells = [
    mode,
    minutes(record),
    count(tally.handshakes),
    String(tally.failed),
    `${count(served)}, ${count(mounted)}`,
    String(tally.refusedTokens),
    rotations(record),
    String(disturbances.length),
  ];
  return `| ${cells.join(" | ")} |`;
}

function count(number: number): string {
  return number.toLocaleString("en-US");
}

function section(record: RunRecord): readonly string[] {
  const { mode } = record;
  return [
    "",
    `## ${mode === "local" ? "Local mode" : "Cluster mode"}`,
    "",
    "### Handshakes by pair and phase",
    "",
    "Rotations overlap: one handshake may count in several rows.",
    "",
    ...traffic(record),
    "",
    "### Rotations",
    "",
    "In seconds; *published*: after the start of the run; the rest: after that. *observed*: every consumer was seen with it; *retired*: its successor signs; *gone*: out of every bundle, for nothing that it signed is alive.",
    "",
    ...lives(record),
    "",
    "### Killed and cut",
    "",
    ...disturbances(record),
    "",
    "### The served JWKS, fetched again when it is as old as its max-age",
    "",
    "| peer | fetched | failed (nobody served just then; the copy stayed in use) |",
    "|---|--:|--:|",
    ...PEERS.map((peer) => {
      const { ok, failed } = record.tally.fetches[peer];
      return `| ${peer} | ${count(ok)} | ${count(failed)} |`;
    }),
  ];
}

function traffic(record: RunRecord): readonly string[] {
  const { tally } = record;
  const row = (title: string, counts: ReadonlyMap<Pair, number>): string =>
    `| ${title} | ${PAIRS.map((pair) => count(counts.get(pair) ?? 0)).join(" | ")} |`;
  const isDisturbed = ({ second }: { readonly second: number }): boolean =>
    record.disturbances.some(({ from, to }) => second * 1000 + 999 >= from && second * 1000 <= to);
  return [
    `| | ${PAIRS.join(" | ")} |`,
    `|---|${PAIRS.map(() => "--:").join("|")}|`,
    row("all", sumByPair(tally.seconds)),
    ...KINDS.flatMap((kind) =>
      PHASES.map((phase) => row(`${kind}: ${PHASE_WORDS[phase]}`, handshakesIn(record, kind, phase))),
    ),
    row(
      "the two certificates signed by different keys",
      sumByPair(tally.seconds, ({ across }) => across),
    ),
    row("controller killed or cut off", sumByPair(tally.seconds.filter(isDisturbed))),
    row("failed, or token refused", tally.failedByPair),
  ];
}

function lives({ timeline, from }: RunRecord): readonly string[] {
  const since = (at: number | undefined, start: number | undefined): string =>
    at === undefined || start === undefined ? "" : ((at - start) / 1000).toFixed(0);
  const row = ({ kind, keyID, prepared, observed, active, retired, gone }: KeyLife): string => {
    // The keys that the trust domain began with were never published ahead.
    const begun = prepared ?? active;
    const published = prepared === undefined ? "first" : since(prepared, from);
    const cells = [since(observed, begun), since(active, begun), since(retired, begun), since(gone, begun)];
    return `| ${kind} | \`${keyID.slice(0, 8)}\` | ${published} | ${cells.join(" | ")} |`;
  };
  return [
    "| kind | key | published | observed | used | retired | gone |",
    "|---|---|--:|--:|--:|--:|--:|",
    ...KINDS.flatMap((kind) => timeline.lives.filter((life) => life.kind === kind).map(row)),
  ];
}

function disturbances({ disturbances: all, from }: RunRecord): readonly string[] {
  return [
    "| second | what | all well again after |",
    "|--:|---|--:|",
    ...all.map((one) => {
      const at = ((one.from - from) / 1000).toFixed(0);
      return `| ${at} | ${one.what} | ${((one.to - one.from) / 1000).toFixed(1)} s |`;
    }),
  ];
}
