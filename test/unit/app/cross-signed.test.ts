import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { seconds } from "../../../src/core/brand.ts";
import { systemRandom } from "../../../src/core/random.ts";
import { generateKey } from "../../../src/x509/keys.ts";
import { signCross } from "../../../src/x509/template.ts";
import { DAY, honestLeaf, makePki, NOW, type Pki, TRUST_DOMAIN } from "../../support/certificates.ts";
import { cli, type Outcome } from "../../support/cli.ts";

let dir: string;
let former: Pki;
let next: Pki;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "meshid-unit-"));
  [former, next] = await Promise.all([makePki(), makePki()]);
  const stranger = await makePki();
  const life = { notBefore: seconds(NOW - 60), notAfter: seconds(NOW + 9 * DAY), random: systemRandom };
  const cross = await signCross({ ...life, trustDomain: TRUST_DOMAIN, root: next.root }, former.rootIssuer);
  const leaf = await honestLeaf(next, await generateKey("ECDSA-P256"));
  const files = {
    "chain.pem": leaf.pem() + next.issuingPem + cross,
    "cross.pem": cross,
    "former.pem": former.rootPem,
    "next.pem": next.rootPem,
    "stranger.pem": stranger.rootPem,
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
});

afterAll(() => rm(dir, { recursive: true }));

function ask(command: "verify" | "inspect", file: string, ...args: readonly string[]): Promise<Outcome> {
  const absolute = args.map((arg) => (arg.endsWith(".pem") ? join(dir, arg) : arg));
  return cli([command, join(dir, file), ...absolute], { now: NOW });
}

describe("meshid verify on a chain with a cross certificate", () => {
  it.each([
    ["former.pem", 0, "needed here: the bundle lacks the successor"],
    ["next.pem", 0, "not needed here: the bundle has the successor"],
    ["stranger.pem", 1, "of no use here: the bundle has neither"],
  ])("tells what it does for who trusts %s", async (bundle, code, text) => {
    const outcome = await ask("verify", "chain.pem", "--bundle", bundle);
    expect(outcome.code).toBe(code);
    expect(outcome.stdout).toContain(text);
    expect(outcome.stdout).toContain(`the root ${former.root.subjectKeyID} vouches for its successor`);
  });
});

describe("meshid inspect on a chain with a cross certificate", () => {
  it("calls it by its name and tells what it is for", async () => {
    const { code, stdout } = await ask("inspect", "chain.pem");
    expect(code).toBe(0);
    expect(stdout).toContain("cross certificate 3");
    expect(stdout).toContain("issuing certificate 2");
    expect(stdout).toContain("for peers that keep a bundle from before");
  });

  it.each(["former.pem", "next.pem"])("finds it in order with %s", async (bundle) => {
    const { code, stdout } = await ask("inspect", "chain.pem", "--bundle", bundle);
    expect([code, stdout]).toEqual([0, expect.not.stringContaining("does not vouch for it")]);
  });

  it("tells one that lies alone from an issuing certificate", async () => {
    expect((await ask("inspect", "cross.pem")).stdout).toContain("cross certificate");
  });
});
