/**
 * PEM, the strict form of RFC 7468 §3.
 */

import { type Brand, branded } from "../core/brand.ts";
import { invalidInput } from "../core/errors.ts";

/** Exactly one PEM block with the label CERTIFICATE, ending in a line feed. */
export type CertificatePem = Brand<string, "CertificatePem">;

/** The most blocks that one text may hold: far above any chain or bundle of roots. */
const MAX_PEM_BLOCKS = 512;

const BEGIN = /^-----BEGIN ([A-Z0-9][A-Z0-9 ]{0,62})-----$/;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

export interface PemBlock {
  readonly label: string;
  readonly der: Uint8Array;
}

/** RFC 7468: 64 characters a line, a line feed after the last. */
export function encodePem(der: Uint8Array, label: string): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString("base64");
  let body = "";
  for (let i = 0; i < base64.length; i += 64) body += `${base64.slice(i, i + 64)}\n`;
  return `-----BEGIN ${label}-----\n${body}-----END ${label}-----\n`;
}

export function certificatePem(der: Uint8Array): CertificatePem {
  return branded<CertificatePem>(encodePem(der, "CERTIFICATE"));
}

/**
 * The DER of each certificate, in the order of the text. Only white space may stand between the blocks.
 * @throws INVALID_INPUT on anything else, another label included, and when there is no block.
 */
export function splitPem(text: string, field = "certificates"): readonly Uint8Array[] {
  const blocks = parsePem(text, field);
  const other = blocks.find((block) => block.label !== "CERTIFICATE");
  if (other !== undefined) {
    throw invalidInput(field, `holds a PEM block of the kind "${other.label}"`, "CERTIFICATE blocks only");
  }
  if (blocks.length === 0) throw invalidInput(field, "holds no PEM block", "one or more CERTIFICATE blocks");
  return blocks.map((block) => block.der);
}

/** All blocks of whatever label. @throws INVALID_INPUT on text between them, headers, or broken base64. */
export function parsePem(text: string, field: string): readonly PemBlock[] {
  const lines = text.split(/\r?\n/);
  const blocks: PemBlock[] = [];
  for (let i = 0; i < lines.length; i++) {
    const line = (lines[i] ?? "").trimEnd();
    if (line === "") continue;
    const label = BEGIN.exec(line)?.[1];
    if (label === undefined) throw invalidInput(field, `line ${i + 1} is not PEM`, "-----BEGIN <label>-----");
    if (blocks.length >= MAX_PEM_BLOCKS) {
      throw invalidInput(field, "holds too many PEM blocks", `at most ${MAX_PEM_BLOCKS}`);
    }
    const end = findEnd(lines, i + 1, label);
    if (end === undefined) {
      throw invalidInput(
        field,
        `the block that starts on line ${i + 1} has no end`,
        `-----END ${label}-----`,
      );
    }
    blocks.push({ label, der: decodeBody(lines.slice(i + 1, end), field, i + 1) });
    i = end;
  }
  return blocks;
}

function findEnd(lines: readonly string[], from: number, label: string): number | undefined {
  for (let i = from; i < lines.length; i++) {
    const line = lines[i] ?? "";
    if (!line.startsWith("-----")) continue;
    return line.trimEnd() === `-----END ${label}-----` ? i : undefined;
  }
  return undefined;
}

function decodeBody(lines: readonly string[], field: string, at: number): Uint8Array {
  const base64 = lines.map((line) => line.trimEnd()).join("");
  const der = BASE64.test(base64) && base64.length % 4 === 0 ? Buffer.from(base64, "base64") : undefined;
  if (der === undefined || der.toString("base64") !== base64) {
    throw invalidInput(field, `the block that starts on line ${at} is not base64`, "base64 without headers");
  }
  return der;
}
