/**
 * A PKCS#12 keystore or truststore, explained. Private keys in it stay shut.
 */

import type { Seconds } from "../../core/brand.ts";
import { invalidInput, isOperatorError, messageOf } from "../../core/errors.ts";
import type { Secret } from "../../core/secret.ts";
import { type Certificate, parseCertificate } from "../../x509/certificate.ts";
import { type Keystore, type KeystoreCertificate, readPkcs12 } from "../../x509/keystore-reader.ts";
import { certificateReport, chainReport, type Roots } from "./certificate-report.ts";
import { type Fault, fact, note, type Report, wrong } from "./report.ts";

export interface KeystoreOptions {
  readonly now: Seconds;
  readonly password: Secret | undefined;
  readonly trust?: Roots;
}

/** @throws INVALID_INPUT without a password, or when it is no PKCS#12 file. */
export function keystoreReport(der: Uint8Array, { now, password, trust }: KeystoreOptions): Report {
  if (password === undefined) {
    throw invalidInput(
      "--password-file",
      "is missing: this is a PKCS#12 keystore, which opens with a password",
      "--password-file FILE",
    );
  }
  let keystore: Keystore;
  try {
    keystore = readPkcs12(der, password);
  } catch (error) {
    if (!isOperatorError(error, "VERIFICATION_FAILED")) throw error;
    return {
      kind: "keystore",
      title: "PKCS#12 keystore",
      facts: [],
      faults: [wrong("password", messageOf(error).replace(/^keystore: /, ""))],
      parts: [],
    };
  }
  return opened(keystore, now, trust);
}

function opened(
  { certificates, keys, encryptions, mac }: Keystore,
  now: Seconds,
  trust: Roots | undefined,
): Report {
  const isTruststore = keys.length === 0;
  const parsed = certificates.map((entry) => ({ entry, certificate: parse(entry) }));
  const chain = parsed
    .map(({ certificate }) => certificate)
    .filter((certificate) => certificate !== undefined);
  const names = [...certificates, ...keys]
    .map(({ friendlyName }) => friendlyName)
    .filter((name) => name !== undefined);
  const parts = isTruststore
    ? chain.map(
        (certificate, index): Report => ({
          ...certificateReport(certificate, now),
          name: `root ${index + 1}`,
        }),
      )
    : chain.length === 0
      ? []
      : [{ ...chainReport(chain, now, trust), name: "chain" }];
  return {
    kind: "keystore",
    title: isTruststore
      ? `PKCS#12 truststore with ${certificates.length === 1 ? "a certificate" : `${certificates.length} certificates`}`
      : `PKCS#12 keystore with ${keys.length === 1 ? "a private key" : `${keys.length} private keys`}`,
    facts: [
      ...(names.length === 0
        ? []
        : [fact("aliases", "Aliases", [...new Set(names)], [...new Set(names)].join("\n"))]),
      fact(
        "privateKeys",
        "Private keys",
        keys.length,
        keys.length === 0 ? "none" : keys.map(({ encryption }) => encryption).join("\n"),
      ),
      fact("encryption", "Encryption", encryptions, textOf(encryptions, keys)),
      fact("mac", "Integrity", mac),
    ],
    faults: [
      ...javaFaults(isTruststore, certificates),
      ...contentFaults(parsed.length, chain.length, isTruststore),
    ],
    parts,
  };
}

function javaFaults(isTruststore: boolean, certificates: readonly KeystoreCertificate[]): readonly Fault[] {
  if (!isTruststore || certificates.every(({ trusted }) => trusted)) return [];
  return [
    wrong(
      "trusted",
      "has certificates that Java does not take for trusted: they lack the attribute 2.16.840.1.113894.746875.1.1",
    ),
  ];
}

function contentFaults(entries: number, readable: number, isTruststore: boolean): readonly Fault[] {
  return [
    ...(entries === readable
      ? []
      : [wrong("certificate", `${entries - readable} of its certificates cannot be read`)]),
    ...(entries > 0
      ? []
      : [
          isTruststore
            ? wrong("empty", "holds neither a key nor a certificate")
            : note("chain", "holds a key without a certificate"),
        ]),
  ];
}

function parse({ der }: KeystoreCertificate): Certificate | undefined {
  try {
    return parseCertificate(der);
  } catch {
    return undefined;
  }
}

/** A part that is not encrypted is worth a word only where it would show a private key. */
function textOf(encryptions: Keystore["encryptions"], keys: Keystore["keys"]): string {
  const areKeysSafe = keys.every(({ encryption }) => encryption !== "none");
  const worthTelling = encryptions.filter((each) => each !== "none" || !areKeysSafe);
  return (worthTelling.length === 0 ? encryptions : worthTelling).join("\n");
}
