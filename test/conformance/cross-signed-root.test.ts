/**
 * A chain that ends in a cross certificate, judged by others: with the root before alone, with the new one alone, and with
 * both.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { seconds } from "../../src/core/brand.ts";
import { systemClock } from "../../src/core/clock.ts";
import { systemRandom } from "../../src/core/random.ts";
import { Secret } from "../../src/core/secret.ts";
import { parseCertificate } from "../../src/x509/certificate.ts";
import { encodePrivateKey, generateKey, type KeyAlgorithm, publicKeyOf } from "../../src/x509/keys.ts";
import { encodePkcs12, encodeTruststore } from "../../src/x509/keystore.ts";
import { splitPem } from "../../src/x509/pem.ts";
import { makeIssuer, signCross, signIssuing, signLeaf, signRoot } from "../../src/x509/template.ts";
import { verifyIssuedLeaf } from "../../src/x509/verify.ts";
import { has, leafRequest, requireOpenssl, run, TRUST_DOMAIN } from "../support/certificates.ts";
import { GoX509 } from "../support/go-x509.ts";
import { handshake } from "../support/tls-handshake.ts";

const DAY = 86_400;
const PASSWORD = new Secret("changeit");
const folder = mkdtempSync(join(tmpdir(), "meshid-cross-"));
const withGo = has("go", "version") ? it : it.skip;
const withJava = has("java", "-version") && has("javac", "-version") ? it : it.skip;

interface Rotated {
  readonly leaf: string;
  readonly key: string;
  readonly issuing: string;
  readonly cross: string;
  readonly former: string;
  readonly next: string;
  readonly keystore: Uint8Array;
}

/** As it stands after a rotation from a root with one algorithm to a root with another. */
async function rotated(formerAlgorithm: KeyAlgorithm, nextAlgorithm: KeyAlgorithm): Promise<Rotated> {
  const now = systemClock.now();
  const life = (days: number): Omit<Parameters<typeof signRoot>[0], "key"> => ({
    trustDomain: TRUST_DOMAIN,
    random: systemRandom,
    notBefore: seconds(now - 60),
    notAfter: seconds(now + days * DAY),
  });
  const formerKey = await generateKey(formerAlgorithm);
  const nextKey = await generateKey(nextAlgorithm);
  const issuingKey = await generateKey(nextAlgorithm);
  const leafKey = await generateKey("ECDSA-P256");
  const former = await signRoot({ ...life(5), key: formerKey });
  const next = await signRoot({ ...life(10), key: nextKey });
  const cross = await signCross({ ...life(5), root: parseCertificate(next) }, makeIssuer(former, formerKey));
  const root = makeIssuer(next, nextKey);
  const issuing = await signIssuing({ ...life(4), publicKey: publicKeyOf(issuingKey) }, root);
  const issuer = makeIssuer(issuing, issuingKey);
  const request = leafRequest(leafKey, {
    dnsNames: ["localhost"],
    notBefore: seconds(now - 60),
    notAfter: seconds(now + DAY),
  });
  const leaf = verifyIssuedLeaf(await signLeaf(request, issuer), request, issuer).pem();
  const keystore = encodePkcs12({
    key: leafKey,
    chain: splitPem(leaf + issuing + cross),
    password: PASSWORD,
    friendlyName: "meshid",
  });
  return { leaf, key: encodePrivateKey(leafKey).reveal(), issuing, cross, former, next, keystore };
}

const ALGORITHMS: readonly (readonly [KeyAlgorithm, KeyAlgorithm])[] = [
  ["ECDSA-P256", "ECDSA-P256"],
  ["ECDSA-P384", "RSA-3072"],
  ["RSA-3072", "ECDSA-P256"],
];
const CHAINS = new Map<string, Rotated>();

function chainOf(from: KeyAlgorithm, to: KeyAlgorithm): Rotated {
  const found = CHAINS.get(`${from} ${to}`);
  if (found === undefined) throw new TypeError("no such chain");
  return found;
}

/** What consumers trust, by what a person calls it. */
function bundles({ former, next }: Rotated): Readonly<Record<string, string>> {
  return { "the former root": former, "the new root": next, "both roots": former + next };
}

beforeAll(async () => {
  requireOpenssl();
  for (const [from, to] of ALGORITHMS) CHAINS.set(`${from} ${to}`, await rotated(from, to));
});

afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function opensslAccepts(leaf: string, between: string, roots: string): boolean {
  const files = ["-CAfile", file("ca", roots), "-untrusted", file("between", between), file("leaf", leaf)];
  try {
    for (const purpose of ["sslserver", "sslclient"])
      run("openssl", ["verify", "-x509_strict", "-purpose", purpose, ...files]);
    return true;
  } catch {
    return false;
  }
}

describe.each(ALGORITHMS)("a chain after a rotation from %s to %s", (from, to) => {
  it("passes OpenSSL's strict check with either root, and needs the cross certificate with the former", () => {
    const chain = chainOf(from, to);
    const { leaf, issuing, cross, former, next } = chain;
    for (const roots of Object.values(bundles(chain)))
      expect(opensslAccepts(leaf, issuing + cross, roots)).toBe(true);
    expect(opensslAccepts(leaf, issuing, former)).toBe(false);
    expect(opensslAccepts(leaf, issuing, next)).toBe(true);
  });

  it("completes TLS handshakes of Node, on both sides, with a peer that has either root", async () => {
    const chain = chainOf(from, to);
    const own = { cert: chain.leaf + chain.issuing + chain.cross, key: chain.key };
    for (const client of Object.values(bundles(chain))) {
      for (const server of Object.values(bundles(chain)))
        expect(await handshake({ ...own, ca: server }, { ...own, ca: client })).toBe("");
    }
    const bare = { ...own, cert: chain.leaf + chain.issuing };
    expect(await handshake({ ...bare, ca: chain.next }, { ...own, ca: chain.former })).not.toBe("");
    expect(await handshake({ ...own, ca: chain.former }, { ...bare, ca: chain.next })).not.toBe("");
  });
});

withGo("passes crypto/x509 with either root, and needs the cross certificate with the former", () => {
  const go = GoX509.build();
  try {
    for (const chain of CHAINS.values()) {
      const { leaf, issuing, cross, former } = chain;
      const chains = Object.values(bundles(chain)).map((roots) => ({
        leaf,
        intermediates: issuing + cross,
        roots,
      }));
      const bare = { leaf, intermediates: issuing, roots: former };
      const verdicts = go.verify([...chains, bare], systemClock.now());
      expect(verdicts.slice(0, -1)).toEqual(["", "", ""]);
      expect(verdicts.at(-1)).toContain("unknown authority");
    }
  } finally {
    go.remove();
  }
});

const JAVA = `
import java.io.*; import java.security.*; import java.security.cert.*; import javax.net.ssl.*;
public class Trust {
  public static void main(String[] args) throws Exception {
    char[] password = "changeit".toCharArray();
    KeyStore keys = KeyStore.getInstance("PKCS12"); keys.load(new FileInputStream(args[0]), password);
    java.security.cert.Certificate[] chain = keys.getCertificateChain("meshid");
    X509Certificate[] presented = new X509Certificate[chain.length];
    for (int i = 0; i < chain.length; i++) presented[i] = (X509Certificate) chain[i];
    for (int i = 1; i < args.length; i++) {
      KeyStore roots = KeyStore.getInstance("PKCS12"); roots.load(new FileInputStream(args[i]), password);
      TrustManagerFactory factory = TrustManagerFactory.getInstance("PKIX"); factory.init(roots);
      String verdict = "accepted";
      try { ((X509TrustManager) factory.getTrustManagers()[0]).checkServerTrusted(presented, "ECDHE_ECDSA");
      } catch (CertificateException e) { verdict = "refused"; }
      System.out.println(chain.length + " " + verdict);
    }
  }
}`;

withJava("is whole in a keystore, and passes Java's trust manager with either root", async () => {
  const program = file("Trust.java", JAVA);
  const chain = chainOf("ECDSA-P256", "ECDSA-P256");
  const stranger = (await rotated("ECDSA-P256", "ECDSA-P256")).former;
  const stores = [...Object.values(bundles(chain)), stranger].map((roots, index) =>
    file(`trust-${index}.p12`, encodeTruststore({ roots: splitPem(roots), password: PASSWORD })),
  );
  const output = run("java", [program, file("keystore.p12", chain.keystore), ...stores]);
  expect(output.trim().split("\n")).toEqual(["3 accepted", "3 accepted", "3 accepted", "3 refused"]);
});
