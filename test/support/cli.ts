/**
 * The CLI in this process, with everything that it would have printed; and an output directory as `meshid local` leaves it.
 */

import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { runCli } from "../../src/app/cli.ts";
import { milliseconds, type Seconds, seconds } from "../../src/core/brand.ts";
import { type Clock, toRfc3339 } from "../../src/core/clock.ts";
import { systemRandom } from "../../src/core/random.ts";
import { encodeJwks } from "../../src/jwt/jwks.ts";
import { signJwtSvid } from "../../src/jwt/jwt-svid.ts";
import { encodeBundle } from "../../src/spiffe/bundle.ts";
import { parseSpiffeId } from "../../src/spiffe/spiffe-id.ts";
import { parseTrustDomain } from "../../src/spiffe/trust-domain.ts";
import { parseCertificate } from "../../src/x509/certificate.ts";
import {
  encodePrivateKey,
  generateKey,
  keyIdOf,
  type PrivateKey,
  publicJwk,
  publicKeyOf,
} from "../../src/x509/keys.ts";
import { makeIssuer, signIssuing, signLeaf, signRoot } from "../../src/x509/template.ts";

/** 2026-11-24T10:00:00Z */
export const NOW: Seconds = seconds(1_795_514_400);
export const DAY = 86_400;

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Stands still, and every sleep is over at once. */
function skippingClock(now: number): Clock {
  let slept = 0;
  return {
    now: () => seconds(Math.floor(now + slept / 1000)),
    monotonic: () => milliseconds(slept),
    sleep: (length) => {
      slept += length;
      return Promise.resolve();
    },
  };
}

export interface CliOptions {
  readonly now?: number;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly isTTY?: boolean;
}

export async function cli(
  args: readonly string[],
  { now = NOW, env = {}, isTTY = false }: CliOptions = {},
): Promise<Outcome> {
  let stdout = "";
  let stderr = "";
  const code = await runCli(args, {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    isTTY,
    isErrorTTY: isTTY,
    env,
    clock: skippingClock(now),
    random: systemRandom,
  });
  return { code, stdout, stderr };
}

/** The keys and credentials of one trust domain, valid from an hour before `NOW`. */
export interface Pki {
  readonly rootPem: string;
  readonly issuingPem: string;
  /** Leaf, then issuing. */
  readonly chainPem: string;
  readonly keyPem: string;
  readonly token: string;
  readonly jwks: string;
  readonly bundle: string;
  readonly jwtKey: PrivateKey;
  /** Everything that must never be printed. */
  readonly secrets: readonly string[];
}

export async function makePki(domain = "cluster.local"): Promise<Pki> {
  const trustDomain = parseTrustDomain(domain);
  const [rootKey, issuingKey, leafKey, jwtKey] = await Promise.all(
    [0, 1, 2, 3].map(() => generateKey("ECDSA-P256")),
  );
  const times = { notBefore: seconds(NOW - 3660), random: systemRandom };
  const rootPem = await signRoot({
    ...times,
    trustDomain,
    key: rootKey!,
    notAfter: seconds(NOW + 300 * DAY),
  });
  const issuingPem = await signIssuing(
    { ...times, trustDomain, publicKey: publicKeyOf(issuingKey!), notAfter: seconds(NOW + 30 * DAY) },
    makeIssuer(rootPem, rootKey!),
  );
  const leaf = await signLeaf(
    {
      ...times,
      spiffeId: parseSpiffeId(`spiffe://${domain}/ns/shop/sa/payments`),
      dnsNames: ["payments.shop.svc", "payments.shop.svc.cluster.local"],
      publicKey: publicKeyOf(leafKey!),
      notAfter: seconds(NOW + DAY / 2),
    },
    makeIssuer(issuingPem, issuingKey!),
  );
  const keyID = keyIdOf(jwtKey!);
  const token = await signJwtSvid(
    {
      spiffeId: parseSpiffeId(`spiffe://${domain}/ns/shop/sa/payments`),
      audience: "orders.shop",
      issuer: "https://meshid.meshid-system.svc",
      issuedAt: seconds(NOW - 60),
      notBefore: seconds(NOW - 120),
      expiresAt: seconds(NOW + 3600),
      jti: "00000000-0000-4000-8000-000000000001",
    },
    { keyID, algorithm: "ES256", key: jwtKey! },
  );
  const root = parseCertificate(rootPem);
  const bundle = encodeBundle({
    trustDomain,
    x509Authorities: [{ der: root.der, jwk: publicJwk(root.publicKey) }],
    jwtAuthorities: [{ keyID, jwk: publicJwk(jwtKey!) }],
    sequence: 12,
    refreshHint: seconds(300),
  });
  const keyPem = encodePrivateKey(leafKey!).reveal();
  return {
    rootPem,
    issuingPem,
    chainPem: leaf.pem + issuingPem,
    keyPem,
    token: token.reveal(),
    jwks: encodeJwks([{ keyID, jwk: publicJwk(jwtKey!), algorithm: "ES256" }]),
    bundle,
    jwtKey: jwtKey!,
    secrets: [
      keyPem.split("\n")[1]!,
      keyPem.split("\n")[2]!,
      token.reveal().split(".")[2]!,
      token.reveal().split(".")[1]!,
    ],
  };
}

/** A directory that goes away with its scope. */
export interface Scratch extends AsyncDisposable {
  readonly dir: string;
  /** Writes a file and returns its path. */
  put(path: string, content: string | Uint8Array, mode?: number): Promise<string>;
  /** Writes a directory as kubelet mounts a Secret. */
  mount(path: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<string>;
}

export async function makeScratch(): Promise<Scratch> {
  const dir = await mkdtemp(join(tmpdir(), "meshid-cli-"));
  const put = async (path: string, content: string | Uint8Array, mode = 0o600): Promise<string> => {
    const full = join(dir, path);
    await mkdir(dirname(full), { recursive: true });
    await writeFile(full, content, { mode });
    return full;
  };
  return {
    dir,
    put,
    mount: async (path, files) => {
      for (const [name, content] of Object.entries(files)) {
        await put(join(path, "..2026_11_24", name), content);
        await symlink(`..data/${name}`, join(dir, path, name));
      }
      await symlink("..2026_11_24", join(dir, path, "..data"));
      return join(dir, path);
    },
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
}

/** An OUT directory with the identity shop/payments, Ready. */
export async function makeOut(scratch: Scratch, pki: Pki): Promise<string> {
  await scratch.mount("out/shop/payments-tls", {
    "tls.crt": pki.chainPem,
    "tls.key": pki.keyPem,
    "ca.crt": pki.rootPem,
  });
  await scratch.mount("out/shop/payments-jwt", {
    "orders.shop.jwt": pki.token,
    "bundle.json": pki.bundle,
    "jwks.json": pki.jwks,
  });
  await scratch.put("out/.meshid/journal.json", "{}");
  await scratch.put("out/shop/payments.serviceidentity.yaml", statusYaml("payments", "shop"));
  await scratch.put("out/trustdomain.yaml", TRUST_DOMAIN_YAML);
  return join(scratch.dir, "out");
}

export function statusYaml(
  name: string,
  namespace: string,
  fault?: { readonly reason: string; readonly message: string },
): string {
  const ready = fault === undefined ? "True" : "False";
  const condition = (type: string): string =>
    `    - {type: ${type}, status: "${ready}", reason: ${fault?.reason ?? "Issued"}, message: "${fault?.message ?? "issued"}", observedGeneration: 1, lastTransitionTime: "${toRfc3339(NOW)}"}\n`;
  return (
    `apiVersion: meshid.dev/v1alpha1\nkind: ServiceIdentity\nmetadata:\n  name: ${name}\n  namespace: ${namespace}\n` +
    `  creationTimestamp: "${toRfc3339(seconds(NOW - 3 * DAY))}"\nspec: {}\nstatus:\n  spiffeID: spiffe://cluster.local/ns/${namespace}/sa/${name}\n` +
    `  x509: {serialNumber: 4f01, notBefore: "${toRfc3339(seconds(NOW - 3660))}", notAfter: "${toRfc3339(seconds(NOW + DAY / 2))}", renewalTime: "${toRfc3339(seconds(NOW + DAY / 4))}", ttl: 24h0m0s, ttlReason: Requested, authorityKeyID: aa, secretName: ${name}-tls, revision: 7}\n` +
    `  jwt: {secretName: ${name}-jwt, tokens: []}\n  conditions:\n${condition("Ready")}${condition("X509Issued")}`
  );
}

const TRUST_DOMAIN_YAML = `apiVersion: meshid.dev/v1alpha1
kind: TrustDomain
metadata:
  name: cluster.local
spec: {}
status:
  authorities:
    - {kind: Root, keyID: aabbcc, state: Active, notBefore: "2026-11-01T00:00:00Z", notAfter: "2027-09-20T10:00:00Z", signedUntil: "2026-12-24T10:00:00Z", since: "2026-11-01T00:00:00Z"}
    - {kind: Root, keyID: ddeeff, state: Prepared, notBefore: "2026-11-24T00:00:00Z", notAfter: "2027-11-20T10:00:00Z", signedUntil: "2026-11-24T00:00:00Z", since: "2026-11-24T00:00:00Z", waitingFor: 2 consumers lack it, waitingUntil: "2026-11-24T12:00:00Z"}
  conditions:
    - {type: Ready, status: "True", reason: Issued, message: all is well, observedGeneration: 1, lastTransitionTime: "2026-11-01T00:00:00Z"}
    - {type: RotationInProgress, status: "True", reason: WaitingForConsumers, message: 2 lack it, observedGeneration: 1, lastTransitionTime: "2026-11-24T00:00:00Z"}
`;
