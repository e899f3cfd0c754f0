/**
 * Distinguished names for people to read. Whether two names are the same is decided on their DER, never on this text.
 */

import { DerCursor, TAG } from "./der.ts";

/** RFC 4519 short names; others are shown as numbers. */
const ATTRIBUTES: Readonly<Record<string, string>> = {
  "2.5.4.3": "CN",
  "2.5.4.5": "serialNumber",
  "2.5.4.6": "C",
  "2.5.4.7": "L",
  "2.5.4.8": "ST",
  "2.5.4.10": "O",
  "2.5.4.11": "OU",
  "0.9.2342.19200300.100.1.25": "DC",
};

const PLAIN = /^[\x20-\x7e]*$/;

/** The most attributes that a name may have. */
const MAX_ATTRIBUTES = 64;

/** `CN=…, O=…` in the order of the certificate; empty for an empty name. @throws INVALID_INPUT */
export function readName(der: Uint8Array, field: string): string {
  if (der.length === 2) return "";
  const name = new DerCursor(der, field).enter(TAG.sequence, "name");
  const parts: string[] = [];
  while (!name.done) {
    const relative = name.enter(TAG.set, "relative name");
    do {
      const attribute = relative.enter(TAG.sequence, "name attribute");
      const type = attribute.oid("name attribute type");
      parts.push(`${ATTRIBUTES[type] ?? type}=${readText(attribute)}`);
      attribute.end("name attribute");
      if (parts.length > MAX_ATTRIBUTES)
        throw name.fault("has a very long name", `${MAX_ATTRIBUTES} attributes`);
    } while (!relative.done);
  }
  return parts.join(", ");
}

/** DirectoryString or IA5String; what cannot be shown safely on a terminal comes as `?`. */
function readText(cursor: DerCursor): string {
  const tag = cursor.tag;
  switch (tag) {
    case TAG.utf8String:
    case TAG.printableString:
    case TAG.ia5String:
      return printable(decode(cursor.bytes(tag, "name text"), "utf8"));
    case TAG.t61String:
      return printable(decode(cursor.bytes(tag, "name text"), "latin1"));
    case TAG.bmpString: {
      const bytes = cursor.bytes(tag, "name text");
      if (bytes.length % 2 !== 0) throw cursor.fault("has a BMPString of odd length", "DER");
      return printable(decode(Buffer.from(bytes).swap16(), "utf16le"));
    }
    default:
      throw cursor.fault("has a name that is no text", "UTF8String or PrintableString");
  }
}

function decode(bytes: Uint8Array, encoding: BufferEncoding): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(encoding);
}

/** Control characters, line ends and changes of direction as `?`: fit for a terminal. */
export function printable(text: string): string {
  return PLAIN.test(text) ? text : text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?");
}
