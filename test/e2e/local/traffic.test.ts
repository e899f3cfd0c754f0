import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { describe, expect, it } from "@jest/globals";
import {
  finished,
  identityYaml,
  makeWorkspace,
  meshid,
  start,
  trustDomainYaml,
  until,
} from "../../support/local-process.ts";

const run = promisify(execFile);
const PEER = new URL("peer.py", import.meta.url).pathname;
const NAMES = Array.from({ length: 10 }, (_, index) => `w${index}`);
const ROUNDS = 30;

interface Counts {
  port?: number;
  ok: number;
  failed: number;
  errors: string[];
}

/** A Python peer whose last printed line is its state. */
function python(...args: readonly string[]): { stop: () => void; state: () => Counts } {
  const child = spawn("python3", [PEER, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let state: Counts = { ok: 0, failed: 0, errors: [] };
  createInterface({ input: child.stdout }).on("line", (line) => {
    state = { ...state, ...(JSON.parse(line) as Counts) };
  });
  return { stop: () => child.kill("SIGKILL"), state: () => state };
}

/** OpenSSL's command line as a client: copies the three files of one revision, then connects anew. */
async function opensslClient(directory: string, port: number, signal: AbortSignal): Promise<Counts> {
  const scratch = await mkdtemp(join(tmpdir(), "meshid-openssl-"));
  const counts: Counts = { ok: 0, failed: 0, errors: [] };
  while (!signal.aborted) {
    try {
      await copyRevision(directory, scratch);
      const files = [
        "-cert",
        `${scratch}/tls.crt`,
        "-key",
        `${scratch}/tls.key`,
        "-CAfile",
        `${scratch}/ca.crt`,
      ];
      const args = [
        "s_client",
        "-connect",
        `127.0.0.1:${port}`,
        ...files,
        "-cert_chain",
        `${scratch}/tls.crt`,
      ];
      const { stdout } = await run("openssl", [...args, "-verify_return_error", "-quiet"]);
      if (!stdout.includes("hello")) throw new Error(`no answer: ${stdout}`);
      counts.ok += 1;
    } catch (error) {
      counts.failed += 1;
      counts.errors = [...counts.errors, String(error)].slice(-5);
    }
  }
  await rm(scratch, { recursive: true });
  return counts;
}

async function copyRevision(directory: string, to: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      const revision = await readlink(join(directory, "..data"));
      for (const name of ["tls.crt", "tls.key", "ca.crt"]) {
        await writeFile(join(to, name), await readFile(join(directory, revision, name)));
      }
      return;
    } catch (error) {
      if (attempt === 5) throw error;
    }
  }
}

function renewedYaml(name: string, round: number): string {
  const annotations = `annotations: {meshid.dev/renew: "${round}"}`;
  return identityYaml(name, "{x509: {ttl: 10m}}").replace(
    "namespace: shop}",
    `namespace: shop, ${annotations}}`,
  );
}

describe("traffic between OpenSSL, Python and meshid's files", () => {
  it("fails no handshake over 300 forced renewals and a rotation of each kind", async () => {
    await using work = await makeWorkspace();
    const spec =
      "{authority: {rootTTL: 2h, issuingTTL: 30m}, jwt: {keyTTL: 30m}, rotation: {propagation: 2s}}";
    await work.put("td.yaml", trustDomainYaml(spec));
    for (const name of NAMES) await work.put(`${name}.yaml`, renewedYaml(name, 0));
    const operator = start([
      "local",
      "--identities",
      work.identities,
      "--out",
      work.out,
      "--listen",
      "none",
      "--log-level",
      "warn",
    ]);
    const operatorEnded = finished(operator);
    const at = (name: string): string => join(work.out, `shop/${name}-tls`);
    const idOf = (name: string): string => `spiffe://cluster.local/ns/shop/sa/${name}`;
    await until("all issued", async () => {
      for (const name of NAMES) await readlink(join(at(name), "..data"));
      return true;
    });

    const servers = NAMES.slice(0, 5).map((name) => python("serve", at(name), "spiffe://cluster.local/"));
    const ports = await Promise.all(servers.map((server) => until("port", async () => server.state().port)));
    const clients = NAMES.slice(5).map((name, index) =>
      python("connect", at(name), String(ports[index]), idOf(NAMES[index] ?? "")),
    );
    const stop = new AbortController();
    const openssl = NAMES.slice(5, 7).map((name, index) =>
      opensslClient(at(name), ports[index] ?? 0, stop.signal),
    );

    for (let round = 1; round <= ROUNDS; round++) {
      for (const name of NAMES) await work.put(`${name}.yaml`, renewedYaml(name, round));
      if (round === 3) await meshid(["rotate", "root", "--state", work.state]);
      if (round === 4) await meshid(["rotate", "jwt", "--state", work.state]);
      if (round === 16) await meshid(["rotate", "issuing", "--state", work.state]);
      await until(`round ${round} honoured`, async () => {
        const done = await Promise.all(
          NAMES.map(async (name) =>
            (await work.read(`shop/${name}.serviceidentity.yaml`)).includes(`lastManualRenewal: "${round}"`),
          ),
        );
        return done.every(Boolean) ? true : undefined;
      });
      await new Promise((resolve) => setTimeout(resolve, 600));
    }
    await until("every rotation done", async () => {
      const domain = await work.read("trustdomain.yaml");
      const isHonoured = ["root", "issuing", "jwt"].every((kind) =>
        new RegExp(`^    ${kind}: `, "m").test(domain),
      );
      return isHonoured && !domain.includes("state: Prepared") && domain.includes("state: Retired")
        ? true
        : undefined;
    });

    stop.abort();
    const byOpenssl = await Promise.all(openssl);
    const results = [...servers, ...clients].map((peer) => peer.state()).concat(byOpenssl);
    for (const peer of [...servers, ...clients]) peer.stop();
    operator.kill("SIGTERM");
    expect((await operatorEnded).code).toBe(0);

    const failures = results.filter((result) => result.failed > 0);
    expect(failures).toEqual([]);
    const handshakes = clients.reduce((sum, client) => sum + client.state().ok, 0);
    console.log(
      `${handshakes} handshakes by Python, ${byOpenssl.reduce((sum, one) => sum + one.ok, 0)} by OpenSSL`,
    );
    expect(handshakes).toBeGreaterThan(1000);
    for (const one of byOpenssl) expect(one.ok).toBeGreaterThan(20);
  }, 300_000);
});
