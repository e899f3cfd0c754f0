import { createPrivateKey } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { isOperatorError } from "../../../src/core/errors.ts";
import { Secret } from "../../../src/core/secret.ts";
import {
  context,
  type Der,
  integer,
  nullValue,
  octetString,
  oid,
  sequence,
  set,
  splice,
  toBytes,
} from "../../../src/x509/asn1.ts";
import { contextTag, DerCursor, TAG } from "../../../src/x509/der.ts";
import { generateKey, KEY_ALGORITHMS, type PrivateKey } from "../../../src/x509/keys.ts";
import { encodePkcs12, encodeTruststore } from "../../../src/x509/keystore.ts";
import { readPkcs12 } from "../../../src/x509/keystore-reader.ts";
import { MAC_DIGESTS, macOf } from "../../../src/x509/pkcs12.ts";
import { signLeaf } from "../../../src/x509/template.ts";
import { has, leafRequest, makePki, type Pki, requireOpenssl, run } from "../../support/certificates.ts";
import { refusalOf } from "../../support/errors.ts";

const PASSWORD = new Secret("changeit");
const OURS = "aes-256-cbc, PBKDF2 sha256, 2048 iterations";
const SHA256 = "2.16.840.1.101.3.4.2.1";
const folder = mkdtempSync(join(tmpdir(), "meshid-keystore-"));
const withJava = has("keytool", "-help") ? describe : describe.skip;

let pki: Pki;
let key: PrivateKey;
let chain: readonly Uint8Array[];
let keystore: Uint8Array;
let truststore: Uint8Array;

beforeAll(async () => {
  requireOpenssl();
  pki = await makePki();
  key = await generateKey("ECDSA-P256");
  chain = await chainFor(key);
  keystore = encodePkcs12({ key, chain, password: PASSWORD, friendlyName: "payments" });
  truststore = encodeTruststore({ roots: [pki.root.der, pki.issuing.der], password: PASSWORD });
});

afterAll(() => rmSync(folder, { recursive: true }));

async function chainFor(leafKey: PrivateKey): Promise<readonly Uint8Array[]> {
  return [(await signLeaf(leafRequest(leafKey), pki.issuer)).der, pki.issuing.der];
}

function file(name: string, content: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function opensslReads(store: Uint8Array, password: string, ...more: readonly string[]): string {
  return run("openssl", [
    "pkcs12",
    "-in",
    file("read.p12", store),
    "-passin",
    `pass:${password}`,
    "-nodes",
    ...more,
  ]);
}

function blocks(text: string, label: string): readonly string[] {
  return text.match(new RegExp(`-----BEGIN ${label}-----[^]*?-----END ${label}-----`, "g")) ?? [];
}

describe("encodePkcs12", () => {
  it.each(KEY_ALGORITHMS)("gives OpenSSL a key of %s and its chain back", async (algorithm) => {
    const own = await generateKey(algorithm);
    const store = encodePkcs12({
      key: own,
      chain: await chainFor(own),
      password: PASSWORD,
      friendlyName: "x",
    });
    const text = opensslReads(store, "changeit");
    const [pem = ""] = blocks(text, "PRIVATE KEY");
    expect(createPrivateKey(pem).equals(own)).toBe(true);
    expect(blocks(text, "CERTIFICATE")).toHaveLength(2);
    expect(text.match(/friendlyName: x/g)).toHaveLength(2);
  });

  it.each(["", " ", "pässwörd€", "🔑", "x".repeat(200)])(
    "takes the password %j as OpenSSL does",
    (password) => {
      const store = encodePkcs12({ key, chain, password: new Secret(password), friendlyName: "x" });
      expect(blocks(opensslReads(store, password), "PRIVATE KEY")).toHaveLength(1);
      expect(() => opensslReads(store, `${password}x`)).toThrow(/invalid password|verify error/i);
    },
  );

  it("uses AES-256, PBKDF2 and MAC with SHA-256, of which OpenSSL takes no exception", () => {
    const path = file("info.p12", keystore);
    const shell = `openssl pkcs12 -in '${path}' -passin pass:changeit -info -noout 2>&1`;
    const text = run("sh", ["-c", shell]);
    expect(text).toContain("MAC: sha256, Iteration 2048");
    expect(text.match(/PBES2, PBKDF2, AES-256-CBC, Iteration 2048, PRF hmacWithSHA256/g)).toHaveLength(2);
  });

  it("never makes the same file twice", () => {
    const again = encodePkcs12({ key, chain, password: PASSWORD, friendlyName: "payments" });
    expect(Buffer.compare(again, keystore)).not.toBe(0);
  });

  it("is a programming error without a certificate", () => {
    const contents = { key, chain: [], password: PASSWORD, friendlyName: "x" };
    expect(() => encodePkcs12(contents)).toThrow(TypeError);
  });
});

withJava("Java", () => {
  function keytool(store: Uint8Array): string {
    return run("keytool", ["-list", "-v", "-keystore", file("java.p12", store), "-storepass", "changeit"]);
  }

  it("finds a key entry with its chain in a keystore", () => {
    const text = keytool(keystore);
    expect(text).toContain("Alias name: payments");
    expect(text).toContain("Entry type: PrivateKeyEntry");
    expect(text).toContain("Certificate chain length: 2");
  });

  it("finds trusted entries in a truststore", () => {
    expect(keytool(truststore).match(/Entry type: trustedCertEntry/g)).toHaveLength(2);
  });
});

describe("readPkcs12", () => {
  it("says what a keystore holds and how it is protected, and keeps the key shut", () => {
    const found = readPkcs12(keystore, PASSWORD);
    expect(found).toMatchObject({
      keys: [{ friendlyName: "payments", encryption: OURS }],
      encryptions: [OURS, "none"],
      mac: "sha256, 2048 iterations",
    });
    expect(found.certificates.map((each) => [each.friendlyName, each.trusted])).toEqual([
      ["payments", false],
      [undefined, false],
    ]);
    expect(found.certificates.map((each) => Buffer.compare(each.der, chain[0] ?? each.der))).toContain(0);
    expect(Object.keys(found.keys[0] ?? {})).toEqual(["friendlyName", "encryption"]);
  });

  it("knows Java's mark of a trusted root", () => {
    const found = readPkcs12(truststore, PASSWORD);
    expect(found.certificates.map((each) => each.trusted)).toEqual([true, true]);
    expect(found.certificates.every((each) => /^root-[0-9a-f]{16}$/.test(each.friendlyName ?? ""))).toBe(
      true,
    );
  });

  it("reads what OpenSSL writes", () => {
    const pem = Buffer.from(key.export({ type: "pkcs8", format: "pem" }).toString() + pki.issuingPem);
    const out = join(folder, "openssl.p12");
    const args = [
      "-export",
      "-in",
      file("in.pem", pem),
      "-name",
      "theirs",
      "-nokeys",
      "-passout",
      "pass:changeit",
    ];
    run("openssl", ["pkcs12", ...args, "-out", out]);
    const store = Buffer.from(run("openssl", ["base64", "-in", out]), "base64");
    const found = readPkcs12(store, PASSWORD);
    expect(found.certificates.map((each) => Buffer.compare(each.der, pki.issuing.der))).toEqual([0]);
    expect(found.mac).toMatch(/^sha256, /);
  });

  it("names encryptions that it does not open", () => {
    const pem = Buffer.from(pki.issuingPem);
    const out = join(folder, "old.p12");
    const args = [
      "-export",
      "-in",
      file("old.pem", pem),
      "-nokeys",
      "-passout",
      "pass:changeit",
      "-macalg",
      "sha1",
    ];
    run("openssl", ["pkcs12", ...args, "-certpbe", "PBE-SHA1-3DES", "-out", out]);
    const store = Buffer.from(run("openssl", ["base64", "-in", out]), "base64");
    const found = readPkcs12(store, PASSWORD);
    expect([found.encryptions, found.certificates, found.mac.split(",")[0]]).toEqual([
      ["1.2.840.113549.1.12.1.3"],
      [],
      "sha1",
    ]);
  });

  it("refuses a wrong password and a changed file alike, before it opens anything", () => {
    expect(refusalOf(() => readPkcs12(keystore, new Secret("other")))).toBe("VERIFICATION_FAILED PKCS12-MAC");
    const changed = Buffer.from(keystore);
    changed[300] = (changed[300] ?? 0) ^ 1;
    expect(refusalOf(() => readPkcs12(changed, PASSWORD))).toBe("VERIFICATION_FAILED PKCS12-MAC");
  });

  it("does not spend hours on iterations that a file asks for", () => {
    const greedy = (iterations: number): string =>
      errorOf(() => readPkcs12(pfx(sequence(), { claimed: iterations }), PASSWORD));
    expect(greedy(1_000_001)).toContain("asks for 1000001 iterations");
    expect(greedy(0)).toContain("asks for 0 iterations");
    expect(greedy(1)).toBe("accepted");
  });

  it("refuses a name of half characters", () => {
    const name = sequence(oid("1.2.840.113549.1.9.20"), set(splice(Buffer.of(0x1e, 0x01, 0x41))));
    const bag = sequence(oid("1.2.840.113549.1.12.10.1.1"), context(0, sequence()), set(name));
    const content = sequence(oid("1.2.840.113549.1.7.1"), context(0, octetString(sequence(bag))));
    expect(errorOf(() => readPkcs12(pfx(sequence(content)), PASSWORD))).toContain("odd length");
  });

  it("refuses what has no MAC", () => {
    expect(errorOf(() => readPkcs12(pfx(sequence(), { mac: false }), PASSWORD))).toContain("has no MAC");
  });

  it("throws INVALID_INPUT or VERIFICATION_FAILED and nothing else on any bytes", () => {
    const edits = fc.array(fc.tuple(fc.nat(keystore.length - 1), fc.nat(255)), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(edits, fc.uint8Array({ maxLength: 60 }), (changes, other) => {
        const store = Buffer.from(keystore);
        for (const [at, value] of changes) store[at] = value;
        for (const bytes of [store, other]) errorOf(() => readPkcs12(bytes, PASSWORD));
      }),
      { numRuns: 150 },
    );
  });

  it("throws nothing else on any contents behind a right MAC", () => {
    const safe = contentsOf(keystore);
    const edits = fc.array(fc.tuple(fc.nat(safe.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 });
    let behind = 0;
    fc.assert(
      fc.property(edits, (changes) => {
        const changed = Buffer.from(safe);
        for (const [at, value] of changes) changed[at] = value;
        if (errorOf(() => readPkcs12(pfx(splice(changed)), PASSWORD)).startsWith("keystore: ")) behind++;
      }),
      { numRuns: 300 },
    );
    expect(behind).toBeGreaterThan(0);
  });
});

describe("macOf", () => {
  it("repeats salts of any length to whole blocks, as OpenSSL does with its own of 8 and 20 bytes", () => {
    const pem = file("mac.pem", Buffer.from(pki.issuingPem));
    for (const digest of ["sha1", "sha256", "sha384", "sha512"]) {
      const out = join(folder, "mac.p12");
      run("openssl", [
        "pkcs12",
        "-export",
        "-in",
        pem,
        "-nokeys",
        "-passout",
        "pass:x",
        "-macalg",
        digest,
        "-out",
        out,
      ]);
      const store = Buffer.from(run("openssl", ["base64", "-in", out]), "base64");
      expect(readPkcs12(store, new Secret("x")).mac.split(",")[0]).toBe(digest);
    }
  });

  it("depends on the password, the salt and the iterations", () => {
    const digest = MAC_DIGESTS[SHA256];
    const mac = (password: string, salt: string, iterations: number): string =>
      Buffer.from(
        macOf(Buffer.of(1), new Secret(password), digest, { salt: Buffer.from(salt), iterations }),
      ).toString("hex");
    const macs = [mac("a", "s", 1), mac("b", "s", 1), mac("a", "t", 1), mac("a", "s", 2)];
    expect(new Set(macs).size).toBe(4);
  });
});

/** A file around any contents, with a MAC that fits them. */
function pfx(safe: Der, options: { readonly claimed?: number; readonly mac?: boolean } = {}): Uint8Array {
  const { claimed = 1, mac = true } = options;
  const salt = Buffer.alloc(8, 1);
  const digest = macOf(toBytes(safe), PASSWORD, MAC_DIGESTS[SHA256], { salt, iterations: 1 });
  const info = sequence(sequence(oid(SHA256), nullValue()), octetString(digest));
  const content = sequence(oid("1.2.840.113549.1.7.1"), context(0, octetString(safe)));
  const macData = mac ? [sequence(info, octetString(salt), integer(claimed))] : [];
  return toBytes(sequence(integer(3), content, ...macData));
}

/** What the MAC covers. */
function contentsOf(store: Uint8Array): Uint8Array {
  const outer = new DerCursor(store, "test").enter(TAG.sequence, "PFX");
  outer.integer("version");
  const content = outer.enter(TAG.sequence, "content");
  content.oid("type");
  return content.enter(contextTag(0), "content").bytes(TAG.octetString, "content");
}

/** The message of our own errors; any other passes. */
function errorOf(act: () => unknown): string {
  try {
    act();
    return "accepted";
  } catch (error) {
    const ours = isOperatorError(error, "INVALID_INPUT") || isOperatorError(error, "VERIFICATION_FAILED");
    if (!ours) throw error;
    return error.message;
  }
}
