/**
 * What Secrets hold, judged by three readers: OpenSSL's command line, jose, and `meshid verify`.
 */

import { execFile } from "node:child_process";
import { createPublicKey, X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from "jose";
import { cli } from "./cli.ts";

const run = promisify(execFile);

export type Content = Readonly<Record<string, string>>;

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----\n?/g;

export function certificatesIn(pem: string | undefined): readonly string[] {
  return [...(pem ?? "").matchAll(CERTIFICATE)].map(([text]) => text);
}

export function leafOf(secret: Content): X509Certificate {
  return new X509Certificate(certificatesIn(secret["tls.crt"])[0] ?? "");
}

/** @throws Error with what a reader says against it. */
export async function verifyX509(secret: Content, spiffeId: string): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "meshid-credentials-"));
  try {
    const at = (name: string): string => join(dir, name);
    const [leaf = "", ...intermediates] = certificatesIn(secret["tls.crt"]);
    await writeFile(at("leaf.crt"), leaf);
    await writeFile(at("intermediates.crt"), intermediates.join(""));
    for (const name of ["tls.crt", "tls.key", "ca.crt"]) await writeFile(at(name), secret[name] ?? "");
    const chain = ["-CAfile", at("ca.crt"), "-untrusted", at("intermediates.crt"), at("leaf.crt")];
    await run("openssl", ["verify", "-x509_strict", "-purpose", "sslserver", ...chain]);
    const names = await run("openssl", ["x509", "-in", at("leaf.crt"), "-noout", "-ext", "subjectAltName"]);
    if (!names.stdout.includes(`URI:${spiffeId}`)) throw new Error(`openssl: ${names.stdout}`);
    const ofKey = await run("openssl", ["pkey", "-in", at("tls.key"), "-pubout"]);
    const ofLeaf = await run("openssl", ["x509", "-in", at("leaf.crt"), "-noout", "-pubkey"]);
    if (ofKey.stdout !== ofLeaf.stdout) throw new Error("openssl: the key is not that of the certificate");
    const [, trustDomain = ""] = /^spiffe:\/\/([^/]+)/.exec(spiffeId) ?? [];
    const demand = ["--trust-domain", trustDomain, "--spiffe-id", spiffeId, at("tls.crt")];
    await meshidVerify(["--bundle", at("ca.crt"), ...demand]);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** The claims. @throws Error with what a reader says against it. */
export async function verifyToken(
  secret: Content,
  key: string,
  expected: { readonly spiffeId: string; readonly audience: string; readonly issuer: string },
): Promise<Readonly<Record<string, unknown>>> {
  const { spiffeId: subject, audience, issuer } = expected;
  const token = secret[key] ?? "";
  const keys = createLocalJWKSet(JSON.parse(secret["jwks.json"] ?? "{}") as JSONWebKeySet);
  const { payload } = await jwtVerify(token, keys, { subject, audience, issuer, clockTolerance: 60 });
  const dir = await mkdtemp(join(tmpdir(), "meshid-credentials-"));
  try {
    const at = (name: string): string => join(dir, name);
    await writeFile(at("bundle.json"), secret["bundle.json"] ?? "");
    await writeFile(at("token.jwt"), token);
    const [, trustDomain = ""] = /^spiffe:\/\/([^/]+)/.exec(subject) ?? [];
    const demand = ["--trust-domain", trustDomain, "--spiffe-id", subject, "--audience", audience];
    await meshidVerify(["--bundle", at("bundle.json"), ...demand, at("token.jwt")]);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
  return payload;
}

async function meshidVerify(args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await cli(["verify", ...args], { now: Math.floor(Date.now() / 1000) });
  if (code !== 0) throw new Error(`meshid verify: ${stdout}${stderr}`);
}

/** The public key of a private one, to tell whether it was changed. */
export function publicKeyOf(secret: Content): string {
  return createPublicKey(secret["tls.key"] ?? "")
    .export({ type: "spki", format: "der" })
    .toString("base64");
}
