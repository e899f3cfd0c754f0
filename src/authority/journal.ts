/**
 * The journal as text: JSON that a person can read, with a checksum over what it means (white space and the order of
 * members do not count). Decoding refuses everything that encoding cannot have written.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { digest } from "../core/digest.ts";
import { messageOf, OperatorError, quoted } from "../core/errors.ts";
import { asRecord, parseStrictJson } from "../core/strict-json.ts";
import { JWT_ALGORITHMS } from "../jwt/jwt-svid.ts";
import { KEY_ALGORITHMS, type KeyId } from "../x509/keys.ts";
import type { CertificatePem } from "../x509/pem.ts";
import { findFault } from "./journal-rules.ts";
import {
  AUTHORITY_KINDS,
  type AuthorityKind,
  type CrossCertificate,
  type Journal,
  type Publication,
  SLOT_STATES,
  type Slot,
} from "./slot.ts";

/** In UTF-16 units: a journal of many slots has some 50,000. */
const MAX_LENGTH = 1_048_576;
const MAX_ENTRIES = 256;
const MAX_STRING = 65_536;

const VERSION = 1;
const CERTIFICATE = /^-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n$/;
const PUBLIC_KEY = /^-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+-----END PUBLIC KEY-----\n$/;

/** Ends with a line feed. The same journal gives the same text. */
export function encodeJournal(journal: Journal): string {
  return `${JSON.stringify({ ...plain(journal), checksum: checksumOf(journal) }, null, 2)}\n`;
}

/**
 * @throws JOURNAL_CORRUPT with `details.field`; JOURNAL_VERSION_UNSUPPORTED for a journal of a later meshid.
 */
export function decodeJournal(text: string): Journal {
  if (text.length > MAX_LENGTH) throw corrupt("journal", `has over ${MAX_LENGTH} characters`);
  const fields = asRecord(readJson(text));
  if (fields === undefined) throw corrupt("journal", "is not an object");
  const { version } = fields;
  if (typeof version === "number" && Number.isInteger(version) && version > VERSION) {
    throw new OperatorError(
      "JOURNAL_VERSION_UNSUPPORTED",
      `the journal has version ${version}, this meshid reads version ${VERSION}: run the version of meshid that wrote it, or a later one`,
      { details: { version } },
    );
  }
  if (version !== VERSION) throw corrupt("version", `is not ${VERSION}`);
  const journal = readJournal(fields);
  const fault = findFault(journal);
  if (fault !== undefined) throw corrupt(fault.field, fault.message);
  if (fields["checksum"] !== checksumOf(journal)) {
    throw corrupt("checksum", "does not fit the content: the file was cut, mixed up or edited by hand");
  }
  return journal;
}

/** @throws JOURNAL_FOREIGN when the journal is not of this trust domain and issuer. */
export function requireOwn(
  journal: Journal,
  own: { readonly trustDomain: string; readonly issuer: string },
): void {
  if (journal.trustDomain !== own.trustDomain) {
    throw new OperatorError(
      "JOURNAL_FOREIGN",
      `the journal is of trust domain ${journal.trustDomain}, not of ${own.trustDomain}: serve that trust domain, or give this one a state of its own`,
      { details: { found: journal.trustDomain, expected: own.trustDomain, field: "trustDomain" } },
    );
  }
  if (journal.issuer === own.issuer) return;
  throw new OperatorError(
    "JOURNAL_FOREIGN",
    `the journal is of the token issuer ${quoted(journal.issuer)}, and spec.jwt.issuer, which cannot change, is ${quoted(own.issuer)}: set it back`,
    { details: { found: journal.issuer, expected: own.issuer, field: "issuer" } },
  );
}

/** JOURNAL_CORRUPT that names the field and the way out. */
export function corrupt(field: string, message: string, cause?: unknown): OperatorError {
  return new OperatorError(
    "JOURNAL_CORRUPT",
    `the journal is damaged (${field} ${message}): put it, and the keys beside it, back from a backup (meshid restore); only where there is none, begin anew (meshid bootstrap --new-root)`,
    { details: { field }, ...(cause === undefined ? {} : { cause }) },
  );
}

function checksumOf(journal: Journal): string {
  return digest(JSON.stringify(plain(journal)));
}

/** The members in the order in which they are written, and no others. */
function plain(journal: Journal): Readonly<Record<string, unknown>> {
  const { version, trustDomain, issuer, epoch, takenOverAt, revision, savedAt, bundle, honoured } = journal;
  const { distrusted } = journal;
  const { sequence, hash, publishedAt, refreshHint, additionalRoots } = bundle;
  return {
    version,
    trustDomain,
    issuer,
    epoch,
    takenOverAt,
    revision,
    savedAt,
    bundle: { sequence, hash, publishedAt, refreshHint, additionalRoots },
    slots: journal.slots.map((slot) => ({
      kind: slot.kind,
      keyID: slot.keyID,
      state: slot.state,
      algorithm: slot.algorithm,
      notBefore: slot.notBefore,
      notAfter: slot.notAfter,
      signedUntil: slot.signedUntil,
      since: slot.since,
      observedAt: slot.observedAt,
      issuerKeyID: slot.issuerKeyID,
      external: slot.external,
      intermediates: slot.intermediates,
      crossCertificate: plainCross(slot.crossCertificate),
      publicKey: slot.publicKey,
      certificate: slot.certificate,
    })),
    honoured: Object.fromEntries(
      AUTHORITY_KINDS.flatMap((kind) => (honoured[kind] === undefined ? [] : [[kind, honoured[kind]]])),
    ),
    distrusted: distrusted?.map(({ kind, keyID, at }) => ({ kind, keyID, at })),
  };
}

function plainCross(cross: CrossCertificate | undefined): CrossCertificate | undefined {
  if (cross === undefined) return undefined;
  const { issuerKeyID, notAfter, certificate } = cross;
  return { issuerKeyID, notAfter, certificate };
}

function readJson(text: string): unknown {
  try {
    return parseStrictJson(text, "journal");
  } catch (error) {
    throw corrupt("journal", messageOf(error).replace(/^journal: |; expected .*$/g, ""), error);
  }
}

type Fields = Readonly<Record<string, unknown>>;

function readJournal(fields: Fields): Journal {
  onlyMembers(fields, "", [
    "version",
    "trustDomain",
    "issuer",
    "epoch",
    "takenOverAt",
    "revision",
    "savedAt",
    "bundle",
    "slots",
    "honoured",
    "distrusted",
    "checksum",
  ]);
  return {
    version: VERSION,
    trustDomain: text(fields["trustDomain"], "trustDomain"),
    issuer: text(fields["issuer"], "issuer"),
    epoch: count(fields["epoch"], "epoch"),
    takenOverAt: instant(fields["takenOverAt"], "takenOverAt"),
    revision: count(fields["revision"], "revision"),
    savedAt: instant(fields["savedAt"], "savedAt"),
    bundle: readPublication(record(fields["bundle"], "bundle")),
    slots: list(fields["slots"], "slots").map((slot, index) =>
      readSlot(record(slot, `slots[${index}]`), `slots[${index}]`),
    ),
    honoured: readHonoured(record(fields["honoured"], "honoured")),
    ...readDistrusted(fields["distrusted"]),
  };
}

function readPublication(fields: Fields): Publication {
  onlyMembers(fields, "bundle.", ["sequence", "hash", "publishedAt", "refreshHint", "additionalRoots"]);
  return {
    sequence: count(fields["sequence"], "bundle.sequence"),
    hash: match(fields["hash"], "bundle.hash", /^[0-9a-f]{64}$/),
    publishedAt: instant(fields["publishedAt"], "bundle.publishedAt"),
    refreshHint: seconds(count(fields["refreshHint"], "bundle.refreshHint")),
    additionalRoots: list(fields["additionalRoots"], "bundle.additionalRoots").map((root, index) =>
      certificate(root, `bundle.additionalRoots[${index}]`),
    ),
  };
}

function readSlot(fields: Fields, at: string): Slot {
  onlyMembers(fields, `${at}.`, [
    "kind",
    "keyID",
    "state",
    "algorithm",
    "notBefore",
    "notAfter",
    "signedUntil",
    "since",
    "observedAt",
    "issuerKeyID",
    "external",
    "intermediates",
    "crossCertificate",
    "publicKey",
    "certificate",
  ]);
  const kind = oneOf(fields["kind"], `${at}.kind`, AUTHORITY_KINDS);
  const algorithms = kind === "JWT" ? JWT_ALGORITHMS : KEY_ALGORITHMS;
  return {
    kind,
    keyID: keyID(fields["keyID"], `${at}.keyID`),
    state: oneOf(fields["state"], `${at}.state`, SLOT_STATES),
    algorithm: oneOf<Slot["algorithm"]>(fields["algorithm"], `${at}.algorithm`, algorithms),
    publicKey: match(fields["publicKey"], `${at}.publicKey`, PUBLIC_KEY),
    notBefore: instant(fields["notBefore"], `${at}.notBefore`),
    notAfter: instant(fields["notAfter"], `${at}.notAfter`),
    signedUntil: instant(fields["signedUntil"], `${at}.signedUntil`),
    since: instant(fields["since"], `${at}.since`),
    ...optional("observedAt", fields, at, instant),
    ...optional("issuerKeyID", fields, at, keyID),
    ...optional("certificate", fields, at, certificate),
    ...optional("external", fields, at, only),
    ...optional("intermediates", fields, at, certificates),
    ...optional("crossCertificate", fields, at, readCross),
  };
}

function readCross(value: unknown, at: string): CrossCertificate {
  const fields = record(value, at);
  onlyMembers(fields, `${at}.`, ["issuerKeyID", "notAfter", "certificate"]);
  return {
    issuerKeyID: keyID(fields["issuerKeyID"], `${at}.issuerKeyID`),
    notAfter: instant(fields["notAfter"], `${at}.notAfter`),
    certificate: certificate(fields["certificate"], `${at}.certificate`),
  };
}

function readDistrusted(value: unknown): Pick<Journal, "distrusted"> {
  if (value === undefined) return {};
  const distrusted = list(value, "distrusted").map((one, index) => {
    const at = `distrusted[${index}]`;
    const fields = record(one, at);
    onlyMembers(fields, `${at}.`, ["kind", "keyID", "at"]);
    return {
      kind: oneOf(fields["kind"], `${at}.kind`, AUTHORITY_KINDS),
      keyID: keyID(fields["keyID"], `${at}.keyID`),
      at: instant(fields["at"], `${at}.at`),
    };
  });
  return { distrusted };
}

function readHonoured(fields: Fields): Journal["honoured"] {
  onlyMembers(fields, "honoured.", AUTHORITY_KINDS);
  const honoured: Partial<Record<AuthorityKind, string>> = {};
  for (const kind of AUTHORITY_KINDS) {
    const value = fields[kind];
    if (value !== undefined) honoured[kind] = text(value, `honoured.${kind}`);
  }
  return honoured;
}

function optional<Name extends string, T>(
  name: Name,
  fields: Fields,
  at: string,
  read: (value: unknown, field: string) => T,
): Partial<Record<Name, T>> {
  const value = fields[name];
  if (value === undefined) return {};
  return { [name]: read(value, `${at}.${name}`) } as Partial<Record<Name, T>>;
}

function onlyMembers(fields: Fields, prefix: string, names: readonly string[]): void {
  const other = Object.keys(fields).find((name) => !names.includes(name));
  if (other !== undefined) throw corrupt(`${prefix}${quoted(other)}`, "is unknown");
}

function record(value: unknown, field: string): Fields {
  const fields = asRecord(value);
  if (fields === undefined) throw corrupt(field, "is not an object");
  return fields;
}

function list(value: unknown, field: string): readonly unknown[] {
  if (Array.isArray(value) && value.length <= MAX_ENTRIES) return value as readonly unknown[];
  throw corrupt(field, `is not an array of at most ${MAX_ENTRIES}`);
}

function text(value: unknown, field: string): string {
  if (typeof value === "string" && value.length <= MAX_STRING) return value;
  throw corrupt(field, "is not a string of fitting length");
}

function match(value: unknown, field: string, form: RegExp): string {
  const found = text(value, field);
  if (!form.test(found)) throw corrupt(field, "has the wrong form");
  return found;
}

function certificate(value: unknown, field: string): CertificatePem {
  return match(value, field, CERTIFICATE) as CertificatePem;
}

function certificates(value: unknown, field: string): readonly CertificatePem[] {
  return list(value, field).map((one, index) => certificate(one, `${field}[${index}]`));
}

function only(value: unknown, field: string): true {
  if (value === true) return value;
  throw corrupt(field, "is not true");
}

function keyID(value: unknown, field: string): KeyId {
  return match(value, field, /^[0-9a-f]{40}$/) as KeyId;
}

function count(value: unknown, field: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 1) return value;
  throw corrupt(field, "is not a whole number from 1");
}

function instant(value: unknown, field: string): Seconds {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return seconds(value);
  throw corrupt(field, "is not an instant in whole seconds");
}

function oneOf<T extends string>(value: unknown, field: string, known: readonly T[]): T {
  const found = known.find((each) => each === value);
  if (found === undefined) throw corrupt(field, `is not one of ${known.join(", ")}`);
  return found;
}
