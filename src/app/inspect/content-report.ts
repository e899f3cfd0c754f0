/**
 * The report on one file, by what its content is.
 */

import type { Seconds } from "../../core/brand.ts";
import { invalidInput, messageOf, unreachable } from "../../core/errors.ts";
import type { Secret } from "../../core/secret.ts";
import { type Certificate, parseCertificate } from "../../x509/certificate.ts";
import type { PemBlock } from "../../x509/pem.ts";
import type { FileContent } from "../files.ts";
import type { Trust } from "../trust.ts";
import { jwkReport, jwksReport, pemBundleReport, spiffeBundleReport } from "./bundle-report.ts";
import { chainReport } from "./certificate-report.ts";
import { type Content, isPrivateKey, KNOWN_FORMS, recognise } from "./content.ts";
import {
  pairFaults,
  privateKeyReport,
  publicKeyReport,
  readPrivateKey,
  readPublicKey,
} from "./key-report.ts";
import { keystoreReport } from "./keystore-report.ts";
import { objectReport } from "./object-report.ts";
import { type Fault, fact, type Report, wrong } from "./report.ts";
import { tokenReport } from "./token-report.ts";

export interface InspectOptions {
  readonly now: Seconds;
  readonly trust: Trust | undefined;
  readonly password: Secret | undefined;
}

/** @throws INVALID_INPUT when it is of no known form, or a keystore without a password. */
export async function contentReport(
  name: string,
  file: FileContent,
  options: InspectOptions,
): Promise<Report> {
  const content = recognise(file.bytes);
  if (content.form === "unknown") throw invalidInput(name, content.reason, KNOWN_FORMS);
  const report = await reportOf(content, name, file, options);
  return { ...report, name };
}

async function reportOf(
  content: Exclude<Content, { form: "unknown" }>,
  name: string,
  file: FileContent,
  options: InspectOptions,
): Promise<Report> {
  const { now, trust, password } = options;
  const roots = trust?.roots.length === 0 ? undefined : trust;
  switch (content.form) {
    case "pem":
      return pemReport(content, file.mode, options);
    case "der-certificate":
      return chainReport([content.certificate], now, roots);
    case "der-private-key":
      return privateKeyReport(readPrivateKey(content.der, content.label), content.label, file.mode);
    case "der-public-key":
      return publicKeyReport(readPublicKey(content.der));
    case "pkcs12":
      return keystoreReport(content.der, { now, password, ...(roots === undefined ? {} : { trust: roots }) });
    case "token": {
      const keys = trust === undefined || trust.keys.size === 0 ? {} : { trust };
      return tokenReport(content.text, now, { isFile: name !== "-", ...keys });
    }
    case "json":
      return jsonReport(content, now);
    case "object":
      return objectReport(name, file.bytes, now);
    default:
      return unreachable(content);
  }
}

function jsonReport({ what, text, document }: Extract<Content, { form: "json" }>, now: Seconds): Report {
  switch (what) {
    case "spiffe-bundle":
      return spiffeBundleReport(text, document, now);
    case "jwks":
      return jwksReport(text, document);
    case "jwk":
      return jwkReport(document);
    case "discovery": {
      const { issuer, jwks_uri: uri } = document;
      const faults = String(uri).startsWith("https://")
        ? []
        : [wrong("discovery", "jwks_uri is not an https URL: clients refuse it")];
      return {
        kind: "discovery",
        title: "OpenID Connect discovery document",
        facts: [fact("issuer", "Issuer", String(issuer)), fact("jwksUri", "Keys at", String(uri))],
        faults,
        parts: [],
      };
    }
    default:
      return unreachable(what);
  }
}

/** What of a PEM file can be read. */
interface PemContents {
  readonly keys: readonly PemBlock[];
  readonly certificates: readonly Certificate[];
  readonly mode: number | undefined;
}

function pemReport(
  { blocks, faults }: Extract<Content, { form: "pem" }>,
  mode: number | undefined,
  options: InspectOptions,
): Report {
  const read = blocks.filter(({ label }) => label === "CERTIFICATE").map(readCertificate);
  const certificates = read.map(({ certificate }) => certificate).filter((each) => each !== undefined);
  const found = [...faults, ...read.flatMap(({ fault }) => fault ?? []), ...otherFaults(blocks)];
  const contents = { keys: blocks.filter(isPrivateKey), certificates, mode };
  const report = pemContents(contents, options) ?? publicKeyIn(blocks);
  if (report !== undefined) return { ...report, faults: [...report.faults, ...found] };
  if (read.length > 0) {
    return {
      kind: "certificate",
      title: "certificate that cannot be read",
      facts: [],
      faults: found,
      parts: [],
    };
  }
  const label = blocks[0]?.label ?? "";
  throw invalidInput("PEM", `holds a block of the kind "${label}", which meshid does not read`, KNOWN_FORMS);
}

function pemContents(
  { keys, certificates, mode }: PemContents,
  { now, trust }: InspectOptions,
): Report | undefined {
  const [keyBlock, ...otherKeys] = keys;
  const [leaf] = certificates;
  const roots = trust?.roots.length === 0 ? undefined : trust;
  if (keyBlock === undefined) {
    if (leaf === undefined) return undefined;
    const isBundle = certificates.every(({ isCA }) => isCA);
    return isBundle ? pemBundleReport(certificates, now) : chainReport(certificates, now, roots);
  }
  const several =
    otherKeys.length === 0 ? [] : [wrong("pem", `holds ${keys.length} private keys; expected one`)];
  const key = readPrivateKey(keyBlock.der, keyBlock.label);
  const keyReport = privateKeyReport(key, keyBlock.label, mode);
  if (leaf === undefined) return { ...keyReport, faults: [...keyReport.faults, ...several] };
  const chain = chainReport(certificates, now, roots);
  return {
    ...chain,
    kind: "combined",
    title: `${chain.title} and its private key`,
    faults: [
      ...chain.faults,
      ...pairFaults(key, leaf, ["the private key in it", "its first certificate"]),
      ...several,
    ],
    parts: [{ ...keyReport, name: "private key" }, ...chain.parts],
  };
}

function publicKeyIn(blocks: readonly PemBlock[]): Report | undefined {
  const block = blocks.find(({ label }) => label === "PUBLIC KEY");
  if (block !== undefined) return publicKeyReport(readPublicKey(block.der));
  if (!blocks.some(({ label }) => label === "ENCRYPTED PRIVATE KEY")) return undefined;
  return { kind: "private-key", title: "private key, encrypted", facts: [], faults: [], parts: [] };
}

/** What stands beside certificates and keys and has no place there. */
function otherFaults(blocks: readonly PemBlock[]): readonly Fault[] {
  const labels = blocks
    .filter((block) => block.label !== "CERTIFICATE" && !isPrivateKey(block))
    .map(({ label }) => label);
  if (labels.length === 0 || labels.length === blocks.length) return [];
  return [wrong("pem", `holds blocks of another kind too: ${[...new Set(labels)].join(", ")}`)];
}

function readCertificate({ der }: PemBlock): { readonly certificate?: Certificate; readonly fault?: Fault } {
  try {
    return { certificate: parseCertificate(der) };
  } catch (error) {
    return { fault: wrong("X-18", `a certificate in it cannot be read: ${messageOf(error)}`) };
  }
}
