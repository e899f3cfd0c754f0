import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import {
  fingerprintOf,
  isIncomplete,
  readVolume,
  removeVolume,
  writeVolume,
} from "../../../src/directory/volume.ts";

const MODES = { directory: 0o700, file: 0o600, gid: undefined };

describe("a volume", () => {
  let root = "";
  let path = "";

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "meshid-volume-"));
    path = join(root, "payments-tls");
  });

  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const write = (content: Record<string, string>, revision: string): void =>
    writeVolume(
      path,
      {
        marker: { kind: "Secret", ownerUid: "uid", annotations: { a: "b" } },
        content: Object.fromEntries(Object.entries(content).map(([key, text]) => [key, Buffer.from(text)])),
      },
      MODES,
      revision,
    );
  const shown = (): readonly string[] => readdirSync(path).toSorted();

  it("shows its files through ..data, as kubelet does", () => {
    write({ "tls.crt": "cert", "tls.key": "key" }, "one");
    expect(shown()).toEqual(["..data", "..one", "tls.crt", "tls.key"]);
    expect(readFileSync(join(path, "tls.key"), "utf8")).toBe("key");
    expect(lstatSync(join(path, "tls.key")).isSymbolicLink()).toBe(true);
  });

  it("keeps directories and files to their owner", () => {
    write({ "tls.key": "key" }, "one");
    expect(lstatSync(path).mode & 0o777).toBe(0o700);
    expect(lstatSync(join(path, "..one")).mode & 0o777).toBe(0o700);
    expect(lstatSync(join(path, "..one/tls.key")).mode & 0o777).toBe(0o600);
  });

  it("drops keys and revisions that are no longer there", () => {
    write({ "tls.key": "key", old: "x" }, "one");
    write({ "tls.key": "new" }, "two");
    expect(shown()).toEqual(["..data", "..two", "tls.key"]);
  });

  it("reads back what was written, its marker included", () => {
    write({ "tls.key": "key" }, "one");
    const volume = readVolume(path);
    expect(volume?.marker).toMatchObject({ kind: "Secret", ownerUid: "uid", annotations: { a: "b" } });
    expect(Object.keys(volume?.content ?? {})).toEqual(["tls.key"]);
  });

  it("mends what a kill has left at any step", () => {
    write({ "tls.key": "key" }, "one");
    mkdirSync(join(path, "..half"));
    symlinkSync("..half", join(path, "..data_tmp"));
    write({ "tls.key": "new" }, "two");
    expect(shown()).toEqual(["..data", "..two", "tls.key"]);
    expect(readFileSync(join(path, "tls.key"), "utf8")).toBe("new");
  });

  it("knows a volume of its own that shows nothing", () => {
    write({ "tls.key": "key" }, "one");
    expect(isIncomplete(path)).toBe(false);
    rmSync(join(path, "..data"));
    expect(isIncomplete(path)).toBe(true);
  });

  it.each([
    [
      "a directory with another's files",
      (at: string) => (mkdirSync(at), writeFileSync(join(at, "theirs"), "")),
    ],
    ["a file", (at: string) => writeFileSync(at, "theirs")],
    ["a link", (at: string) => symlinkSync(tmpdir(), at)],
  ])("leaves %s alone", (_, make) => {
    make(path);
    expect(() => write({ "tls.key": "key" }, "one")).toThrow("exists and is not meshid's");
    expect(readdirSync(root)).toEqual(["payments-tls"]);
  });

  it("keeps a file that someone put beside its own, at a write and at its end", () => {
    write({ "tls.key": "key" }, "one");
    writeFileSync(join(path, "notes"), "theirs");
    write({ "tls.key": "new" }, "two");
    removeVolume(path);
    expect(shown()).toEqual(["notes"]);
  });

  it.each([
    ["an edit in place", () => writeFileSync(join(path, "..one/tls.key"), "other")],
    [
      "a file in the place of a link",
      () => (rmSync(join(path, "tls.key")), writeFileSync(join(path, "tls.key"), "key")),
    ],
    ["a link that is gone", () => rmSync(join(path, "tls.key"))],
    ["a revision that is gone", () => rmSync(join(path, "..data"))],
  ])("has another fingerprint after %s", (_, change) => {
    write({ "tls.key": "key" }, "one");
    const before = fingerprintOf(path);
    expect(fingerprintOf(path)).toBe(before);
    change();
    expect(fingerprintOf(path)).not.toBe(before);
  });
});
