/**
 * A strict, bounds-checked cursor over DER (X.690 §10) for reading what others wrote. It accepts one encoding of each
 * value: definite minimal lengths, minimal integers and object identifiers, single-byte tags. It never recurses.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { invalidInput, type OperatorError } from "../core/errors.ts";

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  t61String: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** The tag of `[number]`, constructed unless `primitive`. */
export function contextTag(number: number, primitive = false): number {
  return (primitive ? 0x80 : 0xa0) | number;
}

/**
 * Owns its position. Each read takes one element and moves behind it; every fault throws INVALID_INPUT with the field
 * given at the start. Byte results share memory with the input.
 */
export class DerCursor {
  readonly #bytes: Uint8Array;
  readonly #field: string;
  readonly #end: number;
  #at: number;
  /** Start of the contents of the element read last; `#at` is their end. */
  #content = 0;

  constructor(bytes: Uint8Array, field: string, start = 0, end: number = bytes.length) {
    this.#bytes = bytes;
    this.#field = field;
    this.#at = start;
    this.#end = end;
  }

  get done(): boolean {
    return this.#at >= this.#end;
  }

  /** The tag of the next element; -1 at the end. */
  get tag(): number {
    return this.done ? -1 : (this.#bytes[this.#at] ?? -1);
  }

  fault(message: string, expected: string): OperatorError {
    return invalidInput(this.#field, message, expected);
  }

  /** Enters the next element. */
  enter(tag: number, what: string): DerCursor {
    this.#take(tag, what);
    return new DerCursor(this.#bytes, this.#field, this.#content, this.#at);
  }

  /** The contents of the next element. */
  bytes(tag: number, what: string): Uint8Array {
    this.#take(tag, what);
    return this.#bytes.subarray(this.#content, this.#at);
  }

  /** The next element whole, tag and length included. */
  element(tag: number, what: string): Uint8Array {
    const start = this.#at;
    this.#take(tag, what);
    return this.#bytes.subarray(start, this.#at);
  }

  /** Whole, of whatever tag: for what is compared or kept and not looked into. */
  any(what: string): Uint8Array {
    return this.element(this.tag, what);
  }

  /** Refuses anything behind the last element read. */
  end(what: string): void {
    if (!this.done) throw this.fault(`${what} has ${this.#end - this.#at} bytes too many`, "strict DER");
  }

  boolean(what: string): boolean {
    const value = this.bytes(TAG.boolean, what);
    if (value.length !== 1 || (value[0] !== 0xff && value[0] !== 0x00)) {
      throw this.fault(`${what} is not a DER boolean`, "strict DER");
    }
    return value[0] === 0xff;
  }

  /** The two's complement bytes, minimal. */
  integer(what: string): Uint8Array {
    const value = this.bytes(TAG.integer, what);
    const [first, second = 0] = value;
    const padded = value.length > 1 && (first === 0x00 ? second < 0x80 : first === 0xff && second >= 0x80);
    if (first === undefined || padded) throw this.fault(`${what} is not a minimal integer`, "strict DER");
    return value;
  }

  /** 0 … 2^31 − 1. */
  smallInteger(what: string): number {
    const value = this.integer(what);
    if (value.length > 4 || (value[0] ?? 0) >= 0x80) {
      throw this.fault(`${what} is out of range`, "0 … 2147483647");
    }
    return value.reduce((total, byte) => total * 256 + byte, 0);
  }

  /** Dotted form. */
  oid(what: string): string {
    const value = this.bytes(TAG.oid, what);
    if (value.length === 0 || value.length > 64) throw this.fault(`${what} is no object identifier`, "DER");
    let text = "";
    let arc = 0;
    let fresh = true;
    for (const byte of value) {
      if ((fresh && byte === 0x80) || arc > 0xff_ffff_ffff) throw this.fault(`${what} has a bad arc`, "DER");
      arc = arc * 128 + (byte & 0x7f);
      fresh = byte < 0x80;
      if (!fresh) continue;
      text +=
        text === ""
          ? `${Math.min(2, Math.floor(arc / 40))}.${arc - 40 * Math.min(2, Math.floor(arc / 40))}`
          : `.${arc}`;
      arc = 0;
    }
    if (!fresh) throw this.fault(`${what} is cut short`, "DER");
    return text;
  }

  /** The contents of a BIT STRING of whole bytes. */
  bitStringBytes(what: string): Uint8Array {
    const value = this.bytes(TAG.bitString, what);
    if (value[0] !== 0) throw this.fault(`${what} has unused bits`, "a BIT STRING of whole bytes");
    return value.subarray(1);
  }

  /** A named bit list (X.690 §11.2.2: no trailing zero bits): the numbers of the bits that are set. */
  namedBits(what: string): readonly number[] {
    const value = this.bytes(TAG.bitString, what);
    const unused = value[0] ?? 8;
    const last = value[value.length - 1] ?? 0;
    const minimal =
      value.length === 1 ? unused === 0 : unused < 8 && (last & ((2 << unused) - 1)) === 1 << unused;
    if (!minimal) throw this.fault(`${what} is not a minimal bit list`, "strict DER");
    const bits: number[] = [];
    for (let bit = 0; bit < (value.length - 1) * 8; bit++) {
      if (((value[1 + (bit >> 3)] ?? 0) & (0x80 >> (bit & 7))) !== 0) bits.push(bit);
    }
    return bits;
  }

  /** UTCTime or GeneralizedTime in the only form RFC 5280 §4.1.2.5 allows; each where it allows it. */
  time(what: string): Seconds {
    const short = this.tag === TAG.utcTime;
    const value = this.bytes(short ? TAG.utcTime : TAG.generalizedTime, what);
    const digits = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("latin1");
    const form = short ? /^\d{12}Z$/ : /^\d{14}Z$/;
    const text = form.test(digits) ? (short ? `${digits < "5" ? "20" : "19"}${digits}` : digits) : "";
    const instant = instantOf(text);
    if (instant === undefined || (!short && text < "2050")) {
      throw this.fault(
        `${what} is not a time of RFC 5280`,
        "UTCTime through 2049, GeneralizedTime from 2050",
      );
    }
    return instant;
  }

  #take(tag: number, what: string): void {
    const bytes = this.#bytes;
    const start = this.#at;
    const found = this.tag;
    if (found !== tag || (found & 0x1f) === 0x1f) {
      const name = found === -1 ? "missing" : `of tag 0x${found.toString(16)}`;
      throw this.fault(`${what} is ${name}`, tag === -1 ? "one more element" : `tag 0x${tag.toString(16)}`);
    }
    let length = bytes[start + 1] ?? 0xff;
    let content = start + 2;
    if (length >= 0x80) {
      const count = length & 0x7f;
      length = 0;
      content += count;
      for (let i = start + 2; i < content; i++) length = length * 256 + (bytes[i] ?? 0);
      const minimal = count > 0 && count <= 4 && length >= (count === 1 ? 0x80 : 256 ** (count - 1));
      if (!minimal) throw this.fault(`${what} has an indefinite or padded length`, "strict DER");
    }
    if (content + length > this.#end) throw this.fault(`${what} is longer than what holds it`, "strict DER");
    this.#content = content;
    this.#at = content + length;
  }
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** `YYYYMMDDhhmmssZ`; undefined for days and hours that do not exist. */
function instantOf(text: string): Seconds | undefined {
  const part = (from: number, to: number): number => Number(text.slice(from, to));
  const [year, month, day] = [part(0, 4), part(4, 6), part(6, 8)];
  const [hour, minute, second] = [part(8, 10), part(10, 12), part(12, 14)];
  if (text === "" || month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return undefined;
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  return seconds(daysSinceEpoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second);
}

function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

/** Days of the proleptic Gregorian calendar, counted in years that start in March. */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const y = month > 2 ? year : year - 1;
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  return y * 365 + Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400) + dayOfYear - 719_468;
}
