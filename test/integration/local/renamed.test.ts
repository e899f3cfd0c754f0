import { X509Certificate } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { identityYaml, makeWorkspace, meshid } from "../../support/local-process.ts";

describe("an identity under another name", () => {
  it("has the Secret of the old one by the end of the same run", async () => {
    await using work = await makeWorkspace();
    const once = ["local", "--once", "--identities", work.identities, "--out", work.out];
    const subject = async (): Promise<string | undefined> =>
      new X509Certificate(await work.read("shop/web-tls/tls.crt")).subjectAltName?.split(",")[0];
    await work.put("old.yaml", identityYaml("old", "{x509: {secretName: web-tls}}"));
    expect(await meshid(once)).toMatchObject({ code: 0 });
    expect(await subject()).toBe("URI:spiffe://cluster.local/ns/shop/sa/old");
    await rm(join(work.identities, "old.yaml"));
    await work.put("new.yaml", identityYaml("new", "{x509: {secretName: web-tls}}"));
    expect(await meshid(once)).toMatchObject({ code: 0 });
    expect(await subject()).toBe("URI:spiffe://cluster.local/ns/shop/sa/new");
  });
});
