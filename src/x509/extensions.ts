/**
 * The certificate extensions of an SVID (RFC 5280 §4.2.1, X509-SVID §4), encoded; and their object identifiers.
 */

import {
  boolean,
  context,
  contextBytes,
  type Der,
  ia5,
  integer,
  join,
  namedBits,
  octetString,
  oid,
  sequence,
} from "./asn1.ts";
import { ipBytes } from "./ip-address.ts";
import type { KeyId } from "./keys.ts";

export const EXTENSION_OID = {
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  nameConstraints: "2.5.29.30",
  authorityKeyIdentifier: "2.5.29.35",
  extKeyUsage: "2.5.29.37",
} as const;

export const EKU_OID = {
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  any: "2.5.29.37.0",
} as const;

/** In the order of their bits (RFC 5280 §4.2.1.3). */
export const KEY_USAGES = [
  "digitalSignature",
  "contentCommitment",
  "keyEncipherment",
  "dataEncipherment",
  "keyAgreement",
  "keyCertSign",
  "cRLSign",
  "encipherOnly",
  "decipherOnly",
] as const;
export type KeyUsage = (typeof KEY_USAGES)[number];

/** The numbers of the choices of GeneralName (RFC 5280 §4.2.1.6). */
const GENERAL_NAME = { dns: 2, uri: 6, ip: 7 } as const;

/** Identifier and critical flag, encoded once: they are the same in every certificate. */
const HEAD = {
  subjectKeyIdentifier: oid(EXTENSION_OID.subjectKeyIdentifier),
  authorityKeyIdentifier: oid(EXTENSION_OID.authorityKeyIdentifier),
  extKeyUsage: oid(EXTENSION_OID.extKeyUsage),
  keyUsage: join(oid(EXTENSION_OID.keyUsage), boolean(true)),
  basicConstraints: join(oid(EXTENSION_OID.basicConstraints), boolean(true)),
  subjectAltName: oid(EXTENSION_OID.subjectAltName),
  criticalSubjectAltName: join(oid(EXTENSION_OID.subjectAltName), boolean(true)),
} as const;

/** Critical, always: X509-SVID §4.3. */
export function keyUsage(...usages: readonly KeyUsage[]): Der {
  return sequence(HEAD.keyUsage, octetString(namedBits(usages.map((usage) => KEY_USAGES.indexOf(usage)))));
}

/** Critical. DER leaves out the default `cA=false`. */
export function basicConstraints(isCA: boolean, pathLength?: number): Der {
  const members = isCA ? [boolean(true), ...(pathLength === undefined ? [] : [integer(pathLength)])] : [];
  return sequence(HEAD.basicConstraints, octetString(sequence(...members)));
}

/** Both purposes: a workload is server and client (X509-SVID §4.4). */
export function extKeyUsage(): Der {
  const content = sequence(oid(EKU_OID.serverAuth), oid(EKU_OID.clientAuth));
  return sequence(HEAD.extKeyUsage, octetString(content));
}

export function subjectKeyIdentifier(keyID: KeyId): Der {
  return sequence(HEAD.subjectKeyIdentifier, octetString(octetString(Buffer.from(keyID, "hex"))));
}

export function authorityKeyIdentifier(keyID: KeyId): Der {
  const content = sequence(contextBytes(0, Buffer.from(keyID, "hex")));
  return sequence(HEAD.authorityKeyIdentifier, octetString(content));
}

export interface SubjectAltNames {
  readonly uri: string;
  readonly dnsNames?: readonly string[];
  /** As text; IPv6 without brackets. */
  readonly ipAddresses?: readonly string[];
}

/** Critical where the subject is empty (RFC 5280 §4.2.1.6). @throws TypeError on what is no name or address. */
export function subjectAltName(names: SubjectAltNames, critical: boolean): Der {
  const content = sequence(
    contextBytes(GENERAL_NAME.uri, ia5(names.uri)),
    ...(names.dnsNames ?? []).map((name) => contextBytes(GENERAL_NAME.dns, ia5(name))),
    ...(names.ipAddresses ?? []).map((address) => contextBytes(GENERAL_NAME.ip, ipBytes(address))),
  );
  return sequence(critical ? HEAD.criticalSubjectAltName : HEAD.subjectAltName, octetString(content));
}

/** The `[3]` of a certificate. */
export function extensions(...members: readonly Der[]): Der {
  return context(3, sequence(...members));
}
