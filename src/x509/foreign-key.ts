/**
 * Private keys as other tools write them: PKCS#8, PKCS#1 or SEC1.
 */

import { sign, verify } from "node:crypto";
import { invalidInput } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import { type PrivateKey, type PublicKey, parsePrivateKey, publicKeyOf, samePublicKey } from "./keys.ts";
import { encodePem, parsePem } from "./pem.ts";

const LABELS: readonly string[] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
const EXPECTED = "one private key in PEM (PKCS#8, PKCS#1 or SEC1), not encrypted";

/** 16 KiB: an RSA-4096 key takes 3.3. */
const MAX_KEY_LENGTH = 16_384;

/** @throws INVALID_INPUT naming `field`; the message never holds any of the key. */
export function readForeignKey(pem: Secret, field: string): PrivateKey {
  const text = pem.reveal();
  if (text.trim() === "") throw invalidInput(field, "is empty", EXPECTED);
  if (text.length > MAX_KEY_LENGTH) {
    throw invalidInput(field, `has ${text.length} characters`, `at most ${MAX_KEY_LENGTH}`);
  }
  if (/ENCRYPTED/.test(text)) throw invalidInput(field, "the key is encrypted with a passphrase", EXPECTED);
  // `openssl ecparam -genkey` writes the name of the curve in a block of its own before the key, which names it again.
  const blocks = parsePem(text, field).filter(({ label }) => label !== "EC PARAMETERS");
  const [block, ...others] = blocks;
  if (block === undefined) throw invalidInput(field, "holds no key", EXPECTED);
  if (others.length > 0) throw invalidInput(field, `holds ${blocks.length} PEM blocks`, EXPECTED);
  if (!LABELS.includes(block.label)) {
    throw invalidInput(field, `holds a PEM block of the kind "${block.label}"`, EXPECTED);
  }
  return parsePrivateKey(new Secret(encodePem(block.der, block.label)), field);
}

/** Whether what the private key signs holds under the public key: a key file can name another public key than its own. */
export function signsFor(privateKey: PrivateKey, publicKey: PublicKey): boolean {
  if (!samePublicKey(publicKeyOf(privateKey), publicKey)) return false;
  const message = Buffer.from("meshid: do these two keys belong together?");
  try {
    const hash = publicKey.asymmetricKeyType === "ed25519" ? null : "sha256";
    return verify(hash, message, publicKey, sign(hash, message, privateKey));
  } catch {
    // A key whose parts do not fit together cannot sign; nothing of it may travel with an error.
    return false;
  }
}
