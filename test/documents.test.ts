/**
 * What readers paste and follow: commands that agree, links that lead somewhere.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { readGuide } from "./e2e/cluster/guide.ts";

const ROOT = join(import.meta.dirname, "..");
const DOCUMENTS = [...markdownIn("."), ...markdownIn("docs", true), ...markdownIn("charts", true)];
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

function markdownIn(directory: string, isDeep = false): readonly string[] {
  const names = readdirSync(join(ROOT, directory), { recursive: isDeep, encoding: "utf8" });
  return names.filter((name) => name.endsWith(".md")).map((name) => join(directory, name));
}

/** The anchors that GitHub makes of a document's headings. */
function anchorsIn(text: string): readonly string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, "")
      .replaceAll(" ", "-"),
  );
}

/** Links to files of this repository, and to places in them. */
function brokenLinks(document: string): readonly string[] {
  const text = read(document).replace(/^```[^]*?^```$/gm, "");
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
  return links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? document : join(dirname(document), path);
    if (!existsSync(join(ROOT, target))) return true;
    return anchor !== undefined && !anchorsIn(read(target)).includes(anchor);
  });
}

describe("the documents", () => {
  it("link to what is there", () => {
    expect(DOCUMENTS.length).toBeGreaterThan(10);
    expect(DOCUMENTS.flatMap((path) => brokenLinks(path).map((link) => `${path}: ${link}`))).toEqual([]);
  });

  it("give the commands of the README as docs/getting-started.md gives them, where a test follows them", () => {
    const commands = [...read("README.md").matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block]) => block);
    expect(commands).toHaveLength(2);
    expect(readGuide().flatMap((section) => section.commands)).toEqual(expect.arrayContaining(commands));
  });

  it("are those that the README's table names", () => {
    const missing = markdownIn("docs").filter((path) => !read("README.md").includes(path));
    // A list for those who change the code; CONTRIBUTING.md names it.
    expect(missing).toEqual(["docs/dependencies.md"]);
  });
});
