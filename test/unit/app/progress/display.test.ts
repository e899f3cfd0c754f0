import { describe, expect, it } from "@jest/globals";
import { makeDisplay, redrawn } from "../../../../src/app/progress/display.ts";
import { milliseconds } from "../../../../src/core/brand.ts";
import { testIo } from "../../../support/cli-io.ts";

const plain = (_style: string, text: string): string => text;
const line = (text: string) => [{ text }];

const visible = (text: string): string => text.replaceAll("\u001B", "^");

/** What a terminal of `columns` shows after `output`: text, line ends, up and erase. Narrower than a line, it breaks it. */
function screenAfter(output: string, columns: number, before: readonly string[] = []): readonly string[] {
  const rows = [...before];
  let row = rows.length;
  for (const token of visible(output).match(/\^\[\d*[AJK]|\n|\r|[^^\n\r]+/g) ?? []) {
    const up = /^\^\[(\d+)A$/.exec(token)?.[1];
    if (up !== undefined) row -= Number(up);
    else if (token.endsWith("J") && token.startsWith("^")) rows.length = row;
    else if (token === "\n") row++;
    else if (token !== "\r" && !token.startsWith("^")) rows[row] = token.slice(0, columns);
  }
  return rows;
}

describe("redrawn", () => {
  it("puts the next lines in the place of the previous ones", () => {
    const first = redrawn([], [line("one"), line("two"), line("three")], { columns: 80, paint: plain });
    expect(screenAfter(first, 80, ["$ meshid"])).toEqual(["$ meshid", "one", "two", "three"]);
    const next = redrawn([line("one"), line("two"), line("three")], [line("1"), line("2")], {
      columns: 80,
      paint: plain,
    });
    expect(screenAfter(next, 80, ["$ meshid", "one", "two", "three"])).toEqual(["$ meshid", "1", "2"]);
  });

  it("counts the rows that a narrower terminal has broken lines into", () => {
    const text = redrawn([line("0123456789"), line("ab")], [line("new")], { columns: 4, paint: plain });
    expect(screenAfter(text, 4, ["$", "0123", "4567", "89", "ab"])).toEqual(["$", "new"]);
  });
});

describe("makeDisplay", () => {
  const panel = { title: "Title", facts: [{ text: "a fact", style: "bad" as const }], hint: "hint" };

  it("draws the panel on a terminal, at the size that it has then", () => {
    let columns = 80;
    const { io, told } = testIo({ screen: () => ({ columns, rows: 24 }) });
    const display = makeDisplay(io);
    display.show({ text: "waits", panel });
    columns = 6;
    display.show({ text: "waits", panel });
    expect(told[0]).toBe(
      "\r\u001B[1mTitle\u001B[0m  0s\u001B[K\n\u001B[31ma fact\u001B[0m\u001B[K\n\u001B[2mhint\u001B[0m\u001B[K\n\u001B[J",
    );
    // The title took two rows of the narrower terminal.
    expect(visible(told[1] ?? "")).toMatch(/^\r\^\[4A\^\[1mTit\^\[0m\.\.\^\[K\n/);
  });

  it("paints nothing with NO_COLOR", () => {
    const { io, told } = testIo({ screen: () => ({ columns: 80, rows: 24 }), env: { NO_COLOR: "1" } });
    makeDisplay(io).show({ text: "waits", panel });
    expect(told.join("")).toBe("\rTitle  0s\u001B[K\na fact\u001B[K\nhint\u001B[K\n\u001B[J");
  });

  it("tells each change in a line where there is no terminal", () => {
    const { io, told } = testIo();
    const display = makeDisplay(io);
    for (const text of ["a", "a", "b"]) display.show({ text, panel });
    expect(told).toEqual(["0s: a\n", "0s: b\n"]);
  });

  it("keeps moving until it is told to stop, and draws nothing twice", async () => {
    let frames = 0;
    const told: string[] = [];
    const stop = new AbortController();
    const { io } = testIo({ screen: () => ({ columns: 80, rows: 24 }) });
    const clock = {
      ...io.clock,
      monotonic: () => milliseconds(frames * 250),
      sleep: async () => {
        if (++frames === 10) stop.abort();
      },
    };
    const display = makeDisplay({ ...io, stderr: { write: (text) => told.push(text) }, clock });
    display.show({ text: "a" });
    await display.run(stop.signal);
    expect(told.map((text) => /\d+s/.exec(text)?.[0])).toEqual(["0s", "1s", "2s"]);
  });
});
