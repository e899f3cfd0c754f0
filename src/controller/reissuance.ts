/**
 * How far a new key has come: which of the certificates and tokens that are in use it has signed.
 */

import type { AuthorityView } from "../authority/authority-state.ts";
import type { Slot } from "../authority/slot.ts";
import type { Seconds } from "../core/brand.ts";
import { parseRfc3339 } from "../core/clock.ts";
import type { ServiceIdentity } from "../registration/service-identity.ts";

/** Of the credentials that have not ended. */
export interface Reissuance {
  readonly total: number;
  readonly fromActive: number;
  /** From a key that is not published any more: whoever has the bundle of today refuses them. */
  readonly refused: number;
  /** When the last of the others is to be renewed, as far as status tells. */
  readonly lastRenewal: Seconds | undefined;
  /** Identities that hold others, some of them, those that are refused first: `shop/payments`. */
  readonly left: readonly string[];
}

export interface Reissuances {
  readonly certificates: Reissuance;
  readonly tokens: Reissuance;
}

interface Tally {
  /** Published keys of the kind. */
  readonly keys: ReadonlySet<string>;
  readonly active: string;
  total: number;
  fromActive: number;
  refused: number;
  lastRenewal: Seconds | undefined;
  readonly left: string[];
}

const CHUNK = 500;
const MAX_LEFT = 5;

/** Looks at the status of each, some at a time, so that nobody waits long for it. */
export async function countReissued(
  identities: Iterable<ServiceIdentity>,
  view: Pick<AuthorityView, "issuing" | "jwt" | "slots">,
  now: Seconds,
): Promise<Reissuances> {
  const certificates = tallyOf(view, "Issuing", view.issuing.keyID);
  const tokens = tallyOf(view, "JWT", view.jwt.keyID);
  let seen = 0;
  for (const { metadata, status } of identities) {
    const name = `${metadata.namespace}/${metadata.name}`;
    const { x509 } = status ?? {};
    if (x509 !== undefined && !isOver(x509.notAfter, now))
      count(certificates, { name, keyID: x509.authorityKeyID, renewalTime: x509.renewalTime });
    for (const { keyID, notAfter } of status?.jwt?.tokens ?? [])
      if (!isOver(notAfter, now)) count(tokens, { name, keyID });
    if (++seen % CHUNK === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return { certificates, tokens };
}

export function isComplete({ total, fromActive }: Reissuance): boolean {
  return fromActive >= total;
}

function tallyOf({ slots }: Pick<AuthorityView, "slots">, kind: Slot["kind"], active: string): Tally {
  const keys = new Set(slots.filter((slot) => slot.kind === kind).map(({ keyID }) => keyID));
  return { keys, active, total: 0, fromActive: 0, refused: 0, lastRenewal: undefined, left: [] };
}

interface Credential {
  /** Of the identity. */
  readonly name: string;
  readonly keyID: string;
  readonly renewalTime?: string;
}

function count(tally: Tally, { name, keyID, renewalTime }: Credential): void {
  tally.total += 1;
  if (keyID === tally.active) {
    tally.fromActive += 1;
    return;
  }
  const isRefused = !tally.keys.has(keyID);
  if (isRefused) tally.refused += 1;
  keepName(tally.left, name, isRefused);
  const renewal = parseRfc3339(renewalTime ?? "");
  if (renewal !== undefined && renewal > (tally.lastRenewal ?? 0)) tally.lastRenewal = renewal;
}

/** Those that are refused before the others. */
function keepName(left: string[], name: string, isRefused: boolean): void {
  if (left.includes(name)) return;
  if (isRefused) left.unshift(name);
  else left.push(name);
  left.splice(MAX_LEFT);
}

function isOver(notAfter: string, now: Seconds): boolean {
  const end = parseRfc3339(notAfter);
  return end === undefined || end <= now;
}
