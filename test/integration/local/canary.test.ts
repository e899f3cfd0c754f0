import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import {
  finished,
  identityYaml,
  makeWorkspace,
  meshid,
  start,
  trustDomainYaml,
  until,
  type Workspace,
} from "../../support/local-process.ts";

const PASSWORD = "canary-correct-horse-battery";

/** Every file below `dir` but the Secrets' own and the keys of STATE. */
async function publicFiles(dir: string): Promise<readonly string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !/\/shop\/a-(tls|jwt)\//.test(path) && !path.includes("/.meshid/keys/"));
}

/** What no output may hold: lines of private keys, signatures of tokens, the passphrase. */
async function canaries(work: Workspace): Promise<readonly string[]> {
  const pems = [await work.read("shop/a-tls/tls.key")];
  for (const name of await readdir(join(work.state, "keys")))
    pems.push(await readFile(join(work.state, "keys", name), "utf8"));
  // A P-256 key in PKCS#8: the secret number ends the first line and begins the second; what follows is the public key.
  const numbers = pems.flatMap((pem) => {
    const [, first = "", second = ""] = pem.split("\n");
    return [first.slice(-14), second.slice(0, 24)];
  });
  const signature = (await work.read("shop/a-jwt/orders.shop.jwt")).split(".")[2] ?? "";
  return [PASSWORD, signature, ...numbers];
}

describe("secrets", () => {
  it("stand in no output, log, error, status, metric or file outside the Secrets", async () => {
    await using work = await makeWorkspace();
    await work.put("td.yaml", trustDomainYaml("{rotation: {propagation: 1s}}"));
    const x509 =
      "x509: {formats: [PEM, Istio, PKCS12, Combined], pkcs12: {passwordSecretRef: {name: p12, key: password}}}";
    await work.put("a.yaml", identityYaml("a", `{${x509}, jwt: {tokens: [{audience: orders.shop}]}}`));
    await work.put("shop/p12/password", `${PASSWORD}\n`);
    const places = ["--identities", work.identities, "--out", work.out];
    const addresses = ["--listen", "127.0.0.1:0", "--probes", "127.0.0.1:0"];
    const operator = start(["local", ...places, "--log-level", "debug", ...addresses, "--on-renew", "env"]);
    const ended = finished(operator);
    let log = "";
    operator.stderr?.on("data", (chunk: Buffer) => {
      log += chunk.toString();
    });
    const address = await until(
      "probes",
      async () => /"address":"(127[^"]+)","msg":"serving probes/.exec(log)?.[1],
    );
    await until("issued", async () =>
      (await work.read("shop/a.serviceidentity.yaml")).includes('status: "True"') ? true : undefined,
    );
    const secrets = await canaries(work);
    expect(secrets.length).toBe(2 + 2 * 4);

    const tls = join(work.out, "shop/a-tls");
    const outputs = await Promise.all([
      meshid(["inspect", tls]),
      meshid(["inspect", join(tls, "tls.key")]),
      meshid(["inspect", join(tls, "tls-combined.pem")]),
      meshid([
        "inspect",
        join(tls, "keystore.p12"),
        "--password-file",
        join(work.identities, "shop/p12/password"),
      ]),
      meshid(["inspect", join(work.out, "shop/a-jwt"), "--output", "json"]),
      meshid(["inspect", work.out]),
      meshid(["verify", "--bundle", join(tls, "ca.crt"), join(tls, "tls.crt")]),
      meshid(["verify", "--bundle", join(tls, "ca.crt"), join(tls, "tls.key"), "--log-level", "debug"]),
      meshid(["status", "--out", work.out, "--output", "yaml"]),
      meshid(["renew", "a", "-n", "shop", "--state", work.state]),
      meshid(["rotate", "root", "--state", work.state]),
    ]);
    const metrics = await (await fetch(`http://${address}/metrics`)).text();
    await new Promise((resolve) => setTimeout(resolve, 3000));
    operator.kill("SIGTERM");
    const { code, stdout, stderr } = await ended;
    expect(code).toBe(0);

    const written = [stdout, stderr, metrics, ...outputs.flatMap((one) => [one.stdout, one.stderr])];
    for (const path of await publicFiles(work.out)) written.push(await readFile(path, "latin1"));
    const all = [...secrets, ...(await canaries(work))];
    const leaked = all.filter((secret) => written.some((text) => text.includes(secret)));
    expect(leaked.length).toBe(0);
    expect(stderr).toContain("issued an X.509-SVID");
  });
});
