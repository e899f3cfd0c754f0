import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { inspect } from "node:util";
import { beforeAll, describe, expect, it } from "@jest/globals";
import { calculateJwkThumbprint, exportJWK } from "jose";
import { Secret } from "../../../src/core/secret.ts";
import {
  encodeKey,
  encodePrivateKey,
  encodePublicKey,
  encodeSpki,
  generateKey,
  KEY_ALGORITHMS,
  keyAlgorithmOf,
  keyIdOf,
  keysMatch,
  type PrivateKey,
  parsePrivateKey,
  parsePublicKey,
  publicJwk,
  publicKeyOf,
} from "../../../src/x509/keys.ts";
import { run } from "../../support/certificates.ts";
import { refusalOf } from "../../support/errors.ts";

const P521 = generateKeyPairSync("ec", { namedCurve: "P-521" }).privateKey;

const keys = new Map<string, PrivateKey>();

beforeAll(async () => {
  for (const algorithm of KEY_ALGORITHMS) keys.set(algorithm, await generateKey(algorithm));
});

function keyOf(algorithm: string): PrivateKey {
  const key = keys.get(algorithm);
  if (key === undefined) throw new Error(`no key of ${algorithm}`);
  return key;
}

describe.each(KEY_ALGORITHMS)("a key of %s", (algorithm) => {
  it("is known again as that algorithm, private and public", () => {
    expect(keyAlgorithmOf(keyOf(algorithm))).toBe(algorithm);
    expect(keyAlgorithmOf(publicKeyOf(keyOf(algorithm)))).toBe(algorithm);
  });

  it("survives PKCS#8 and SubjectPublicKeyInfo in PEM", () => {
    const key = keyOf(algorithm);
    expect(parsePrivateKey(encodePrivateKey(key)).equals(key)).toBe(true);
    expect(parsePublicKey(encodePublicKey(publicKeyOf(key))).equals(publicKeyOf(key))).toBe(true);
  });

  it("is encoded as the engine itself encodes it", () => {
    const key = keyOf(algorithm);
    const engine: Buffer = publicKeyOf(key).export({ type: "spki", format: "der" });
    expect(Buffer.from(encodeSpki(key)).toString("hex")).toBe(engine.toString("hex"));
  });

  it("gives PEM and SubjectPublicKeyInfo together, as they are apart", async () => {
    const isSlow = algorithm.startsWith("RSA");
    const some = isSlow ? [] : await Promise.all(Array.from({ length: 300 }, () => generateKey(algorithm)));
    for (const key of [keyOf(algorithm), ...some]) {
      const { pem, spki } = encodeKey(key);
      expect(pem.reveal()).toBe(encodePrivateKey(key).reveal());
      expect(Buffer.from(spki).toString("hex")).toBe(Buffer.from(encodeSpki(key)).toString("hex"));
    }
  });

  it("has the key ID that OpenSSL's digest of its subjectPublicKey gives", () => {
    const spki: Buffer = publicKeyOf(keyOf(algorithm)).export({ type: "spki", format: "der" });
    const dump = run("openssl", ["asn1parse", "-inform", "DER"], spki);
    const [, offset, header] = /^ *(\d+):d=1 +hl=(\d+).*BIT STRING/m.exec(dump) ?? [];
    const content = spki.subarray(Number(offset) + Number(header) + 1);
    const digest = run("openssl", ["dgst", "-sha256", "-hex"], content).trim().split(" ").at(-1);
    expect(keyIdOf(keyOf(algorithm))).toBe(digest?.slice(0, 40));
  });

  it("has the JWK that jose makes of it, and nothing private in it", async () => {
    const publicKey = publicKeyOf(keyOf(algorithm));
    expect(publicJwk(keyOf(algorithm))).toEqual(await exportJWK(publicKey));
    expect(await calculateJwkThumbprint({ ...publicJwk(publicKey) })).toBeTruthy();
  });

  it("matches its own public key and no other", () => {
    const others = KEY_ALGORITHMS.filter((other) => keysMatch(keyOf(algorithm), publicKeyOf(keyOf(other))));
    expect(others).toEqual([algorithm]);
  });

  it("can be loaded right after it was compared with keys of other types and curves", () => {
    const pem = encodePrivateKey(keyOf(algorithm));
    for (const other of [...keys.values(), P521]) {
      expect(keysMatch(other, publicKeyOf(keyOf(algorithm)))).toBe(other === keyOf(algorithm));
      expect(parsePrivateKey(pem).type).toBe("private");
    }
  });
});

describe("keyAlgorithmOf", () => {
  it.each<[string, KeyObject]>([
    ["secp256k1", generateKeyPairSync("ec", { namedCurve: "secp256k1" }).publicKey],
    ["P-521", generateKeyPairSync("ec", { namedCurve: "P-521" }).publicKey],
    ["RSA-1024", generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey],
    ["Ed448", generateKeyPairSync("ed448").publicKey],
    ["X25519", generateKeyPairSync("x25519").publicKey],
  ])("does not know %s", (_name, key) => {
    expect(keyAlgorithmOf(key)).toBeUndefined();
  });
});

describe("parsePrivateKey", () => {
  it("says nothing of what it was given when that is no key", () => {
    const canary = "-----BEGIN PRIVATE KEY-----\nQ0FOQVJZ\n-----END PRIVATE KEY-----\n";
    let thrown: unknown;
    try {
      parsePrivateKey(new Secret(canary));
    } catch (error) {
      thrown = error;
    }
    expect(inspect(thrown, { depth: 10, showHidden: true })).not.toMatch(/Q0FOQVJZ|CANARY/);
    expect(refusalOf(() => parsePrivateKey(new Secret(canary)))).toBe("INVALID_INPUT privateKey");
  });

  it("refuses a key under a passphrase", () => {
    const options = { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" } as const;
    const pem = keyOf("ECDSA-P256").export(options).toString();
    expect(refusalOf(() => parsePrivateKey(new Secret(pem)))).toBe("INVALID_INPUT privateKey");
  });
});

describe("parsePublicKey", () => {
  it("refuses a private key, which the engine would take for a public one", () => {
    const pem = encodePrivateKey(keyOf("ECDSA-P256")).reveal();
    expect(createPublicKey(pem).type).toBe("public");
    expect(refusalOf(() => parsePublicKey(pem))).toBe("INVALID_INPUT publicKey");
  });

  it("refuses what is not a key", () => {
    const pem = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    expect(refusalOf(() => parsePublicKey(pem))).toBe("INVALID_INPUT publicKey");
  });
});

describe("encodeKey", () => {
  it("encodes the public key apart where PKCS#8 does not hold it", () => {
    const key = keyOf("ECDSA-P256");
    // OpenSSL leaves the point out on request (RFC 5915 §3: optional).
    const bare = run("openssl", ["ec", "-no_public"], key.export({ type: "sec1", format: "pem" }).toString());
    const parsed = parsePrivateKey(new Secret(run("openssl", ["pkcs8", "-topk8", "-nocrypt"], bare)));
    expect(Buffer.from(encodeKey(parsed).spki).equals(Buffer.from(encodeSpki(key)))).toBe(true);
  });
});
