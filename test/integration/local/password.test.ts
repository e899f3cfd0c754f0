import { execFileSync } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import {
  type Finished,
  finished,
  identityYaml,
  makeWorkspace,
  meshid,
  start,
  trustDomainYaml,
  until,
  type Workspace,
} from "../../support/local-process.ts";

const SPEC = "{x509: {formats: [PKCS12], pkcs12: {passwordSecretRef: {name: p12, key: password}}}}";
const PASSWORD = "shop/p12/password";

describe("the password of a keystore", () => {
  let work: Workspace;

  beforeEach(async () => {
    work = await makeWorkspace();
    await work.put("td.yaml", trustDomainYaml("{rotation: {propagation: 1s}}"));
    await work.put("a.yaml", identityYaml("a", SPEC));
    await work.put(PASSWORD, "first\n");
  });
  afterEach(async () => {
    await work[Symbol.asyncDispose]();
  });

  const once = (): Promise<Finished> =>
    meshid(["local", "--once", "--identities", work.identities, "--out", work.out]);
  /** Which of the two files `password` opens, in OpenSSL's opinion. */
  const opens = (password: string): readonly string[] =>
    ["keystore.p12", "truststore.p12"].filter((name) => {
      const file = join(work.out, "shop/a-tls", name);
      try {
        execFileSync("openssl", ["pkcs12", "-in", file, "-passin", `pass:${password}`, "-nokeys", "-noout"], {
          stdio: "pipe",
        });
        return true;
      } catch {
        return false;
      }
    });

  it("opens both files after it was changed between two runs, and stays with what is issued otherwise", async () => {
    expect(await once()).toMatchObject({ code: 0 });
    const first = await work.read("shop/a-tls/tls.crt");
    expect(await once()).toMatchObject({ code: 0 });
    expect(await work.read("shop/a-tls/tls.crt")).toBe(first);
    await work.put(PASSWORD, "second\n");
    expect(await once()).toMatchObject({ code: 0 });
    expect([opens("first"), opens("second")]).toEqual([[], ["keystore.p12", "truststore.p12"]]);
    expect(await work.read("shop/a-tls/tls.crt")).not.toBe(first);
  });

  it("opens both files after it was changed, or was made, while meshid runs", async () => {
    await rm(join(work.identities, PASSWORD));
    const operator = start(["local", "--identities", work.identities, "--out", work.out, "--listen", "none"]);
    const ended = finished(operator);
    await until("the password missed", async () =>
      (await work.read("shop/a.serviceidentity.yaml")).includes("shop/p12 does not exist") ? true : undefined,
    );
    for (const password of ["first", "second"]) {
      await work.put(PASSWORD, `${password}\n`);
      await until(`both files opened by ${password}`, async () =>
        opens(password).length === 2 ? true : undefined,
      );
    }
    operator.kill("SIGTERM");
    expect((await ended).code).toBe(0);
    expect(opens("first")).toEqual([]);
  });
});
