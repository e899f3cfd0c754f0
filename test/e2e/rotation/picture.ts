/**
 * The lives of the keys as a picture: a bar for each key, one panel for each mode, marks where something was killed or cut.
 */

import type { SlotState } from "../../../src/authority/slot.ts";
import type { RunRecord } from "./record.ts";
import { type KeyLife, KINDS } from "./timeline.ts";

const WIDTH = 1000;
const LEFT = 120;
const RIGHT = 20;
const ROW = 11;
const BAR = 8;
const GROUP_GAP = 10;
const TITLE = 44;
const AXIS = 40;

const FILL: Readonly<Record<SlotState, string>> = {
  Prepared: "#f2b134",
  Active: "#1b7f5c",
  Retired: "#b9c4cc",
};
const INK = "#24292f";
const FAINT = "#e4e8eb";
const DISTURBED = 'fill="#c0392b" fill-opacity="0.22"';

export function pictureOf(records: readonly RunRecord[]): string {
  const panels: string[] = [];
  let top = 50;
  for (const record of records) {
    const panel = new Panel(record, top);
    panels.push(panel.draw());
    top += panel.height;
  }
  const legend = (["Prepared", "Active", "Retired"] as const).map((state, index) => {
    const x = LEFT + index * 190;
    const words = { Prepared: "published, not used", Active: "signs", Retired: "published, signs nothing" }[
      state
    ];
    return `<rect x="${x}" y="20" width="14" height="${BAR}" fill="${FILL[state]}"/>${text(x + 20, 28, words)}`;
  });
  const marks = `<rect x="${LEFT + 590}" y="17" width="10" height="14" ${DISTURBED}/>${text(LEFT + 606, 28, "killed or cut, until all was well")}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top}" font-family="system-ui, sans-serif" font-size="11">`,
    `<rect width="${WIDTH}" height="${top}" fill="#ffffff"/>`,
    ...legend,
    marks,
    ...panels,
    "</svg>",
    "",
  ].join("\n");
}

class Panel {
  readonly height: number;
  readonly #record: RunRecord;
  readonly #top: number;
  readonly #groups: readonly (readonly KeyLife[])[];

  constructor(record: RunRecord, top: number) {
    this.#record = record;
    this.#top = top;
    this.#groups = KINDS.map((kind) => record.timeline.lives.filter((life) => life.kind === kind));
    this.height = TITLE + AXIS + this.#rowsHeight();
  }

  draw(): string {
    const { mode, tally, disturbances } = this.#record;
    const bottom = this.#top + TITLE + this.#rowsHeight();
    const title = `${mode === "local" ? "Local mode" : "Cluster mode"}: ${tally.handshakes.toLocaleString("en-US")} handshakes, ${tally.failed} failed, ${tally.refusedTokens} tokens refused`;
    const lines = [
      `<text x="${LEFT}" y="${this.#top + 24}" font-size="14" font-weight="600" fill="${INK}">${title}</text>`,
    ];
    for (const minute of this.#minutes()) {
      const x = this.#x(this.#record.from + minute * 60_000);
      lines.push(`<path d="M ${x} ${this.#top + TITLE - 6} V ${bottom}" stroke="${FAINT}"/>`);
      lines.push(text(x, bottom + 16, `${minute} min`, "middle"));
    }
    for (const { what, from, to } of disturbances) {
      const x = this.#x(from);
      const width = Math.max(1.5, this.#x(to) - x).toFixed(1);
      const shape = `x="${x}" y="${this.#top + TITLE - 6}" width="${width}" height="${bottom - this.#top - TITLE + 6}"`;
      lines.push(`<rect ${shape} ${DISTURBED}><title>${what}</title></rect>`);
    }
    let y = this.#top + TITLE;
    for (const [index, lives] of this.#groups.entries()) {
      lines.push(text(LEFT - 66, y + BAR, KINDS[index] ?? "", "end"));
      for (const life of lives) {
        lines.push(this.#bar(life, y));
        y += ROW;
      }
      y += GROUP_GAP;
    }
    return lines.join("\n");
  }

  #bar(life: KeyLife, y: number): string {
    const { prepared, active, retired, gone } = life;
    const pieces: string[] = [];
    const piece = (state: SlotState, from: number | undefined, to: number | undefined): void => {
      if (from === undefined) return;
      const x = this.#x(from);
      const width = Math.max(0.5, this.#x(to ?? this.#record.to) - x).toFixed(1);
      pieces.push(`<rect x="${x}" y="${y}" width="${width}" height="${BAR}" fill="${FILL[state]}"/>`);
    };
    piece("Prepared", prepared, active ?? gone);
    piece("Active", active, retired ?? gone);
    piece("Retired", retired, gone);
    const label = `<text x="${LEFT - 6}" y="${y + BAR}" text-anchor="end" font-family="monospace" font-size="9" fill="#6a737d">${life.keyID.slice(0, 8)}</text>`;
    return label + pieces.join("");
  }

  #rowsHeight(): number {
    return this.#groups.reduce((sum, lives) => sum + lives.length * ROW + GROUP_GAP, 0);
  }

  #minutes(): readonly number[] {
    const { from, to } = this.#record;
    return Array.from({ length: Math.floor((to - from) / 60_000) + 1 }, (_, minute) => minute);
  }

  /** What was before the run lies at its left edge. */
  #x(at: number): number {
    const { from, to } = this.#record;
    const share = Math.min(1, Math.max(0, (at - from) / (to - from)));
    return Number((LEFT + share * (WIDTH - LEFT - RIGHT)).toFixed(1));
  }
}

function text(x: number, y: number, words: string, anchor = "start"): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="${INK}">${words}</text>`;
}
