import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "@jest/globals";
import { cli, makeOut, makePki, makeScratch, type Pki, statusYaml } from "../../support/cli.ts";

let pki: Pki;

beforeAll(async () => {
  pki = await makePki();
});

async function requestsIn(out: string): Promise<readonly unknown[]> {
  const directory = join(out, ".meshid/requests");
  const names = await readdir(directory).catch(() => []);
  return Promise.all(
    names.map(async (name) => JSON.parse(await readFile(join(directory, name), "utf8")) as unknown),
  );
}

describe("meshid status", () => {
  it("shows the columns of kubectl and the authority's keys", async () => {
    await using scratch = await makeScratch();
    const out = await makeOut(scratch, pki);
    const { code, stdout, stderr } = await cli(["status", "--out", out]);
    expect(stdout).toBe(
      "NAMESPACE   NAME       READY   SPIFFE-ID                                    SECRET         EXPIRES   AGE\n" +
        "shop        payments   True    spiffe://cluster.local/ns/shop/sa/payments   payments-tls   in 12h    3d\n" +
        "\nAuthority of cluster.local\n" +
        "KIND   KEY-ID   STATE      EXPIRES   SIGNED-UNTIL   SINCE          WAITING-FOR\n" +
        "Root   aabbcc   Active     in 300d   in 30d         23 days ago    -\n" +
        "Root   ddeeff   Prepared   in 361d   -              10 hours ago   propagation until 10:30\n",
    );
    expect(stderr).toMatch(/^No meshid process serves .*: nothing is renewed\. Start it with: meshid local/);
    expect(code).toBe(0);
  });

  it("shows more columns with wide, and everything to a program", async () => {
    await using scratch = await makeScratch();
    const out = await makeOut(scratch, pki);
    const wide = await cli(["status", "--out", out, "-o", "wide"]);
    expect(wide.stdout).toMatch(
      /AGE +REASON +MTLS +RENEWS +SERIAL +MESSAGE\n.* Issued +- +in 6h +4f01 +issued\n/,
    );
    const json = JSON.parse(
      (await cli(["status", "--state", join(out, ".meshid"), "-o", "json"])).stdout,
    ) as unknown;
    expect(json).toMatchObject({
      out,
      identities: [
        {
          namespace: "shop",
          name: "payments",
          status: { spiffeID: "spiffe://cluster.local/ns/shop/sa/payments" },
        },
      ],
      trustDomain: { name: "cluster.local" },
    });
  });

  it("ends with 1 and says why when one is not Ready", async () => {
    await using scratch = await makeScratch();
    const out = await makeOut(scratch, pki);
    await scratch.put(
      "out/bank/ledger.serviceidentity.yaml",
      statusYaml("ledger", "bank", { reason: "SecretConflict", message: "a path is in the way" }),
    );
    const all = await cli(["status", "--out", out]);
    expect(all.stdout).toMatch(/^bank +ledger +False /m);
    expect(all.stderr).toContain("bank/ledger is not Ready: SecretConflict: a path is in the way\n");
    expect(all.code).toBe(1);
    const one = await cli(["status", "-n", "shop", "--out", out]);
    expect(one.stdout).not.toContain("ledger");
    expect(one.code).toBe(0);
  });

  it("ends with 1 when a status cannot be read", async () => {
    await using scratch = await makeScratch();
    const out = await makeOut(scratch, pki);
    await scratch.put("out/shop/broken.serviceidentity.yaml", "a: [");
    const { code, stderr } = await cli(["status", "--out", out]);
    expect(stderr).toMatch(/broken\.serviceidentity\.yaml: is not YAML/);
    expect(code).toBe(1);
  });

  it("finds OUT by what STATE records", async () => {
    await using scratch = await makeScratch();
    const out = await makeOut(scratch, pki);
    const state = join(scratch.dir, "elsewhere");
    await scratch.put("elsewhere/out.json", JSON.stringify({ out }));
    expect((await cli(["status", "payments", "--state", state])).stdout).toMatch(/^shop +payments/m);
  });

  it.each<[string, (out: string) => string[], RegExp]>([
    [
      "an unknown name",
      (out) => ["paymnts", "--out", out],
      /there is no identity "paymnts" in any namespace; .*did you mean payments\?/,
    ],
    [
      "neither OUT nor STATE nor a kubeconfig",
      () => [],
      /kubeconfig .*cannot be read; expected .*; or --out DIR \(MESHID_OUT\)/,
    ],
    [
      "OUT and a context",
      (out) => ["--out", out, "--context", "kind"],
      /--context: cannot be used with --out; expected/,
    ],
    ["an OUT that is not there", (out) => ["--out", `${out}-not`], /is not a directory/],
    [
      "all namespaces and one",
      (out) => ["-A", "-n", "shop", "--out", out],
      /cannot be used with --namespace/,
    ],
  ])("ends with 2 for %s", async (_, args, message) => {
    await using scratch = await makeScratch();
    const { code, stdout, stderr } = await cli(["status", ...args(await makeOut(scratch, pki))]);
    expect(stderr).toMatch(message);
    expect([code, stdout]).toEqual([2, ""]);
  });
});

describe("meshid renew and rotate", () => {
  it("leave a request and say who takes it", async () => {
    await using scratch = await makeScratch();
    const out = await makeOut(scratch, pki);
    const renewal = await cli(["renew", "payments", "-n", "shop", "--state", join(out, ".meshid")]);
    expect(renewal.stdout).toMatch(
      /^Requested the renewal of shop\/payments\. No meshid process serves this state now: the next meshid local/,
    );
    const rotation = await cli(["rotate", "issuing", "--out", out]);
    expect(rotation.stdout).toMatch(/^Requested the rotation of the issuing key\./);
    expect([renewal.code, rotation.code]).toEqual([0, 0]);
    expect(await requestsIn(out)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ kind: "renew", namespace: "shop", name: "payments" }),
        expect.objectContaining({ kind: "rotate", authority: "Issuing" }),
      ]),
    );
  });

  it("end with 1 when nobody takes the request while they wait", async () => {
    await using scratch = await makeScratch();
    const out = await makeOut(scratch, pki);
    const { code, stdout } = await cli(["rotate", "root", "--out", out, "--wait"]);
    expect(stdout).toContain("Nobody has taken it up within a minute");
    expect(code).toBe(1);
  });

  it.each<[string, (out: string) => string[], RegExp]>([
    [
      "an unknown identity",
      (out) => ["renew", "payment", "-n", "shop", "--out", out],
      /there is no identity "payment" in the namespace "shop"; .*did you mean payments\?/,
    ],
    [
      "an identity of another namespace",
      (out) => ["renew", "payments", "--out", out],
      /in the namespace "default"; .*did you mean -n shop\?/,
    ],
    [
      "a state that is not there",
      (out) => ["rotate", "root", "--state", `${out}/none/.meshid`],
      /is not a directory/,
    ],
    [
      "a directory that is no state",
      (out) => ["rotate", "root", "--state", `${out}/shop`, "--out", out],
      /no state|is not/,
    ],
  ])("leave nothing for %s", async (_, args, message) => {
    await using scratch = await makeScratch();
    const out = await makeOut(scratch, pki);
    const { code, stderr } = await cli(args(out));
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
    expect(await requestsIn(out)).toEqual([]);
  });
});
