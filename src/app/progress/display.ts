/**
 * Where a command shows how far something is: on a terminal a panel that is redrawn in place, elsewhere one line for each
 * change.
 */

import { isDeepStrictEqual } from "node:util";
import { type Milliseconds, milliseconds } from "../../core/brand.ts";
import type { Io, ScreenSize } from "../io.ts";
import { type Paint, painter } from "../output.ts";
import { shortLength } from "../times.ts";
import { type Line, lineWidth, type Panel, paintLine, panelLines, secondsBetween } from "./panel.ts";

/** What there is to show. */
export interface Shown {
  /** In a few words; told when it changes. */
  readonly text: string;
  readonly panel?: Panel;
}

export interface Display {
  show(shown: Shown): void;
  /** Keeps a terminal's panel moving, until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>;
}

/** The time that has passed is shown in seconds, and a terminal that was resized looks torn until it is drawn again. */
const FRAME: Milliseconds = milliseconds(250);
const ESC = "\u001B[";

export function makeDisplay(io: Io): Display {
  const { screen } = io;
  return screen === undefined ? new LineDisplay(io) : new LiveDisplay(io, screen);
}

class LineDisplay implements Display {
  readonly #io: Io;
  readonly #start: number;
  #told = "";

  constructor(io: Io) {
    this.#io = io;
    this.#start = io.clock.monotonic();
  }

  show({ text }: Shown): void {
    if (text === this.#told) return;
    const { clock, stderr } = this.#io;
    stderr.write(`${shortLength(secondsBetween(this.#start, clock.monotonic()))}: ${text}\n`);
    this.#told = text;
  }

  run(): Promise<void> {
    return Promise.resolve();
  }
}

class LiveDisplay implements Display {
  readonly #io: Io;
  readonly #screen: () => ScreenSize;
  readonly #paint: Paint;
  readonly #start: number;
  #shown: Shown | undefined;
  #drawn: readonly Line[] = [];
  #columns = 0;

  constructor(io: Io, screen: () => ScreenSize) {
    this.#io = io;
    this.#screen = screen;
    this.#paint = painter({ isTTY: true, env: io.env });
    this.#start = io.clock.monotonic();
  }

  show(shown: Shown): void {
    this.#shown = shown;
    this.#draw();
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#io.clock.sleep(FRAME, signal);
      if (!signal.aborted) this.#draw();
    }
  }

  #draw(): void {
    if (this.#shown === undefined) return;
    const size = this.#screen();
    const elapsed = secondsBetween(this.#start, this.#io.clock.monotonic());
    const { text, panel = { title: text, facts: [], hint: "" } } = this.#shown;
    const lines = panelLines(panel, size, elapsed);
    const isSame = this.#columns === size.columns && isDeepStrictEqual(lines, this.#drawn);
    if (isSame) return;
    this.#io.stderr.write(redrawn(this.#drawn, lines, { columns: size.columns, paint: this.#paint }));
    this.#drawn = lines;
    this.#columns = size.columns;
  }
}

/**
 * What puts `next` in the place of `previous`, whose end the cursor stands under. A terminal that has become narrower since
 * has broken longer lines: they take the more rows.
 */
export function redrawn(
  previous: readonly Line[],
  next: readonly Line[],
  { columns, paint }: { readonly columns: number; readonly paint: Paint },
): string {
  const rows = previous.reduce(
    (sum, line) => sum + Math.max(1, Math.ceil(lineWidth(line) / Math.max(1, columns))),
    0,
  );
  const up = rows === 0 ? "" : `${ESC}${rows}A`;
  const text = next.map((line) => `${paintLine(line, paint)}${ESC}K\n`).join("");
  return `\r${up}${text}${ESC}J`;
}
