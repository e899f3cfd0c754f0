/**
 * `npm run demo`: the main job in local mode on `examples/bookinfo`, in about a minute, with the real CLI, real TLS
 * peers and a forced rotation of the root while they talk. Exit code 0 only if not one handshake failed.
 */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, openSync, readFileSync } from "node:fs";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from "jose";

const run = promisify(execFile);
const root = new URL("..", import.meta.url).pathname;
const isTerminal = process.stdout.isTTY && process.env["NO_COLOR"] === undefined;
const paint = (code: number, text: string): string => (isTerminal ? `\u001b[${code}m${text}\u001b[0m` : text);
const started = Date.now();
const PRODUCTPAGE = "spiffe://bookinfo.example/ns/default/sa/bookinfo-productpage";
const DETAILS = "spiffe://bookinfo.example/ns/default/sa/bookinfo-details";

function say(title: string): void {
  const elapsed = `${((Date.now() - started) / 1000).toFixed(0).padStart(3)}s`;
  console.log(`\n${paint(2, elapsed)} ${paint(1, title)}`);
}
const show = (text: string): void => console.log(text.trimEnd().replace(/^/gm, "     "));
const pass = (text: string): void => console.log(`     ${paint(32, "✓")} ${text}`);
const pause = (length: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, length));

async function until<T>(what: string, limit: number, look: () => Promise<T | undefined>): Promise<T> {
  const end = Date.now() + limit;
  for (;;) {
    const found = await look().catch(() => undefined);
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`${what}: not seen within ${limit / 1000} s`);
    await pause(200);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 8443;
}

/** Runs the CLI to its end; the output of a failed check is an output too. */
async function meshid(...args: readonly string[]): Promise<string> {
  const done = await run(process.execPath, [
    "--disable-warning=ExperimentalWarning",
    join(root, "src/main.ts"),
    ...args,
  ]).catch((error: { stdout?: string; stderr?: string; message: string }) => {
    throw new Error(`meshid ${args.join(" ")}: ${error.stderr || error.message}`);
  });
  return done.stdout;
}

/** A child whose last printed line is its state. */
function peer(
  script: string,
  ...args: readonly string[]
): { child: ChildProcess; state: () => Record<string, unknown> } {
  const child = spawn(process.execPath, [join(root, "examples/peers", script), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let state: Record<string, unknown> = {};
  child.stdout?.on("data", (chunk: Buffer) => {
    const line = chunk.toString().trim().split("\n").at(-1);
    if (line) state = JSON.parse(line);
  });
  return { child, state: () => state };
}

async function get(url: string, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(url, { ca, agent: false }, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on("end", () =>
        response.statusCode === 200 ? resolve(body) : reject(new Error(`${url}: ${response.statusCode}`)),
      );
    });
    call.on("error", reject);
    call.end();
  });
}

const work = await mkdtemp(join(tmpdir(), "meshid-demo-"));
const identities = join(work, "identities");
const out = join(work, "out");
const state = join(out, ".meshid");
const port = await freePort();
const operatorLog = join(work, "meshid.log");
const children: ChildProcess[] = [];

async function demo(): Promise<void> {
  await cp(join(root, "examples/bookinfo"), identities, { recursive: true });
  const domainFile = join(identities, "trust-domain.yaml");
  await writeFile(domainFile, (await readFile(domainFile, "utf8")).replace(":8443", `:${port}`));

  say("meshid local --identities examples/bookinfo --out OUT");
  const flags = ["--identities", identities, "--out", out, "--listen", `127.0.0.1:${port}`];
  const log = openSync(operatorLog, "w");
  const operator = spawn(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", join(root, "src/main.ts"), "local", ...flags],
    {
      stdio: ["ignore", "inherit", log],
    },
  );
  children.push(operator);
  const status = await until("four identities Ready", 20_000, async () => {
    const text = await meshid("status", "--all-namespaces", "--out", out);
    return text.match(/^\S+ +\S+ +True\b/gm)?.length === 4 ? text : undefined;
  });
  show(status);
  pass("four services hold a certificate and their tokens");

  say("What productpage mounts");
  show(await meshid("inspect", join(out, "default/productpage-tls")));

  say("Two peers talk mTLS and check each other's SPIFFE ID; each request is a new handshake");
  const server = peer("server.ts", join(out, "default/details-tls"), PRODUCTPAGE);
  children.push(server.child);
  const serverPort = await until("details listens", 10_000, async () => server.state()["port"]);
  const client = peer("client.ts", join(out, "default/productpage-tls"), String(serverPort), DETAILS);
  children.push(client.child);
  await until("first requests", 10_000, async () => (Number(client.state()["ok"]) > 50 ? true : undefined));
  const progress = (): string =>
    `${Number(client.state()["ok"])} handshakes, ${Number(client.state()["failed"])} failed`;
  pass(`productpage → details: ${progress()}`);

  say("A token for details, verified with another library against the served JWKS");
  const ca = await readFile(join(out, "default/meshid-bundle/ca.crt"), "utf8");
  const issuer = `https://localhost:${port}`;
  const discovery = JSON.parse(await get(`${issuer}/.well-known/openid-configuration`, ca)) as {
    jwks_uri: string;
  };
  const jwks = JSON.parse(await get(discovery.jwks_uri, ca)) as JSONWebKeySet;
  const token = await readFile(join(out, "default/productpage-jwt/details.default.jwt"), "utf8");
  const { payload } = await jwtVerify(token, createLocalJWKSet(jwks), {
    issuer,
    audience: "details.default",
  });
  pass(`sub ${payload.sub}, aud ${String(payload.aud)}, from ${discovery.jwks_uri}`);

  say("meshid renew: new keys and certificates while they talk");
  const serialOf = async (): Promise<string> =>
    /serialNumber: "?([0-9a-f]+)/.exec(
      await readFile(join(out, "default/bookinfo-details.serviceidentity.yaml"), "utf8"),
    )?.[1] ?? "";
  const before = await serialOf();
  for (const name of ["bookinfo-productpage", "bookinfo-details"])
    await meshid("renew", name, "-n", "default", "--state", state);
  const after = await until("a new serial number", 15_000, async () =>
    (await serialOf()) !== before ? serialOf() : undefined,
  );
  await pause(1500);
  pass(`details: serial ${before.slice(0, 8)}… → ${after.slice(0, 8)}…; ${progress()}`);

  say("meshid rotate root: publish, observe, wait, use");
  const activeRoot = async (): Promise<string> => {
    const text = await readFile(join(out, "trustdomain.yaml"), "utf8");
    const slots = [...text.matchAll(/- kind: (\w+)\s+keyID: "?([0-9a-f]+)"?\s+state: (\w+)/g)];
    return slots.map(([, kind, keyID, slot]) => `${kind} ${keyID?.slice(0, 8)} ${slot}`).join(", ");
  };
  const wanted = /Root \w+ Active/.exec(await activeRoot())?.[0];
  await meshid("rotate", "root", "--state", state);
  let last = "";
  await until("a new root Active and an issuing key under it", 40_000, async () => {
    const now = await activeRoot();
    if (now !== last)
      show(`${paint(2, `${((Date.now() - started) / 1000).toFixed(0)}s`)} ${now} · ${progress()}`);
    last = now;
    const isRootNew = !now.includes(wanted ?? "?") && /Root \w+ Active/.test(now);
    const isIssuingNew =
      now.match(/Issuing \w+ (Active|Retired)/g)?.length === 2 &&
      now.includes("Issuing") &&
      !now.includes("Prepared");
    return isRootNew && isIssuingNew ? true : undefined;
  });
  for (const name of ["bookinfo-productpage", "bookinfo-details"])
    await meshid("renew", name, "-n", "default", "--state", state);
  await pause(3000);
  pass(`both hold certificates under the new root; ${progress()}`);

  say("Strict mTLS for the mesh, ready to be applied");
  show(await readFile(join(out, "default/bookinfo-productpage.peerauthentication.yaml"), "utf8"));

  const { ok, failed, lastError } = client.state();
  if (failed !== 0)
    throw new Error(
      `${Number(failed)} of ${Number(ok) + Number(failed)} handshakes failed: ${String(lastError)}`,
    );
  say(`${Number(ok)} handshakes over two renewals and a rotation of the root, 0 failed`);
}

let code = 0;
try {
  await demo();
} catch (error) {
  code = 1;
  console.error(`\ndemo failed: ${error instanceof Error ? error.message : String(error)}`);
  if (existsSync(operatorLog)) console.error(readFileSync(operatorLog, "utf8"));
} finally {
  for (const child of children.reverse()) child.kill("SIGTERM");
  await pause(500);
  await rm(work, { recursive: true, force: true });
}
process.exit(code);
