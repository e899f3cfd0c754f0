import { X509Certificate } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { parse } from "yaml";
import type { TrustDomainObject, TrustDomainStatus } from "../../../src/registration/service-identity.ts";
import { certificatesIn } from "../../support/credentials.ts";
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
import { type OpensslCa, opensslCa } from "../../support/openssl-ca.ts";

const SECRET = "{source: Secret, secretRef: {name: byo-ca}}";

describe("meshid local with a CA of one's own", () => {
  let work: Workspace;
  let operator: ReturnType<typeof start> | undefined;
  let ended: Promise<Finished> | undefined;

  beforeEach(async () => {
    work = await makeWorkspace();
    await work.put("web.yaml", identityYaml("web"));
    await domain(SECRET);
  });

  afterEach(async () => {
    operator?.kill("SIGTERM");
    await ended;
    operator = undefined;
    await work[Symbol.asyncDispose]();
  });

  const domain = (authority: string): Promise<void> =>
    work.put("td.yaml", trustDomainYaml(`{authority: ${authority}, rotation: {propagation: 1s}}`));

  const bring = async (files: OpensslCa["files"]): Promise<void> => {
    for (const [name, text] of Object.entries(files)) await work.put(`meshid-system/byo-ca/${name}`, text);
  };

  const args = (): readonly string[] => ["local", "--identities", work.identities, "--out", work.out];

  const run = (): void => {
    operator = start([...args(), "--listen", "127.0.0.1:0"]);
    ended = finished(operator);
  };

  const status = async (): Promise<TrustDomainStatus> =>
    (parse(await work.read("trustdomain.yaml")) as TrustDomainObject).status ?? {};

  const condition = async (type: string): Promise<{ reason?: string; message?: string }> =>
    (await status()).conditions?.find((one) => one.type === type) ?? {};

  /** The leaf chains to a root of its own bundle, as every peer would check it; the subject of its issuer. */
  const issuerOfLeaf = async (): Promise<string> => {
    const [leaf, ...rest] = certificates(await work.read("shop/web-tls/tls.crt"));
    const roots = certificates(await work.read("shop/web-tls/ca.crt"));
    let current = leaf;
    for (const next of [...rest, ...roots]) {
      if (current?.checkIssued(next) === true && current.verify(next.publicKey)) current = next;
    }
    expect(roots.map(({ fingerprint256 }) => fingerprint256)).toContain(current?.fingerprint256);
    return leaf?.issuer.replace("\n", ", ") ?? "";
  };

  const renewed = async (): Promise<void> => {
    const serial = (await work.read("shop/web-tls/tls.crt")).slice(0, 400);
    expect(await meshid(["renew", "web", "--namespace", "shop", "--state", work.state])).toMatchObject({
      code: 0,
    });
    await until("a new leaf", async () => {
      return (await work.read("shop/web-tls/tls.crt")).slice(0, 400) === serial ? undefined : true;
    });
  };

  const active = async (kind: string): Promise<string | undefined> =>
    (await status()).authorities?.find((one) => one.kind === kind && one.state === "Active")?.keyID;

  it("signs under it from the first leaf on, and keeps no key of the root", async () => {
    await bring(opensslCa("one").files);
    expect(await meshid([...args(), "--once"])).toMatchObject({ code: 0 });
    expect(await issuerOfLeaf()).toBe("O=Corp, CN=one issuing");
    expect((await status()).authorities).toMatchObject([
      { kind: "Root" },
      { kind: "Issuing" },
      { kind: "JWT" },
    ]);
    expect((await meshid([...args(), "--once"])).code).toBe(0);
  });

  it("follows another CA as a rotation: published, observed, given time, and only then used", async () => {
    await work.put("td.yaml", trustDomainYaml(`{authority: ${SECRET}, rotation: {propagation: 40s}}`));
    await bring(opensslCa("one").files);
    run();
    await until("the first leaf", issuerOfLeaf);
    const first = await active("Issuing");
    const root = await active("Root");
    await bring(opensslCa("two").files);
    await until("the new root, beside the old one", async () => {
      await issuerOfLeaf();
      return certificates(await work.read("shop/web-tls/ca.crt")).length === 2 ? true : undefined;
    });
    expect(await active("Issuing")).toBe(first);
    await domain(SECRET);
    await until("the new issuing certificate in use", async () => {
      await issuerOfLeaf();
      return (await active("Issuing")) === first ? undefined : true;
    });
    expect(await active("Root")).not.toBe(root);
    expect(await issuerOfLeaf()).toBe("O=Corp, CN=one issuing");
    await renewed();
    expect(await issuerOfLeaf()).toBe("O=Corp, CN=two issuing");
    expect((await status()).authorities).toContainEqual(
      expect.objectContaining({ kind: "Root", state: "Retired", keyID: root }),
    );
  });

  it("gives up a stolen root at once for the CA that was brought already, although its ca.crt holds the stolen one still", async () => {
    const [stolen, next] = [opensslCa("stolen").files, opensslCa("next").files];
    const spec = `{authority: ${SECRET}, rotation: {propagation: 60s}}`;
    await work.put("td.yaml", trustDomainYaml(spec));
    await bring(stolen);
    run();
    await until("the first leaf", issuerOfLeaf);
    const root = await active("Root");
    await bring({ ...next, "ca.crt": next["ca.crt"] + stolen["ca.crt"] });
    await until("the new root, prepared", async () =>
      (await status()).authorities?.find(({ kind, state }) => kind === "Root" && state === "Prepared"),
    );
    const annotated = `metadata: {annotations: {meshid.dev/distrust-root: "${root}"}, `;
    await work.put("td.yaml", trustDomainYaml(spec).replace("metadata: {", annotated));
    await until("a leaf of the new CA", async () =>
      (await issuerOfLeaf()) === "O=Corp, CN=next issuing" ? true : undefined,
    );
    const roots = certificates(await work.read("shop/web-tls/ca.crt"));
    expect(roots.map(({ subject }) => subject)).toEqual(["O=Corp\nCN=next root"]);
    // Put back, as a GitOps tool would, without the annotation.
    await work.put("td.yaml", trustDomainYaml(spec));
    await bring(stolen);
    await until(
      "the complaint",
      async () =>
        ((await condition("RotationInProgress")).message ?? "").includes("not to be trusted") || undefined,
    );
    expect((await status()).authorities?.map(({ keyID }) => keyID)).not.toContain(root);
  });

  it("takes a new issuing certificate under the same root, with a new key or the same", async () => {
    const ca = opensslCa("one");
    await bring(ca.files);
    run();
    await until("the first leaf", issuerOfLeaf);
    const root = await active("Root");
    const first = await active("Issuing");
    await bring(ca.renew("0x2002"));
    await until("the new key in use", async () => ((await active("Issuing")) === first ? undefined : true));
    const second = await active("Issuing");
    const sameKey = ca.renew("0x3003", "same");
    await bring(sameKey);
    await until("the new certificate of the same key", async () => {
      await renewed();
      const [, issuing] = certificates(await work.read("shop/web-tls/tls.crt"));
      return issuing?.serialNumber === "3003" ? true : undefined;
    });
    expect([await active("Root"), await active("Issuing")]).toEqual([root, second]);
    await issuerOfLeaf();
  });

  it("goes on with what it has where the new one cannot be used, and says what is wrong", async () => {
    const ca = opensslCa("one");
    await bring(ca.files);
    run();
    await until("the first leaf", issuerOfLeaf);
    const first = await active("Issuing");
    await bring({ ...opensslCa("two").files, "tls.key": ca.files["tls.key"] });
    const ready = await until("the complaint", async () => {
      const found = await condition("Ready");
      // The files are written one after another: the first complaint may be about half of them.
      return found.reason === "Degraded" && found.message?.includes("tls.key") === true ? found : undefined;
    });
    expect(ready.message).toContain("Secret meshid-system/byo-ca: tls.key");
    expect(ready.message).not.toContain("PRIVATE KEY");
    await renewed();
    expect([await active("Issuing"), await issuerOfLeaf()]).toEqual([first, "O=Corp, CN=one issuing"]);
    await bring(ca.files);
    await until("no complaint", async () =>
      (await condition("Ready")).reason === "Issued" ? true : undefined,
    );
  });

  it("moves from its own CA to that of the Secret and back, each time as a rotation", async () => {
    await domain("{}");
    await bring(opensslCa("one").files);
    run();
    await until("the first leaf", issuerOfLeaf);
    for (const [authority, issuer] of [
      [SECRET, "O=Corp, CN=one issuing"],
      ["{source: Internal}", /cluster\.local issuing/],
    ] as const) {
      const before = await active("Issuing");
      await domain(authority);
      await until(`${authority} in use`, async () => {
        await issuerOfLeaf();
        return (await active("Issuing")) === before ? undefined : true;
      });
      await renewed();
      expect(await issuerOfLeaf()).toMatch(issuer);
    }
  });

  it.each([
    ["a Secret that is not there", async () => {}, /Secret meshid-system\/byo-ca: tls\.crt is missing/],
    [
      "a key that is another's",
      async () => bring({ ...opensslCa("one").files, "tls.key": opensslCa("two").files["tls.key"] }),
      /Secret meshid-system\/byo-ca: tls\.key/,
    ],
  ])("issues nothing and says why with %s", async (_, prepare, message) => {
    await prepare();
    const { code, stderr, stdout } = await meshid([...args(), "--once"]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(message);
    expect(stdout + stderr).not.toContain("PRIVATE KEY");
    await expect(work.read("shop/web-tls/tls.crt")).rejects.toThrow("ENOENT");
  });

  it("never makes a root of its own where the Secret is gone", async () => {
    await bring(opensslCa("one").files);
    expect(await meshid([...args(), "--once"])).toMatchObject({ code: 0 });
    await rm(join(work.identities, "meshid-system"), { recursive: true });
    const root = await active("Root");
    await meshid([...args(), "--once"]);
    expect(await active("Root")).toBe(root);
  });
});

function certificates(pem: string): readonly X509Certificate[] {
  return certificatesIn(pem).map((block) => new X509Certificate(block));
}
