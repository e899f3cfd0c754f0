import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { SecretFiles } from "../../../src/directory/secret-files.ts";
import type { ServiceIdentity } from "../../../src/registration/service-identity.ts";
import { scratch } from "../../support/directory.ts";
import { codeOf } from "../../support/errors.ts";

function identityOf(name: string, secret: string | undefined): ServiceIdentity {
  const ref = secret === undefined ? undefined : { name: secret, key: "password" };
  return {
    apiVersion: "meshid.dev/v1alpha1",
    kind: "ServiceIdentity",
    metadata: {
      name,
      namespace: "shop",
      uid: name,
      creationTimestamp: "2027-01-01T00:00:00Z",
      generation: 1,
    },
    spec: ref === undefined ? {} : { x509: { pkcs12: { passwordSecretRef: ref } } },
  };
}

describe("SecretFiles", () => {
  let place: ReturnType<typeof scratch>;
  let files: SecretFiles;

  beforeEach(() => {
    place = scratch();
    files = new SecretFiles(place.dir);
  });
  afterEach(() => place[Symbol.dispose]());

  const put = (name: string, text: string): void => {
    mkdirSync(join(place.dir, "shop", name), { recursive: true });
    writeFileSync(join(place.dir, "shop", name, "password"), text);
  };

  it("names the identities whose Secret was changed, made or removed since the last look, and no others", () => {
    const all = [
      identityOf("a", "one"),
      identityOf("b", "one"),
      identityOf("c", "two"),
      identityOf("d", undefined),
    ];
    put("one", "x");
    expect(files.changed(all)).toEqual([]);
    expect(files.changed(all)).toEqual([]);
    put("one", "xyz");
    expect(files.changed(all)).toEqual(["shop/a", "shop/b"]);
    put("two", "x");
    expect(files.changed(all)).toEqual(["shop/c"]);
    rmSync(join(place.dir, "shop/one"), { recursive: true });
    expect(files.changed(all)).toEqual(["shop/a", "shop/b"]);
    expect(files.changed(all)).toEqual([]);
  });

  it("takes an identity that is new for no change: it is looked at anyway", () => {
    files.changed([]);
    put("one", "x");
    expect(files.changed([identityOf("a", "one")])).toEqual([]);
  });

  it.each([
    ["a directory", (path: string) => mkdirSync(path)],
    ["a pipe, which nobody may ever write to", (path: string) => execFileSync("mkfifo", [path])],
    ["a file above the size of any Secret", (path: string) => writeFileSync(path, Buffer.alloc(1_048_577))],
  ])("refuses %s", async (_what, make) => {
    mkdirSync(join(place.dir, "shop/one"), { recursive: true });
    make(join(place.dir, "shop/one/password"));
    expect(await codeOf((async () => files.value("shop", "one", "password"))())).toBe("STORAGE_FAILED");
  });
});
