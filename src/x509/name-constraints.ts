/**
 * Name constraints of signing certificates (RFC 5280 §4.2.1.10), for the kinds of names that SVIDs have. Where libraries
 * read a constraint differently, a name counts as permitted only if all of them permit it: what is accepted here is
 * accepted by Go and OpenSSL too.
 */

import { isOperatorError, quoted } from "../core/errors.ts";
import { contextTag, DerCursor, TAG } from "./der.ts";
import { ipBytes } from "./ip-address.ts";

/** What of a certificate is looked at. */
export interface ConstrainedNames {
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly otherNames: number;
  readonly subject: string;
}

interface Subtrees {
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  /** Address and mask, one behind the other. */
  readonly ipRanges: readonly Uint8Array[];
  readonly mails: number;
}

interface NameConstraints {
  readonly permitted: Subtrees;
  readonly excluded: Subtrees;
}

const MAX_SUBTREES = 256;

/** A host or domain, or with a dot before it all below one; empty is all or nothing, as the reader likes. */
const DOMAIN = /^(\.?[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*)?$/;
const SPIFFE_HOST = /^spiffe:\/\/([a-z0-9._-]+)(\/|$)/;
const IPV4 = /^\d+\.\d+\.\d+\.\d+$/;
/** emailAddress (RFC 2985 §5.2.1), as `readName` shows it. */
const MAIL_ATTRIBUTE = "1.2.840.113549.1.9.1=";

const NONE: Subtrees = { uris: [], dnsNames: [], ipRanges: [], mails: 0 };

/** Why `authority` cannot stand above a certificate with `names`; undefined when it can, also without constraints. */
export function constraintFault(
  authority: { readonly nameConstraints: Uint8Array | undefined },
  names: ConstrainedNames,
): string | undefined {
  if (authority.nameConstraints === undefined) return undefined;
  try {
    return faultOf(readNameConstraints(authority.nameConstraints), names);
  } catch (error) {
    if (!isOperatorError(error, "INVALID_INPUT")) throw error;
    return `has name constraints that cannot be evaluated (${error.message})`;
  }
}

function faultOf({ permitted, excluded }: NameConstraints, names: ConstrainedNames): string | undefined {
  const refused =
    names.uris.find((uri) => !isUriAllowed(uri, permitted, excluded)) ??
    names.dnsNames.find((name) => !isDnsNameAllowed(name.toLowerCase(), permitted, excluded)) ??
    names.ipAddresses.find((address) => !isIpAllowed(ipBytes(address), permitted, excluded));
  if (refused !== undefined) return `has name constraints that do not permit ${quoted(refused)}`;
  const hasMail = names.otherNames > 0 || names.subject.includes(MAIL_ATTRIBUTE);
  if (hasMail && permitted.mails + excluded.mails > 0) {
    return "has name constraints on mail addresses, and a certificate below it may carry one";
  }
  return undefined;
}

function isUriAllowed(uri: string, permitted: Subtrees, excluded: Subtrees): boolean {
  if (permitted.uris.length + excluded.uris.length === 0) return true;
  const host = SPIFFE_HOST.exec(uri)?.[1];
  // A host that is an address cannot be compared with a domain (RFC 5280): refused, as Go does.
  if (host === undefined || IPV4.test(host)) return false;
  // Without a dot before it RFC 5280 means that very host, and Go all below it too, which counts where it excludes.
  if (excluded.uris.some((domain) => isWithin(host, domain))) return false;
  return (
    permitted.uris.length === 0 ||
    permitted.uris.some((domain) => (domain.startsWith(".") ? isWithin(host, domain) : host === domain))
  );
}

function isDnsNameAllowed(name: string, permitted: Subtrees, excluded: Subtrees): boolean {
  if (excluded.dnsNames.some((domain) => isWithin(name, domain) || isWildcardOver(name, domain)))
    return false;
  return permitted.dnsNames.length === 0 || permitted.dnsNames.some((domain) => isWithin(name, domain));
}

/** With a dot before it, a domain is all that is below it; without, it is itself and that. */
function isWithin(name: string, domain: string): boolean {
  if (domain.startsWith(".")) return name.length > domain.length && name.endsWith(domain);
  return domain === "" || name === domain || name.endsWith(`.${domain}`);
}

/** A wildcard stands for names of which one may be excluded. */
function isWildcardOver(name: string, domain: string): boolean {
  return name.startsWith("*.") && domain.endsWith(name.slice(1));
}

function isIpAllowed(address: Uint8Array, permitted: Subtrees, excluded: Subtrees): boolean {
  if (excluded.ipRanges.some((range) => isInRange(address, range))) return false;
  return permitted.ipRanges.length === 0 || permitted.ipRanges.some((range) => isInRange(address, range));
}

function isInRange(address: Uint8Array, range: Uint8Array): boolean {
  const half = range.length / 2;
  if (address.length !== half) return false;
  return address.every((byte, index) => {
    const mask = range[half + index] ?? 0;
    return (byte & mask) === ((range[index] ?? 0) & mask);
  });
}

/** @throws INVALID_INPUT also for constraints on kinds of names that not every peer evaluates. */
function readNameConstraints(der: Uint8Array): NameConstraints {
  const cursor = new DerCursor(der, "nameConstraints").enter(TAG.sequence, "nameConstraints");
  if (cursor.done) throw cursor.fault("is empty", "permitted or excluded subtrees");
  const permitted = cursor.tag === contextTag(0) ? readSubtrees(cursor, contextTag(0)) : NONE;
  const excluded = cursor.tag === contextTag(1) ? readSubtrees(cursor, contextTag(1)) : NONE;
  cursor.end("nameConstraints");
  return { permitted, excluded };
}

function readSubtrees(cursor: DerCursor, tag: number): Subtrees {
  const list = cursor.enter(tag, "subtrees");
  const found = { uris: [] as string[], dnsNames: [] as string[], ipRanges: [] as Uint8Array[], mails: 0 };
  let count = 0;
  do {
    if (++count > MAX_SUBTREES) throw list.fault("has too many subtrees", `at most ${MAX_SUBTREES}`);
    const subtree = list.enter(TAG.sequence, "subtree");
    const kind = subtree.tag;
    if (kind === contextTag(6, true)) found.uris.push(readDomain(subtree, kind));
    else if (kind === contextTag(2, true)) found.dnsNames.push(readDomain(subtree, kind));
    else if (kind === contextTag(7, true)) found.ipRanges.push(readRange(subtree, kind));
    else if (kind === contextTag(1, true)) {
      subtree.bytes(kind, "rfc822Name");
      found.mails += 1;
    } else {
      throw subtree.fault(`constrains names of kind ${kind & 0x1f}`, "URI, DNS, IP or mail constraints");
    }
    // minimum 0 is left out in DER, and no other is allowed.
    subtree.end("subtree");
  } while (!list.done);
  return found;
}

function readDomain(cursor: DerCursor, tag: number): string {
  const bytes = cursor.bytes(tag, "domain");
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  if (!DOMAIN.test(text))
    throw cursor.fault("constrains to what is no domain", "a domain such as .example.org");
  return text.toLowerCase();
}

function readRange(cursor: DerCursor, tag: number): Uint8Array {
  const bytes = cursor.bytes(tag, "address range");
  const mask = bytes.subarray(bytes.length / 2);
  const bits = [...mask].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  if ((bytes.length !== 8 && bytes.length !== 32) || !/^1*0*$/.test(bits)) {
    throw cursor.fault("constrains to what is no range of addresses", "an address and a mask");
  }
  return bytes;
}
