/**
 * PKCS#12 files: a keystore for a key with its chain, a truststore for roots. AES-256-CBC under PBKDF2 with
 * HMAC-SHA256, MAC with SHA-256: what OpenSSL 3 and Java since 8u301 read by default. Java takes only ASCII passwords here.
 */

import { hash } from "node:crypto";
import { type Random, systemRandom } from "../core/random.ts";
import type { Secret } from "../core/secret.ts";
import {
  bmpString,
  context,
  contextBytes,
  type Der,
  integer,
  nullValue,
  octetString,
  oid,
  sequence,
  set,
  toBytes,
} from "./asn1.ts";
import type { PrivateKey } from "./keys.ts";
import { encryptPbes2 } from "./pbes2.ts";
import { encryptionKey, MAC_DIGESTS, macOf, PKCS12_OID } from "./pkcs12.ts";

/**
 * Of each of the three derivations: OpenSSL's number. The event loop waits for them (3 ms in all), and the password lies
 * beside the key it guards, so more would buy nothing.
 */
const ITERATIONS = 2048;
const SALT_BYTES = 16;

const SHA256_IDENTIFIER = sequence(oid(PKCS12_OID.sha256), nullValue());
const DATA = oid(PKCS12_OID.data);

export interface KeystoreContents {
  readonly key: PrivateKey;
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  readonly password: Secret;
  /** The alias of key and leaf; Java shows it in lower case. */
  readonly friendlyName: string;
  readonly random?: Random;
}

export interface TruststoreContents {
  /** DER. */
  readonly roots: readonly Uint8Array[];
  readonly password: Secret;
  readonly random?: Random;
}

/**
 * Tells a keystore's password from another one, for whoever wrote the keystore and does not read it back: eight hex digits,
 * no easier to guess from than the keystore itself.
 */
export function passwordCheck(password: Secret, salt: string): string {
  return encryptionKey(password, Buffer.from(salt), ITERATIONS, { length: 4, prf: "sha256" }).toString("hex");
}

/** One key entry with its chain. @throws TypeError when the chain is empty. */
export function encodePkcs12(contents: KeystoreContents): Uint8Array {
  const { key, chain, password, friendlyName, random = systemRandom } = contents;
  const [leaf] = chain;
  if (leaf === undefined) throw new TypeError("encodePkcs12: the chain is empty");
  const attributes = set(
    attribute(PKCS12_OID.friendlyName, bmpString(friendlyName)),
    attribute(PKCS12_OID.localKeyID, octetString(hash("sha256", leaf, "buffer").subarray(0, 20))),
  );
  const certificates = chain.map((der) => certBag(der, der === leaf ? attributes : undefined));
  const plain = key.export({ type: "pkcs8", format: "der" });
  const shrouded = encryptPbes2(plain, password, { iterations: ITERATIONS, random });
  const keyBag = bag(
    PKCS12_OID.shroudedKeyBag,
    sequence(shrouded.identifier, octetString(shrouded.content)),
    attributes,
  );
  const safe = sequence(
    encryptedContent(sequence(...certificates), password, random),
    sequence(DATA, context(0, octetString(sequence(keyBag)))),
  );
  return pfx(safe, password, random);
}

/** Trusted certificate entries, `root-<start of the SHA-256 of the certificate>` each. */
export function encodeTruststore({ roots, password, random = systemRandom }: TruststoreContents): Uint8Array {
  const bags = roots.map((der) =>
    certBag(
      der,
      set(
        attribute(PKCS12_OID.friendlyName, bmpString(`root-${hash("sha256", der, "hex").slice(0, 16)}`)),
        attribute(PKCS12_OID.javaTrustedKeyUsage, oid(PKCS12_OID.anyExtendedKeyUsage)),
      ),
    ),
  );
  return pfx(sequence(encryptedContent(sequence(...bags), password, random)), password, random);
}

function certBag(der: Uint8Array, attributes?: Der): Der {
  const content = sequence(oid(PKCS12_OID.x509Certificate), context(0, octetString(der)));
  return bag(PKCS12_OID.certBag, content, attributes);
}

function bag(type: string, content: Der, attributes?: Der): Der {
  return sequence(oid(type), context(0, content), ...(attributes === undefined ? [] : [attributes]));
}

function attribute(type: string, value: Der): Der {
  return sequence(oid(type), set(value));
}

function encryptedContent(content: Der, password: Secret, random: Random): Der {
  const sealed = encryptPbes2(toBytes(content), password, { iterations: ITERATIONS, random });
  const info = sequence(DATA, sealed.identifier, contextBytes(0, sealed.content));
  return sequence(oid(PKCS12_OID.encryptedData), context(0, sequence(integer(0), info)));
}

function pfx(safe: Der, password: Secret, random: Random): Uint8Array {
  const salt = random.bytes(SALT_BYTES);
  const mac = macOf(toBytes(safe), password, MAC_DIGESTS[PKCS12_OID.sha256], {
    salt,
    iterations: ITERATIONS,
  });
  return toBytes(
    sequence(
      integer(3),
      sequence(DATA, context(0, octetString(safe))),
      sequence(sequence(SHA256_IDENTIFIER, octetString(mac)), octetString(salt), integer(ITERATIONS)),
    ),
  );
}
