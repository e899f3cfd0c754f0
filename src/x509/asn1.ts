/**
 * Typed builders over node-forge's ASN.1 writer. Each takes and gives finished DER, so that what never changes is
 * encoded once and spliced into every certificate after that. Nothing here reads.
 */

import forge from "node-forge/lib/asn1.js";
import { type Brand, branded, type Seconds } from "../core/brand.ts";
import { toDate } from "../core/clock.ts";
import { contextTag, TAG } from "./der.ts";

/** One or more whole DER elements, one character a byte: the form node-forge works in. */
export type Der = Brand<string, "Der">;

/** 2050-01-01T00:00:00Z: from here on GeneralizedTime (RFC 5280 §4.1.2.5). */
const GENERALIZED_FROM = 2_524_608_000;
/** 1950-01-01T00:00:00Z and 9999-12-31T23:59:59Z: what a certificate can say. */
const EARLIEST = -631_152_000;
const LATEST = 253_402_300_799;

const PRINTABLE = /^[A-Za-z0-9 '()+,./:=?-]*$/;
const IA5 = /^[\x20-\x7e]*$/;

/** For bytes that are DER already. */
export function splice(der: Uint8Array): Der {
  return branded<Der>(toBinary(der));
}

/** Several elements, one after the other. */
export function join(...elements: readonly Der[]): Der {
  return branded<Der>(elements.join(""));
}

export function toBytes(der: Der): Buffer {
  return Buffer.from(der, "latin1");
}

/** An element of any tag around `content`: DER of the members, or raw contents. */
export function element(tag: number, content: string): Der {
  // The writer sets the constructed bit only when it encodes the members itself, so here it is part of the number.
  return branded<Der>(forge.toDer(forge.create(tag & 0xc0, tag & 0x3f, false, content)).getBytes());
}

export function sequence(...members: readonly Der[]): Der {
  return element(TAG.sequence, members.join(""));
}

/** DER orders the members of a SET by their encoding (X.690 §11.6). */
export function set(...members: readonly Der[]): Der {
  return element(TAG.set, [...members].sort().join(""));
}

/** `[number] EXPLICIT`, or IMPLICIT of a constructed type when `content` is its members. */
export function context(number: number, ...content: readonly Der[]): Der {
  return element(contextTag(number), content.join(""));
}

/** `[number] IMPLICIT` of a primitive type. */
export function contextBytes(number: number, content: Uint8Array | string): Der {
  return element(contextTag(number, true), typeof content === "string" ? content : toBinary(content));
}

export function boolean(value: boolean): Der {
  return element(TAG.boolean, value ? "\xff" : "\x00");
}

/** 0 … 2^31 − 1. */
export function integer(value: number): Der {
  return element(TAG.integer, forge.integerToDer(value).getBytes());
}

/** A positive integer from its big-endian bytes, of which the first is 0x01 … 0x7f. */
export function integerBytes(value: Uint8Array): Der {
  const first = value[0] ?? 0;
  if (first === 0 || first > 0x7f) throw new TypeError("integerBytes: expected a first byte of 0x01 … 0x7f");
  return element(TAG.integer, toBinary(value));
}

export function oid(dotted: string): Der {
  return element(TAG.oid, forge.oidToDer(dotted).getBytes());
}

export function nullValue(): Der {
  return element(TAG.null, "");
}

export function octetString(content: Uint8Array | Der): Der {
  return element(TAG.octetString, typeof content === "string" ? content : toBinary(content));
}

/** Of whole bytes. */
export function bitString(content: Uint8Array | Der): Der {
  return element(TAG.bitString, `\x00${typeof content === "string" ? content : toBinary(content)}`);
}

/** A named bit list: the numbers of the bits to set, without trailing zero bits (X.690 §11.2.2). */
export function namedBits(bits: readonly number[]): Der {
  const last = Math.max(...bits);
  const bytes = Buffer.alloc((last >> 3) + 1);
  for (const bit of bits) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return element(TAG.bitString, String.fromCharCode(7 - (last & 7)) + toBinary(bytes));
}

export function utf8String(text: string): Der {
  return element(TAG.utf8String, toBinary(Buffer.from(text, "utf8")));
}

/** @throws TypeError on a character outside PrintableString. */
export function printableString(text: string): Der {
  if (!PRINTABLE.test(text)) throw new TypeError("printableString: character outside PrintableString");
  return element(TAG.printableString, text);
}

/** Big-endian UTF-16, as PKCS#12 uses it; the writer makes it of the text itself. */
export function bmpString(text: string): Der {
  return element(TAG.bmpString, text);
}

/** `text` unchanged, once it is known to be printable ASCII: for IA5String under an implicit tag. @throws TypeError */
export function ia5(text: string): string {
  if (!IA5.test(text) || text === "") throw new TypeError("ia5: expected printable ASCII");
  return text;
}

/** RFC 5280 §4.1.2.5. @throws TypeError outside 1950 … 9999. */
export function time(instant: Seconds): Der {
  if (instant < EARLIEST || instant > LATEST)
    throw new TypeError(`time: ${instant} cannot stand in a certificate`);
  const date = toDate(instant);
  return instant < GENERALIZED_FROM
    ? element(TAG.utcTime, forge.dateToUtcTime(date))
    : element(TAG.generalizedTime, forge.dateToGeneralizedTime(date));
}

function toBinary(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
