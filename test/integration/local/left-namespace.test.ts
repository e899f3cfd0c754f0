import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { identityYaml, makeWorkspace, meshid } from "../../support/local-process.ts";

describe("the bundle of a namespace", () => {
  it("goes with the last identity, also when that was taken away while nobody served", async () => {
    await using work = await makeWorkspace();
    await work.put("a.yaml", identityYaml("a", "{}", "left"));
    await work.put("b.yaml", identityYaml("b", "{}", "kept"));
    const once = ["local", "--once", "--identities", work.identities, "--out", work.out];
    expect(await meshid(once)).toMatchObject({ code: 0 });
    expect(await work.read("left/meshid-bundle/ca.crt")).toContain("BEGIN CERTIFICATE");
    await rm(join(work.identities, "a.yaml"));
    expect(await meshid(once)).toMatchObject({ code: 0 });
    await expect(work.read("left/meshid-bundle/ca.crt")).rejects.toThrow("ENOENT");
    expect(await work.read("kept/meshid-bundle/ca.crt")).toContain("BEGIN CERTIFICATE");
  });
});
