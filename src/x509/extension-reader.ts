/**
 * The extensions of a certificate that decide what it may be used for (RFC 5280 §4.2.1).
 */

import { branded } from "../core/brand.ts";
import { contextTag, DerCursor, TAG } from "./der.ts";
import { EXTENSION_OID, KEY_USAGES, type KeyUsage } from "./extensions.ts";
import { ipText } from "./ip-address.ts";
import type { KeyId } from "./keys.ts";

/** More extensions, or names in one, are refused. */
const MAX_EXTENSIONS = 64;
const MAX_NAMES = 1024;

export interface ExtensionFields {
  /** All URI SANs, as they stand. */
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  /** SANs of other kinds (mail addresses, directory names …). */
  readonly otherNames: number;
  readonly sanCritical: boolean;
  readonly basicConstraintsCritical: boolean;
  readonly isCA: boolean;
  /** Undefined: no limit. */
  readonly pathLength: number | undefined;
  /** Undefined: there is no such extension, which RFC 5280 takes for "anything". */
  readonly keyUsage: ReadonlySet<KeyUsage> | undefined;
  readonly keyUsageCritical: boolean;
  /** Object identifiers; undefined: there is no such extension. */
  readonly extKeyUsage: readonly string[] | undefined;
  /** Lower-case hex of whatever length; 40 digits for a certificate of meshid. */
  readonly subjectKeyID: KeyId | undefined;
  readonly authorityKeyID: KeyId | undefined;
  /** Hex as in `serialNumber`: of the very certificate that the issuer had; most leave it out. */
  readonly authoritySerial: string | undefined;
  /** DER of the extension's value, for `name-constraints.ts` to read. */
  readonly nameConstraints: Uint8Array | undefined;
  /** Critical extensions that meshid does not know: RFC 5280 §4.2 demands refusal. */
  readonly unknownCritical: readonly string[];
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Reads `[3]`; without it every field is empty. @throws INVALID_INPUT, also for an extension that occurs twice. */
export function readExtensions(cursor: DerCursor, version: number): ExtensionFields {
  const fields: Mutable<ExtensionFields> = {
    uris: [],
    dnsNames: [],
    ipAddresses: [],
    otherNames: 0,
    sanCritical: false,
    basicConstraintsCritical: false,
    isCA: false,
    pathLength: undefined,
    keyUsage: undefined,
    keyUsageCritical: false,
    extKeyUsage: undefined,
    subjectKeyID: undefined,
    authorityKeyID: undefined,
    authoritySerial: undefined,
    nameConstraints: undefined,
    unknownCritical: [],
  };
  if (cursor.tag !== contextTag(3)) return fields;
  if (version !== 3) throw cursor.fault(`has extensions in version ${version}`, "X.509 version 3");
  const holder = cursor.enter(contextTag(3), "extensions");
  const list = holder.enter(TAG.sequence, "extensions");
  holder.end("extensions");
  const seen = new Set<string>();
  do {
    const entry = list.enter(TAG.sequence, "extension");
    const id = entry.oid("extension");
    if (seen.has(id)) throw list.fault(`has the extension ${id} twice`, "each extension once");
    if (seen.add(id).size > MAX_EXTENSIONS)
      throw list.fault("has too many extensions", `at most ${MAX_EXTENSIONS}`);
    const critical = entry.tag === TAG.boolean && readTrue(entry);
    const value = entry.enter(TAG.octetString, "extension value");
    entry.end("extension");
    readExtension(fields, id, critical, value);
  } while (!list.done);
  return fields;
}

/** DER leaves out the default FALSE. */
function readTrue(cursor: DerCursor): true {
  if (!cursor.boolean("critical flag")) throw cursor.fault("encodes a default", "strict DER");
  return true;
}

function readExtension(
  fields: Mutable<ExtensionFields>,
  id: string,
  critical: boolean,
  value: DerCursor,
): void {
  switch (id) {
    case EXTENSION_OID.subjectAltName:
      fields.sanCritical = critical;
      readNames(fields, value);
      break;
    case EXTENSION_OID.basicConstraints:
      fields.basicConstraintsCritical = critical;
      readBasicConstraints(fields, value);
      break;
    case EXTENSION_OID.keyUsage:
      fields.keyUsageCritical = critical;
      fields.keyUsage = readKeyUsage(value);
      break;
    case EXTENSION_OID.extKeyUsage:
      fields.extKeyUsage = readExtKeyUsage(value);
      break;
    case EXTENSION_OID.subjectKeyIdentifier:
      fields.subjectKeyID = hexOf(value.bytes(TAG.octetString, "subjectKeyIdentifier"));
      break;
    case EXTENSION_OID.authorityKeyIdentifier:
      readAuthorityKeyID(fields, value);
      break;
    case EXTENSION_OID.nameConstraints:
      fields.nameConstraints = value.any("nameConstraints");
      break;
    default:
      if (critical) fields.unknownCritical = [...fields.unknownCritical, id];
      return;
  }
  value.end("extension value");
}

function readNames(fields: Mutable<ExtensionFields>, value: DerCursor): void {
  const names = value.enter(TAG.sequence, "subjectAltName");
  const uris: string[] = [];
  const dnsNames: string[] = [];
  const ipAddresses: string[] = [];
  let count = 0;
  do {
    if (++count > MAX_NAMES) throw value.fault("has too many subjectAltNames", `at most ${MAX_NAMES}`);
    const tag = names.tag;
    if (tag === contextTag(6, true)) uris.push(readIa5(names, tag));
    else if (tag === contextTag(2, true)) dnsNames.push(readIa5(names, tag));
    else if (tag === contextTag(7, true)) ipAddresses.push(readIp(names, tag));
    else readOtherName(fields, names, tag);
  } while (!names.done);
  fields.uris = uris;
  fields.dnsNames = dnsNames;
  fields.ipAddresses = ipAddresses;
}

/** Printable ASCII: so no NUL, no line end and no second reading of a name. */
function readIa5(cursor: DerCursor, tag: number): string {
  const bytes = cursor.bytes(tag, "subjectAltName");
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  if (!/^[\x21-\x7e]+$/.test(text)) throw cursor.fault("has a name that is not printable ASCII", "IA5String");
  return text;
}

function readIp(cursor: DerCursor, tag: number): string {
  const text = ipText(cursor.bytes(tag, "iPAddress"));
  if (text === undefined) throw cursor.fault("has an iPAddress of a wrong length", "4 or 16 octets");
  return text;
}

/** otherName, rfc822Name, x400Address, directoryName, ediPartyName, registeredID: counted, not used. */
function readOtherName(fields: Mutable<ExtensionFields>, cursor: DerCursor, tag: number): void {
  const known = [0, 3, 4, 5]
    .map((number) => contextTag(number))
    .concat([1, 8].map((n) => contextTag(n, true)));
  if (!known.includes(tag)) throw cursor.fault("has a subjectAltName of unknown kind", "a GeneralName");
  cursor.bytes(tag, "subjectAltName");
  fields.otherNames += 1;
}

function readBasicConstraints(fields: Mutable<ExtensionFields>, value: DerCursor): void {
  const body = value.enter(TAG.sequence, "basicConstraints");
  fields.isCA = body.tag === TAG.boolean && readTrue(body);
  if (body.tag === TAG.integer) fields.pathLength = body.smallInteger("pathLenConstraint");
  if (fields.pathLength !== undefined && !fields.isCA) {
    throw body.fault("has a path length without cA", "pathLenConstraint on signing certificates only");
  }
  body.end("basicConstraints");
}

function readKeyUsage(value: DerCursor): ReadonlySet<KeyUsage> {
  const usages = value.namedBits("keyUsage").map((bit) => KEY_USAGES[bit]);
  const known = usages.filter((usage) => usage !== undefined);
  if (known.length !== usages.length || known.length === 0) {
    throw value.fault("has an empty or unknown key usage", "RFC 5280 section 4.2.1.3");
  }
  return new Set(known);
}

function readExtKeyUsage(value: DerCursor): readonly string[] {
  const list = value.enter(TAG.sequence, "extKeyUsage");
  const purposes: string[] = [];
  do {
    if (purposes.length >= MAX_EXTENSIONS)
      throw value.fault("has too many purposes", `at most ${MAX_EXTENSIONS}`);
    purposes.push(list.oid("extKeyUsage"));
  } while (!list.done);
  return purposes;
}

/** `[1]`, the issuer of the issuer, is passed over: chains are built on key identifiers and names. */
function readAuthorityKeyID(fields: Mutable<ExtensionFields>, value: DerCursor): void {
  const body = value.enter(TAG.sequence, "authorityKeyIdentifier");
  const [keyID, issuer, serial] = [contextTag(0, true), contextTag(1), contextTag(2, true)];
  if (body.tag === keyID) fields.authorityKeyID = hexOf(body.bytes(keyID, "keyIdentifier"));
  if (body.tag === issuer) body.bytes(issuer, "authorityCertIssuer");
  if (body.tag === serial) {
    fields.authoritySerial = hexOf(body.bytes(serial, "authorityCertSerialNumber")).replace(/^0+(?=.)/, "");
  }
  body.end("authorityKeyIdentifier");
}

function hexOf(bytes: Uint8Array): KeyId {
  return branded<KeyId>(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex"));
}
