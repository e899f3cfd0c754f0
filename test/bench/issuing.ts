/** Leaf issuing and token signing, against Go's and jose's in the same run. */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { generateKeyPair, SignJWT } from "jose";
import { seconds } from "../../src/core/brand.ts";
import { systemClock } from "../../src/core/clock.ts";
import { systemRandom } from "../../src/core/random.ts";
import { signJwtSvid } from "../../src/jwt/jwt-svid.ts";
import { parseSpiffeId } from "../../src/spiffe/spiffe-id.ts";
import { parseTrustDomain } from "../../src/spiffe/trust-domain.ts";
import { encodeKey, generateKey, publicKeyOf } from "../../src/x509/keys.ts";
import { type LeafRequest, makeIssuer, signIssuing, signLeaf, signRoot } from "../../src/x509/template.ts";
import { verifyIssuedLeaf } from "../../src/x509/verify.ts";
import { buildGoBaseline } from "./go-baseline.ts";
import { atLeast, median, type Result, shown } from "./result.ts";

/** Many short rounds, each of every candidate: what the machine does meanwhile falls on all of them alike. */
const SLICE = 400;
const ROUNDS = 15;

/** Calls a second of processor time, all threads of this process counted (the collector's too). */
async function rate(call: () => Promise<unknown>): Promise<number> {
  const end = performance.now() + SLICE;
  const before = process.cpuUsage();
  let count = 0;
  while (performance.now() < end) {
    for (let batch = 0; batch < 50; batch++) await call();
    count += 50;
  }
  const { user, system } = process.cpuUsage(before);
  return count / ((user + system) / 1_000_000);
}

async function leafCalls(): Promise<{ sign: () => Promise<unknown>; signAndVerify: () => Promise<unknown> }> {
  const trustDomain = parseTrustDomain("cluster.local");
  const now = systemClock.now();
  const rootKey = await generateKey("ECDSA-P256");
  const life = { notBefore: seconds(now - 60), random: systemRandom, trustDomain };
  const root = makeIssuer(await signRoot({ ...life, key: rootKey, notAfter: seconds(now + 7200) }), rootKey);
  const issuingKey = await generateKey("ECDSA-P256");
  const issuingPem = await signIssuing(
    { ...life, publicKey: publicKeyOf(issuingKey), notAfter: seconds(now + 7000) },
    root,
  );
  const issuer = makeIssuer(issuingPem, issuingKey);
  // Generated and encoded apart, as `controller/x509-issuance.ts` does: the public key comes with the PEM of the private one.
  const key = await generateKey("ECDSA-P256");
  const request: LeafRequest = {
    spiffeId: parseSpiffeId("spiffe://cluster.local/ns/shop/sa/payments"),
    dnsNames: ["payments.shop.svc", "payments.shop.svc.cluster.local"],
    publicKey: publicKeyOf(key),
    spki: encodeKey(key).spki,
    notBefore: seconds(now - 60),
    notAfter: seconds(now + 3600),
    random: systemRandom,
  };
  return {
    sign: () => signLeaf(request, issuer),
    signAndVerify: async () => verifyIssuedLeaf(await signLeaf(request, issuer), request, issuer),
  };
}

async function leafResults(): Promise<readonly Result[]> {
  const { sign, signAndVerify } = await leafCalls();
  await using go = await buildGoBaseline();
  await rate(signAndVerify);
  const rows = { plain: [] as number[], verified: [] as number[], go: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    rows.plain.push(await rate(sign));
    rows.verified.push(await rate(signAndVerify));
    if (go !== undefined) rows.go.push(await go.measure(SLICE));
  }
  const [plain, verified] = [median(rows.plain), median(rows.verified)];
  const openssl = await opensslRate();
  const results = [
    shown(
      "leaf certificates a second and core, signed; the key generated and encoded apart",
      plain.toFixed(0),
    ),
    shown("… signed and verified", verified.toFixed(0)),
    ...(openssl === undefined
      ? []
      : [shown("… as a share of `openssl speed ecdsap256` signatures", (plain / openssl).toFixed(2))]),
  ];
  if (go === undefined)
    return [...results, shown("ratio to Go's x509.CreateCertificate", "go is not installed")];
  const ratio = (values: readonly number[]): number =>
    median(values.map((value, index) => value / (rows.go[index] ?? 1)));
  return [
    ...results,
    shown(`Go's x509.CreateCertificate (${go.version.split(" ")[2]})`, median(rows.go).toFixed(0)),
    atLeast("leaf issuing, verified, against Go's (which verifies too)", ratio(rows.verified), 0.75, " ×"),
    atLeast("leaf issuing without verification against Go's", ratio(rows.plain), 2, " ×"),
  ];
}

async function opensslRate(): Promise<number | undefined> {
  const speed = await promisify(execFile)("openssl", ["speed", "-seconds", "1", "-mr", "ecdsap256"]).catch(
    () => undefined,
  );
  const [, signatures] = /\+F\d+:\d+:256:([0-9.]+):/.exec(speed?.stdout ?? "") ?? [];
  return signatures === undefined ? undefined : Number(signatures);
}

async function tokenResults(): Promise<readonly Result[]> {
  const key = await generateKey("ECDSA-P256");
  const now = systemClock.now();
  const template = {
    spiffeId: parseSpiffeId("spiffe://cluster.local/ns/shop/sa/payments"),
    audience: "orders.shop",
    issuer: "https://meshid.meshid-system.svc",
    issuedAt: now,
    notBefore: seconds(now - 60),
    expiresAt: seconds(now + 3600),
    jti: systemRandom.uuid(),
  };
  const ours = (): Promise<unknown> => signJwtSvid(template, { keyID: "k", algorithm: "ES256", key });
  const { privateKey } = await generateKeyPair("ES256");
  const theirs = (): Promise<unknown> =>
    new SignJWT({ jti: template.jti })
      .setProtectedHeader({ alg: "ES256", kid: "k", typ: "JWT" })
      .setIssuer(template.issuer)
      .setSubject(template.spiffeId)
      .setAudience([template.audience])
      .setIssuedAt(now)
      .setNotBefore(template.notBefore)
      .setExpirationTime(template.expiresAt)
      .sign(privateKey);
  await rate(ours);
  await rate(theirs);
  const pairs: [number, number][] = [];
  for (let round = 0; round < ROUNDS; round++) pairs.push([await rate(ours), await rate(theirs)]);
  return [
    shown("JWT-SVIDs a second and core, signed", median(pairs.map(([mine]) => mine)).toFixed(0)),
    atLeast(
      "token signing against jose's SignJWT",
      median(pairs.map(([mine, other]) => mine / other)),
      2,
      " ×",
    ),
  ];
}

export async function issuingResults(): Promise<readonly Result[]> {
  return [...(await leafResults()), ...(await tokenResults())];
}
