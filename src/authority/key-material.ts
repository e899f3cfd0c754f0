/**
 * Makes the keys and certificates of slots, and checks those that were stored.
 */

import type { Seconds } from "../core/brand.ts";
import { messageOf, OperatorError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import type { JwtAlgorithm } from "../jwt/jwt-svid.ts";
import type { TrustDomain } from "../spiffe/trust-domain.ts";
import { type Certificate, parseCertificate } from "../x509/certificate.ts";
import {
  AUTHORITY_KEY_ALGORITHMS,
  encodePrivateKey,
  encodePublicKey,
  generateKey,
  type KeyAlgorithm,
  keyAlgorithmOf,
  keyIdOf,
  keysMatch,
  type PrivateKey,
  parsePrivateKey,
  parsePublicKey,
  publicKeyOf,
} from "../x509/keys.ts";
import { checkIssuedBy } from "../x509/path.ts";
import type { CertificatePem } from "../x509/pem.ts";
import { type Issuer, makeIssuer, signIssuing, signRoot } from "../x509/template.ts";
import { verifyAuthority } from "../x509/verify.ts";
import { checkCross } from "./cross.ts";
import { corrupt } from "./journal.ts";
import type { KeyStore } from "./ports.ts";
import { jwtAlgorithmOf } from "./published-content.ts";
import type { PrepareStep, SlotMaterial } from "./rotation-step.ts";
import type { Journal, Slot } from "./slot.ts";

/** The key that each token algorithm signs with. */
const JWT_KEYS = {
  ES256: "ECDSA-P256",
  ES384: "ECDSA-P384",
  RS256: "RSA-3072",
  PS256: "RSA-3072",
} as const satisfies Readonly<Record<JwtAlgorithm, KeyAlgorithm>>;

export interface MakeSlotContext {
  readonly trustDomain: TrustDomain;
  readonly random: Random;
  readonly now: Seconds;
  /** For an issuing certificate: its root. */
  readonly root?: Issuer;
}

export interface MadeSlot {
  readonly made: SlotMaterial;
  readonly key: PrivateKey;
}

/** Nothing is stored. @throws SIGNING_FAILED, also when what was signed does not pass its own check. */
export async function makeSlot(step: PrepareStep, context: MakeSlotContext): Promise<MadeSlot> {
  const key = await generateKey(keyAlgorithmFor(step));
  const publicKey = publicKeyOf(key);
  const made = { keyID: keyIdOf(publicKey), publicKey: encodePublicKey(publicKey) };
  if (step.kind === "JWT") return { made, key };
  const certificate = await certify(step, key, context);
  return { made: { ...made, certificate }, key };
}

/** @throws JOURNAL_CORRUPT when keys, certificates and what the journal says of them do not fit together. */
export function checkMaterial(journal: Journal, trustDomain: TrustDomain): void {
  const roots = new Map<string, Certificate>();
  for (const isRoot of [true, false]) {
    for (const [index, slot] of journal.slots.entries()) {
      if ((slot.kind === "Root") !== isRoot) continue;
      const certificate = readMaterial(slot, roots, trustDomain, `slots[${index}]`);
      if (isRoot && certificate !== undefined) roots.set(slot.keyID, certificate);
    }
  }
  checkCrosses(journal, roots, trustDomain);
}

/** The private key of a slot; undefined when the store has none, or another. @throws STORAGE_FAILED */
export async function findKey(keyStore: KeyStore, slot: Slot): Promise<PrivateKey | undefined> {
  const pem = await keyStore.get(slot.keyID);
  if (pem === undefined) return undefined;
  try {
    const key = parsePrivateKey(pem);
    return keysMatch(key, parsePublicKey(slot.publicKey)) ? key : undefined;
  } catch {
    // Unreadable is as good as gone; nothing of a key may travel with an error.
    return undefined;
  }
}

/** @throws AUTHORITY_NOT_READY naming the key when it is missing or another's. */
export async function requireKey(keyStore: KeyStore, slot: Slot): Promise<PrivateKey> {
  const key = await findKey(keyStore, slot);
  if (key !== undefined) return key;
  const { kind, keyID } = slot;
  throw new OperatorError(
    "AUTHORITY_NOT_READY",
    `the private key ${keyID} of the active ${kind} authority is missing or damaged: put it back from a backup (meshid restore)`,
    { details: { kind, keyID } },
  );
}

/** Durable when it returns. */
export async function storeKey(keyStore: KeyStore, { made, key }: MadeSlot): Promise<void> {
  await keyStore.put(made.keyID, encodePrivateKey(key));
}

/** `slots`: all of the journal; its root is among them. @throws AUTHORITY_NOT_READY */
export async function loadIssuer(keyStore: KeyStore, slot: Slot, slots: readonly Slot[]): Promise<Issuer> {
  const key = await requireKey(keyStore, slot);
  if (slot.certificate === undefined) throw new TypeError("loadIssuer: a JWT key signs no certificates");
  const root = slots.find(({ keyID }) => keyID === slot.issuerKeyID)?.certificate;
  const above = slot.external === true ? [...(slot.intermediates ?? []), root] : [];
  const parsed = above.filter((pem) => pem !== undefined).map((pem) => parseCertificate(pem));
  return makeIssuer(slot.certificate, key, parsed);
}

/** Its profile was checked when it was taken up, and what others make may differ from ours. */
function checkExternal(slot: Slot, certificate: Certificate, root: Certificate): void {
  const intermediates = (slot.intermediates ?? []).map((pem) => parseCertificate(pem));
  const path = [certificate, ...intermediates, root];
  for (const [index, each] of path.entries()) checkIssuedBy(each, path[index + 1] ?? root, "issuing");
  if (keyIdOf(certificate.publicKey) !== slot.keyID) throw new TypeError("the certificate holds another key");
  if (path.some(({ notAfter }) => notAfter < slot.notAfter))
    throw new TypeError("the slot outlives a certificate of its chain");
}

function keyAlgorithmFor({ kind, algorithm }: PrepareStep): KeyAlgorithm {
  if (kind === "JWT") return JWT_KEYS[jwtAlgorithmOf(algorithm)];
  const found = AUTHORITY_KEY_ALGORITHMS.find((each) => each === algorithm);
  if (found === undefined) throw new TypeError(`${algorithm} is no algorithm of authorities`);
  return found;
}

async function certify(
  step: PrepareStep,
  key: PrivateKey,
  context: MakeSlotContext,
): Promise<CertificatePem> {
  const { trustDomain, random, now, root } = context;
  const life = { trustDomain, notBefore: step.notBefore, notAfter: step.notAfter, random };
  const publicKey = publicKeyOf(key);
  const isRoot = step.kind === "Root";
  if (!isRoot && root === undefined) throw new TypeError("makeSlot: an issuing certificate needs its root");
  const pem =
    isRoot || root === undefined
      ? await signRoot({ ...life, key })
      : await signIssuing({ ...life, publicKey }, root);
  try {
    const certificate = parseCertificate(pem);
    const issuer = isRoot ? undefined : root?.certificate;
    verifyAuthority({
      certificate,
      ...(issuer === undefined ? {} : { issuer }),
      trustDomain,
      publicKey,
      now,
    });
    return pem;
  } catch (cause) {
    const message = `checking a new ${isRoot ? "root" : "issuing"} certificate: ${messageOf(cause)}`;
    throw new OperatorError("SIGNING_FAILED", message, { cause });
  }
}

function checkCrosses(
  { slots }: Journal,
  roots: ReadonlyMap<string, Certificate>,
  trustDomain: TrustDomain,
): void {
  for (const [index, { keyID, crossCertificate: cross }] of slots.entries()) {
    const root = roots.get(keyID);
    if (cross === undefined || root === undefined) continue;
    const isOurs = slots.some((slot) => slot.keyID === cross.issuerKeyID && slot.external !== true);
    try {
      checkCross(cross, { root, issuer: isOurs ? roots.get(cross.issuerKeyID) : undefined, trustDomain });
    } catch (cause) {
      throw corrupt(`slots[${index}].crossCertificate`, `does not hold together: ${messageOf(cause)}`, cause);
    }
  }
}

function readMaterial(
  slot: Slot,
  roots: ReadonlyMap<string, Certificate>,
  trustDomain: TrustDomain,
  field: string,
): Certificate | undefined {
  const { kind, keyID, algorithm } = slot;
  try {
    const publicKey = parsePublicKey(slot.publicKey);
    const expected = kind === "JWT" ? JWT_KEYS[jwtAlgorithmOf(algorithm)] : algorithm;
    if (keyIdOf(publicKey) !== keyID) throw corrupt(`${field}.publicKey`, "has another key ID");
    if (keyAlgorithmOf(publicKey) !== expected)
      throw corrupt(`${field}.publicKey`, `is no key for ${algorithm}`);
    if (slot.certificate === undefined) return undefined;
    const certificate = parseCertificate(slot.certificate);
    const issuer = slot.issuerKeyID === undefined ? certificate : roots.get(slot.issuerKeyID);
    if (issuer === undefined) throw corrupt(`${field}.issuerKeyID`, "names no root");
    if (slot.external === true) {
      checkExternal(slot, certificate, issuer);
      return certificate;
    }
    // Whether it is valid now is another question: at its end, it and its issuer were.
    verifyAuthority({ certificate, issuer, trustDomain, publicKey, now: slot.notAfter });
    if (certificate.notBefore !== slot.notBefore || certificate.notAfter !== slot.notAfter) {
      throw corrupt(`${field}.certificate`, "has another life than its slot");
    }
    return certificate;
  } catch (cause) {
    if (cause instanceof OperatorError && cause.code === "JOURNAL_CORRUPT") throw cause;
    throw corrupt(field, `does not hold together: ${messageOf(cause)}`, cause);
  }
}
