/**
 * A backup as text: JSON that a person can look into, with a checksum over what it means. With a password its keys are
 * encrypted (PKCS#8, as openssl reads it), and in place of the checksum stands a seal that only the password can make: such
 * a file may lie where others write. Decoding refuses everything that encoding cannot have written.
 */

import { branded, type Seconds } from "../core/brand.ts";
import { parseRfc3339, toRfc3339 } from "../core/clock.ts";
import { digest } from "../core/digest.ts";
import { isOperatorError, messageOf, OperatorError, quoted } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import { isSameSeal, sealOf } from "../core/seal.ts";
import { Secret } from "../core/secret.ts";
import { asRecord, parseStrictJson } from "../core/strict-json.ts";
import { encodePrivateKey, type KeyId, type PrivateKey, parsePrivateKey } from "../x509/keys.ts";
import { decryptPrivateKey, encryptPrivateKey } from "../x509/pbes2.ts";
import { type Backup, checkBackup } from "./backup.ts";
import { decodeJournal } from "./journal.ts";

const FORMAT = "meshid-backup";
const VERSION = 1;
const SALT_BYTES = 16;
const MAX_KEYS = 256;
const MEMBERS = [
  "format",
  "version",
  "trustDomain",
  "createdAt",
  "madeBy",
  "journal",
  "keys",
  "records",
  "salt",
  "checksum",
] as const;
/** Of STATE; nothing else may be written by a restore. */
export const RECORD_FILES = ["holders.json", "objects.json"] as const;

/** The file's members, checked for their form alone. */
interface Content {
  readonly trustDomain: string;
  readonly createdAt: string;
  readonly madeBy: string;
  readonly journal: string;
  readonly keys: readonly { readonly keyID: string; readonly privateKey: string }[];
  readonly records: Readonly<Record<string, string>>;
  /** Hex; only with a password. */
  readonly salt?: string;
}

/** Ends with a line feed. Takes some 0.1 s a key with a password. */
export function encodeBackup(backup: Backup, random: Random, password?: Secret): Secret {
  const { journal, journalText, createdAt, madeBy, keys, records } = backup;
  const content: Content = {
    trustDomain: journal.trustDomain,
    createdAt: toRfc3339(createdAt),
    madeBy,
    journal: journalText,
    keys: [...keys].map(([keyID, key]) => ({
      keyID,
      privateKey:
        password === undefined
          ? key.reveal()
          : encryptPrivateKey(parsePrivateKey(key, keyID), password, random),
    })),
    records,
    ...(password === undefined ? {} : { salt: Buffer.from(random.bytes(SALT_BYTES)).toString("hex") }),
  };
  const checksum = checksumOf(content, password);
  return new Secret(`${JSON.stringify({ ...plain(content), checksum }, null, 2)}\n`);
}

/**
 * @throws VERIFICATION_FAILED when it is no backup, damaged, changed, or does not fit together; INVALID_CONFIGURATION where
 * a password is missing or one too many; JOURNAL_VERSION_UNSUPPORTED for a journal of a later meshid.
 */
export function decodeBackup(text: string, password: Secret | undefined): Backup {
  const { checksum, ...content } = readContent(text);
  const isEncrypted = content.salt !== undefined;
  if (isEncrypted && password === undefined)
    throw new OperatorError(
      "INVALID_CONFIGURATION",
      "--password-file: is missing; expected the password that the backup was made with",
    );
  // Who can put a file where the backup lay could put one without a password there.
  if (!isEncrypted && password !== undefined)
    throw refused(
      "has no password, although --password-file was given: it is not the file that was saved with one",
    );
  if (!isSameSeal(checksum, checksumOf(content, password)))
    throw refused(
      isEncrypted
        ? "was made with another password, or was changed since"
        : "does not have the checksum that it names: it was cut, mixed up or changed",
    );
  return readBackup(content, password);
}

function checksumOf(content: Content, password: Secret | undefined): string {
  const text = JSON.stringify(plain(content));
  if (password === undefined || content.salt === undefined) return digest(text);
  return sealOf(text, password, Buffer.from(content.salt, "hex"));
}

/** The members in the order in which they are written, and no others. */
function plain(content: Content): Readonly<Record<string, unknown>> {
  const { trustDomain, createdAt, madeBy, journal, keys, records, salt } = content;
  return {
    format: FORMAT,
    version: VERSION,
    trustDomain,
    createdAt,
    madeBy,
    journal,
    keys: keys.map(({ keyID, privateKey }) => ({ keyID, privateKey })),
    records: Object.fromEntries(
      RECORD_FILES.flatMap((name) => (records[name] === undefined ? [] : [[name, records[name]]])),
    ),
    ...(salt === undefined ? {} : { salt }),
  };
}

function readContent(text: string): Content & { readonly checksum: string } {
  const fields = asRecord(readJson(text));
  if (fields?.["format"] !== FORMAT) throw refused("is not a file that meshid backup has written");
  const { version, salt } = fields;
  if (version !== VERSION)
    throw refused(
      `has version ${quoted(String(version))}, and this meshid reads ${VERSION}: use a later one`,
    );
  const other = Object.keys(fields).find((name) => !MEMBERS.some((each) => each === name));
  if (other !== undefined) throw refused(`has an unknown member ${quoted(other)}`);
  return {
    trustDomain: textIn(fields, "trustDomain"),
    createdAt: textIn(fields, "createdAt"),
    madeBy: textIn(fields, "madeBy"),
    journal: textIn(fields, "journal"),
    keys: readKeys(fields["keys"]),
    records: readRecords(fields["records"]),
    ...(salt === undefined ? {} : { salt: saltIn(fields) }),
    checksum: textIn(fields, "checksum"),
  };
}

function readKeys(value: unknown): Content["keys"] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [];
  if (list.length === 0 || list.length > MAX_KEYS) throw refused(`does not have 1 to ${MAX_KEYS} keys`);
  return list.map((each) => {
    const fields = asRecord(each) ?? {};
    if (Object.keys(fields).length !== 2)
      throw refused("has a key with other members than keyID and privateKey");
    return { keyID: textIn(fields, "keyID"), privateKey: textIn(fields, "privateKey") };
  });
}

function readRecords(value: unknown): Content["records"] {
  const fields = asRecord(value);
  if (fields === undefined) throw refused("has no records");
  const other = Object.keys(fields).find((name) => !RECORD_FILES.some((each) => each === name));
  if (other !== undefined) throw refused(`has an unknown record ${quoted(other)}`);
  return Object.fromEntries(Object.keys(fields).map((name) => [name, textIn(fields, name)]));
}

function readBackup(content: Content, password: Secret | undefined): Backup {
  const createdAt: Seconds | undefined = parseRfc3339(content.createdAt);
  if (createdAt === undefined) throw refused("has no time of its making");
  const journal = readJournal(content.journal);
  if (journal.trustDomain !== content.trustDomain)
    throw refused(`is of ${quoted(content.trustDomain)}, and its journal of ${journal.trustDomain}`);
  const keys = new Map<KeyId, Secret>();
  for (const { keyID, privateKey } of content.keys) {
    const id = branded<KeyId>(keyID);
    if (keys.has(id)) throw refused(`holds a key ${quoted(keyID)} twice`);
    keys.set(id, readKey(keyID, privateKey, password));
  }
  const { madeBy, records } = content;
  const backup: Backup = { createdAt, madeBy, journal, journalText: content.journal, keys, records };
  checkBackup(backup);
  return backup;
}

function readKey(keyID: string, pem: string, password: Secret | undefined): Secret {
  const key = password === undefined ? plainKey(pem) : decryptPrivateKey(pem, password);
  if (key === undefined) throw refused(`holds a key ${quoted(keyID)} that cannot be read`);
  return encodePrivateKey(key);
}

function plainKey(pem: string): PrivateKey | undefined {
  try {
    return parsePrivateKey(new Secret(pem));
  } catch {
    return undefined; // nothing of a key may travel with an error
  }
}

function readJournal(text: string): Backup["journal"] {
  try {
    return decodeJournal(text);
  } catch (cause) {
    if (!isOperatorError(cause, "JOURNAL_CORRUPT")) throw cause;
    const field = String(cause.details["field"]);
    throw new OperatorError("VERIFICATION_FAILED", `the journal in the backup is damaged (${field})`, {
      cause,
    });
  }
}

function readJson(text: string): unknown {
  try {
    return parseStrictJson(text, "the backup");
  } catch (cause) {
    throw new OperatorError("VERIFICATION_FAILED", messageOf(cause), { cause });
  }
}

function textIn(fields: Readonly<Record<string, unknown>>, name: string): string {
  const value = fields[name];
  if (typeof value === "string") return value;
  throw refused(`lacks the member ${name}`);
}

function saltIn(fields: Readonly<Record<string, unknown>>): string {
  const salt = textIn(fields, "salt");
  if (/^[0-9a-f]{32}$/.test(salt)) return salt;
  throw refused("has a salt that none is");
}

function refused(message: string): OperatorError {
  return new OperatorError("VERIFICATION_FAILED", `the backup ${message}`);
}
