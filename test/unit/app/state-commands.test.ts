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
        "Rotation in progress, begun 10 hours ago: WaitingForConsumers: 2 lack it\n" +
        "KIND   KEY-ID   STATE      EXPIRES   SIGNED-UNTIL   SINCE          WAITS-UNTIL   WAITING-FOR\n" +
        "Root   aabbcc   Active     in 300d   in 30d         23 days ago    -             -\n" +
        "Root   ddeeff   Prepared   in 361d   -              10 hours ago   in 2h         2 consumers lack it\n" +
        "\nTrustDomain cluster.local\n" +
        "CONDITION   STATUS   REASON   MESSAGE\n" +
        "Ready       True     Issued   all is well\n",
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
    expect(rotation.stdout).toMatch(
      /^Requested the rotation of the issuing key of cluster\.local\. No meshid process/,
    );
    expect([renewal.code, rotation.code]).toEqual([0, 0]);
    expect(await requestsIn(out)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ kind: "renew", namespace: "shop", name: "payments" }),
        expect.objectContaining({ kind: "rotate", authority: "Issuing" }),
      ]),
    );
  });

  const ROOT = ["rotate", "root", "--compromised"];

  it("ask that a key is distrusted, and name it", async () => {
    await using scratch = await makeScratch();
    const out = await makeOut(scratch, pki);
    const { code, stdout } = await cli([...ROOT, "--confirm", "cluster.local", "--out", out]);
    expect(stdout).toMatch(
      /^Requested that nobody trusts the root key aabbcc of cluster\.local any more\. No meshid/,
    );
    expect(code).toBe(0);
    expect(await requestsIn(out)).toEqual([{ kind: "rotate", authority: "Root", compromised: "aabbcc" }]);
  });

  it.each<[what: string, args: readonly string[], message: RegExp]>([
    [
      "no confirmation",
      ROOT,
      /^meshid rotate: --confirm: is missing; expected --confirm cluster\.local, .* key aabbcc:\n {2}breaks: a workload/,
    ],
    [
      "another trust domain",
      [...ROOT, "--confirm", "cluster"],
      /--confirm: "cluster" is not the trust domain; expected --confirm cluster\.local/,
    ],
    [
      "an issuing key",
      ["rotate", "issuing", "--compromised", "--confirm", "cluster.local"],
      /can only be distrusted with its root.*expected meshid rotate root --compromised/,
    ],
    [
      "a kind that has no active key",
      ["rotate", "jwt", "--compromised", "--confirm", "cluster.local"],
      /shows no active JWT key/,
    ],
    [
      "a confirmation of nothing",
      ["rotate", "root", "--confirm", "cluster.local"],
      /--confirm: says yes to what --compromised breaks/,
    ],
  ])("leave nothing for %s", async (_, args, message) => {
    await using scratch = await makeScratch();
    const out = await makeOut(scratch, pki);
    const { code, stdout, stderr } = await cli([...args, "--out", out]);
    expect(stderr).toMatch(message);
    expect([code, stdout]).toEqual([2, ""]);
    expect(await requestsIn(out)).toEqual([]);
  });

  it("refuse to make what the Secret of another CA brings", async () => {
    await using scratch = await makeScratch();
    const out = await makeOut(scratch, pki);
    const spec = "spec: {authority: {source: Secret, secretRef: {name: byo-ca}}}";
    const text = (await readFile(join(out, "trustdomain.yaml"), "utf8")).replace("spec: {}", spec);
    await scratch.put("out/trustdomain.yaml", text);
    const plain = await cli(["rotate", "issuing", "--out", out]);
    expect(plain.stderr).toContain("expected new tls.crt, tls.key and ca.crt in meshid-system/byo-ca/");
    const stolen = await cli([...ROOT, "--confirm", "cluster.local", "--out", out]);
    expect(stolen.stderr).toContain(
      "after that: the annotation meshid.dev/distrust-root: aabbcc in the file",
    );
    expect([plain.code, stolen.code]).toEqual([2, 2]);
    expect(await requestsIn(out)).toEqual([]);
    // Tokens are meshid's own all the same.
    expect((await cli(["rotate", "jwt", "--out", out])).code).toBe(0);
  });

  it("ask for all identities in one request, and say how many and where", async () => {
    await using scratch = await makeScratch();
    const out = await makeOut(scratch, pki);
    await scratch.put("out/bank/ledger.serviceidentity.yaml", statusYaml("ledger", "bank"));
    await scratch.put("out/bank/new.serviceidentity.yaml", "metadata: {}\nspec: {}\n");
    const { code, stdout } = await cli(["renew", "--all", "--out", out]);
    expect(stdout).toMatch(
      /^Requested the renewal of 2 identities in 2 namespaces \(bank, shop\); left out: 1 without a certificate yet\. No meshid/,
    );
    expect(code).toBe(0);
    expect(await requestsIn(out)).toEqual([
      {
        kind: "renew-all",
        identities: [
          { namespace: "bank", name: "ledger" },
          { namespace: "shop", name: "payments" },
        ],
      },
    ]);
    const one = await cli(["renew", "--all", "-n", "bank", "--out", out, "-o", "json"]);
    expect(JSON.parse(one.stdout)).toMatchObject({ identities: 1, namespaces: { bank: 1 }, asked: 1 });
  });

  // Issued an hour before NOW, 2026-11-24T10:00:00Z; notBefore is a minute earlier.
  it.each([
    ["2026-11-24T09:00:00Z", 0],
    ["2026-11-24T09:00:01Z", 1],
    ["2026-11-24T10:00:01+01:00", 1],
    ["2026-11-24T10:00:00Z", 1],
  ])("with --before %s ask for %d", async (before, count) => {
    await using scratch = await makeScratch();
    const out = await makeOut(scratch, pki);
    const { code, stdout } = await cli(["renew", "--all", "--before", before, "--out", out]);
    expect(code).toBe(0);
    expect(await requestsIn(out)).toHaveLength(count);
    if (count === 0)
      expect(stdout).toBe(
        "Nothing to renew in any namespace; left out: 1 issued at 2026-11-24T09:00:00Z or later.\n",
      );
  });

  it.each<[what: string, args: readonly string[], message: RegExp]>([
    ["a name and --all", ["payments", "--all"], /NAME: cannot be used with --all/],
    ["neither", [], /NAME: is missing; expected the identity's name, or --all/],
    ["--before alone", ["payments", "--before", "2026-11-24T09:00:00Z"], /--before: needs --all/],
    [
      "a future instant",
      ["--all", "--before", "2026-11-24T10:00:01Z"],
      /is in the future, and it is 2026-11-24T10:00:00Z/,
    ],
    [
      "a duration",
      ["--all", "--before", "2h"],
      /--before: "2h" is no instant; expected RFC 3339, as 2026-11-24T09:00:00Z/,
    ],
  ])("renew nothing for %s", async (_, args, message) => {
    await using scratch = await makeScratch();
    const out = await makeOut(scratch, pki);
    const { code, stderr } = await cli(["renew", ...args, "--out", out]);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
    expect(await requestsIn(out)).toEqual([]);
  });

  it("say that there is nothing to renew where there is no identity", async () => {
    await using scratch = await makeScratch();
    const out = await makeOut(scratch, pki);
    const { code, stdout } = await cli(["renew", "--all", "-n", "empty", "--out", out, "--wait"]);
    expect(stdout).toBe("Nothing to renew in the namespace empty: there is no identity.\n");
    expect(code).toBe(0);
  });

  it.each([
    ["renewal of one", ["renew", "payments", "-n", "shop"]],
    ["renewal of all", ["renew", "--all"]],
    ["rotation", ["rotate", "root"]],
    ["emergency", [...ROOT, "--confirm", "cluster.local"]],
  ])("end with 1 when nobody takes a %s while they wait", async (_, args) => {
    await using scratch = await makeScratch();
    const out = await makeOut(scratch, pki);
    const { code, stdout, stderr } = await cli([...args, "--out", out, "--wait"]);
    expect(stdout).toMatch(
      /^Requested .*\. Nobody has taken it up within a minute: is a meshid local running/,
    );
    expect(stderr).toMatch(/\n1m: Nobody has taken it up within a minute/);
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
      "an OUT that no meshid has written to yet",
      (out) => ["rotate", "root", "--state", `${out}/.meshid`, "--out", `${out}/shop`],
      /shop has no trustdomain\.yaml; expected the OUT of a meshid local that has run at least once/,
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
