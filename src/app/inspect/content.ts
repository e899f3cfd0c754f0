/**
 * What a file is, seen from its content; its name says nothing.
 */

import { messageOf } from "../../core/errors.ts";
import { asRecord } from "../../core/strict-json.ts";
import { type Certificate, parseCertificate } from "../../x509/certificate.ts";
import { type PemBlock, parsePem } from "../../x509/pem.ts";
import { PRIVATE_KEY_LABELS } from "./key-report.ts";
import { type Fault, note, wrong } from "./report.ts";
import { looksLikeToken } from "./token-report.ts";

type JsonObject = Readonly<Record<string, unknown>>;

export type Content =
  | { readonly form: "pem"; readonly blocks: readonly PemBlock[]; readonly faults: readonly Fault[] }
  | { readonly form: "der-certificate"; readonly certificate: Certificate }
  | { readonly form: "der-private-key"; readonly der: Uint8Array; readonly label: string }
  | { readonly form: "der-public-key"; readonly der: Uint8Array }
  | { readonly form: "pkcs12"; readonly der: Uint8Array }
  | { readonly form: "token"; readonly text: string }
  | { readonly form: "json"; readonly what: JsonKind; readonly text: string; readonly document: JsonObject }
  | { readonly form: "object"; readonly text: string }
  | { readonly form: "unknown"; readonly reason: string };

type JsonKind = "spiffe-bundle" | "jwks" | "jwk" | "discovery";

/** What is recognised, for whoever gave something else. */
export const KNOWN_FORMS =
  "a certificate, chain or key (PEM or DER), a PKCS#12 keystore, a JWT-SVID, a SPIFFE bundle or JWK Set (JSON), a ServiceIdentity or TrustDomain (YAML)";

export function recognise(bytes: Uint8Array): Content {
  if (bytes.length === 0) return { form: "unknown", reason: "it is empty" };
  const text = textOf(bytes);
  if (text === undefined) return recogniseDer(bytes);
  if (text.includes("-----BEGIN ")) return recognisePem(text);
  const start = text.trimStart();
  if (start.startsWith("{") || start.startsWith("[")) return recogniseJson(text);
  if (looksLikeToken(text)) return { form: "token", text };
  if (/^(apiVersion|kind)\s*:/m.test(text)) return { form: "object", text };
  if (/^[A-Za-z0-9+/\s]+=*\s*$/.test(text) && text.trim().startsWith("MI")) {
    return {
      form: "unknown",
      reason:
        "it looks like DER in base64 without the BEGIN and END lines of PEM; decode it first (base64 -d)",
    };
  }
  return { form: "unknown", reason: "it is text of no form that meshid knows" };
}

/** Undefined for binary data: text has no control characters but white space and what terminals write (ESC). */
function textOf(bytes: Uint8Array): string | undefined {
  if (bytes.some((byte) => byte < 9 || (byte > 13 && byte < 27))) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Strictly first; what a strict reader refuses is then explained block by block, with the refusal as a fault. */
function recognisePem(text: string): Content {
  try {
    return { form: "pem", blocks: parsePem(text, "PEM"), faults: [] };
  } catch (error) {
    const refusal = messageOf(error).replace(/^PEM: /, "");
    const found = text.match(/-----BEGIN ([A-Z0-9 ]+)-----[A-Za-z0-9+/=\s]*-----END \1-----/g) ?? [];
    const blocks = found.flatMap((block) => parseLoosely(block.replaceAll(/^[ \t]+/gm, "")));
    if (blocks.length === 0) return { form: "unknown", reason: `it is PEM that cannot be read: ${refusal}` };
    const isOnlyAround = blocks.length === (text.match(/-----BEGIN /g) ?? []).length;
    const fault = isOnlyAround
      ? note("pem", `has text around its PEM blocks, which strict readers refuse: ${refusal}`)
      : wrong("pem", `has a broken PEM block: ${refusal}`);
    return { form: "pem", blocks, faults: [fault] };
  }
}

function parseLoosely(block: string): readonly PemBlock[] {
  try {
    return parsePem(block, "PEM");
  } catch {
    return [];
  }
}

function recogniseDer(bytes: Uint8Array): Content {
  const unknown: Content = { form: "unknown", reason: "it is binary data of no form that meshid knows" };
  if (bytes[0] !== 0x30) return unknown;
  const body = bytes.subarray(headerLength(bytes));
  // RFC 7292 §4: version 3, then a SEQUENCE.
  if (startsWith(body, [0x02, 0x01, 0x03, 0x30])) return { form: "pkcs12", der: bytes };
  if (startsWith(body, [0x02, 0x01, 0x00, 0x30]) || startsWith(body, [0x02, 0x01, 0x01, 0x30]))
    return { form: "der-private-key", der: bytes, label: "PRIVATE KEY" };
  if (startsWith(body, [0x02, 0x01, 0x00, 0x02]))
    return { form: "der-private-key", der: bytes, label: "RSA PRIVATE KEY" };
  if (startsWith(body, [0x02, 0x01, 0x01, 0x04]))
    return { form: "der-private-key", der: bytes, label: "EC PRIVATE KEY" };
  try {
    return { form: "der-certificate", certificate: parseCertificate(bytes) };
  } catch (error) {
    const inner = body.subarray(headerLength(body));
    if (body[0] === 0x30 && inner[0] === 0x06) return { form: "der-public-key", der: bytes };
    return { form: "unknown", reason: `it looks like DER, but is no certificate: ${messageOf(error)}` };
  }
}

/** Of a DER element; 0 when it is cut off. */
function headerLength(bytes: Uint8Array): number {
  const length = bytes[1] ?? 0;
  return length < 0x80 ? 2 : 2 + (length & 0x7f);
}

function startsWith(bytes: Uint8Array, prefix: readonly number[]): boolean {
  return prefix.every((byte, index) => bytes[index] === byte);
}

function recogniseJson(text: string): Content {
  let document: JsonObject | undefined;
  try {
    document = asRecord(JSON.parse(text, keepDigits as (key: string, value: unknown) => unknown));
  } catch {
    // YAML in flow style begins so too, and is read by its own reader.
    return /"?apiVersion"?\s*:/.test(text)
      ? { form: "object", text }
      : { form: "unknown", reason: "it begins like JSON, but is none" };
  }
  if (document === undefined) return { form: "unknown", reason: "it is JSON, but not an object" };
  if ("apiVersion" in document) return { form: "object", text };
  const what = jsonKind(document);
  return what === undefined
    ? { form: "unknown", reason: "it is a JSON object of no kind that meshid knows" }
    : { form: "json", what, text, document };
}

function jsonKind(document: JsonObject): JsonKind | undefined {
  if ("spiffe_sequence" in document || "spiffe_refresh_hint" in document) return "spiffe-bundle";
  if ("keys" in document) {
    const entries: readonly unknown[] = Array.isArray(document["keys"]) ? document["keys"] : [];
    const uses = entries.map((entry) => asRecord(entry)?.["use"]);
    return uses.some((use) => use === "x509-svid" || use === "jwt-svid") ? "spiffe-bundle" : "jwks";
  }
  if ("kty" in document) return "jwk";
  return "jwks_uri" in document && "issuer" in document ? "discovery" : undefined;
}

/** As `parseStrictJson` does, which refuses names that stand twice: here that is a fault to be shown, not the end. */
function keepDigits(_name: string, value: unknown, context: { readonly source?: string }): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  const source = context.source ?? "";
  return /^-?\d+$/.test(source) ? BigInt(source) : value;
}

/** Whether a PEM block is a private key, in whatever encoding. */
export function isPrivateKey({ label }: PemBlock): boolean {
  return (PRIVATE_KEY_LABELS as readonly string[]).includes(label);
}
