import { lstat, readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { identityYaml, makeWorkspace, meshid } from "../../support/local-process.ts";

const SPEC = "{jwt: {tokens: [{audience: x}]}, mtls: {mode: Permissive, selector: {matchLabels: {app: a}}}}";

/** By mode, what lies under `out`; links and STATE, which is for nobody else, are left out. */
async function modesUnder(out: string): Promise<Record<string, readonly string[]>> {
  const entries = await readdir(out, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => !entry.isSymbolicLink())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !path.includes("/.meshid"));
  const found = new Map<string, string[]>();
  for (const path of [out, ...paths].sort()) {
    const stat = await lstat(path);
    const mode = `${stat.isDirectory() ? "directory" : "file"} ${(stat.mode & 0o777).toString(8)} ${stat.gid}`;
    found.set(mode, [...(found.get(mode) ?? []), relative(out, path)]);
  }
  return Object.fromEntries(found);
}

describe("--group", () => {
  it("opens what earlier runs have written for themselves alone, without issuing anything anew", async () => {
    await using work = await makeWorkspace();
    await work.put("a.yaml", identityYaml("a", SPEC));
    const gid = process.getgid?.() ?? 0;
    const once = ["local", "--once", "--identities", work.identities, "--out", work.out];
    expect(await meshid(once)).toMatchObject({ code: 0 });
    expect(Object.keys(await modesUnder(work.out)).sort()).toEqual([
      `directory 700 ${gid}`,
      `file 600 ${gid}`,
    ]);
    const issued = await work.read("shop/a-tls/tls.crt");
    expect(await meshid([...once, "--group", String(gid)])).toMatchObject({ code: 0 });
    expect(Object.keys(await modesUnder(work.out)).sort()).toEqual([
      `directory 750 ${gid}`,
      `file 640 ${gid}`,
    ]);
    expect(await work.read("shop/a-tls/tls.crt")).toBe(issued);
    expect(((await lstat(work.state)).mode & 0o777).toString(8)).toBe("700");
  });
});
