/**
 * The emergency: what breaks when a key leaves every bundle at once, and how far the credentials that it leaves behind have
 * been replaced.
 */

import { OperatorError, quoted } from "../../core/errors.ts";
import type { TrustDomainStatus } from "../../registration/service-identity.ts";
import type { ObservedIdentity } from "../observed-objects.ts";
import { type Cell, wrap } from "../output.ts";
import type { Progress } from "./follow.ts";
import { grouped, progressBar } from "./panel.ts";
import { type AskedRotation, activeKey, faultIn, kindWord, type Rotation } from "./rotation.ts";

export interface Distrust extends AskedRotation {
  readonly oldKey: string;
  /** The issuing certificates of a root: what they have signed falls with it. */
  readonly fallen: ReadonlySet<string>;
}

/** How many of the identities that have something of this kind have it from another key by now. */
export interface Reissued {
  readonly done: number;
  readonly total: number;
  /** `shop/payments`, with what stands in the way where that is known. */
  readonly left: readonly string[];
}

const MAX_NAMED = 3;

/** The issuing keys that fall with the active root. */
export function fallingWith(status: TrustDomainStatus, { kind }: Rotation): ReadonlySet<string> {
  const root = activeKey(status, "Root");
  if (kind !== "Root" || root === undefined) return new Set();
  const issuing = status.authorities?.filter(({ issuerKeyID }) => issuerKeyID === root.keyID) ?? [];
  return new Set(issuing.map(({ keyID }) => keyID));
}

/** What comes from a key that is not published any more is not new, whenever that key was given up. */
export function reissued(
  identities: readonly ObservedIdentity[],
  { authorities = [] }: TrustDomainStatus,
  { kind, oldKey, fallen }: Pick<Distrust, "kind" | "oldKey" | "fallen">,
): Reissued {
  const signer = kind === "JWT" ? "JWT" : "Issuing";
  const good = new Set(authorities.filter((slot) => slot.kind === signer).map(({ keyID }) => keyID));
  good.delete(oldKey);
  for (const keyID of fallen) good.delete(keyID);
  let total = 0;
  const left: string[] = [];
  for (const identity of identities) {
    const keys = kind === "JWT" ? tokenKeys(identity) : certificateKeys(identity);
    if (keys.length === 0) continue;
    total++;
    if (!keys.every((key) => good.has(key))) left.push(described(identity));
  }
  return { done: total - left.length, total, left };
}

/** Done when nobody is shown the old key any more and all that it stood for was issued anew. */
export function distrustProgress(
  status: TrustDomainStatus,
  distrust: Distrust,
  count: Reissued | undefined,
): Progress {
  const { kind, oldKey, untaken } = distrust;
  const isGone = status.authorities?.every(({ keyID }) => keyID !== oldKey) ?? false;
  const what = kind === "JWT" ? "tokens" : "certificates";
  const fault = faultIn(status);
  const faulty = fault === undefined ? {} : ({ isFaulty: true } as const);
  if (!isGone) return { isDone: false, text: fault ?? `asked for; ${untaken}`, ...faulty };
  const active = activeKey(status, kind)?.keyID ?? "no key";
  const gone = `${oldKey} is out of every bundle, ${active} signs`;
  if (count === undefined) return { isDone: true, text: `${gone}; you may not see whose ${what} are new` };
  if (count.left.length === 0) return { isDone: true, text: `${gone}; ${amount(count)} have new ${what}` };
  const waits = `${gone}; new ${what} for ${amount(count)}`;
  return { isDone: false, text: fault === undefined ? waits : `${waits}; ${fault}`, ...faulty };
}

/** For the live table. */
export function reissuedFacts(count: Reissued | undefined): readonly Cell[] {
  if (count === undefined) return [];
  const { done, total, left } = count;
  const bar: Cell = { text: `Re-issued ${progressBar(done, total)} identities` };
  return left.length === 0 ? [bar] : [bar, { text: `Left: ${named(left)}` }];
}

function named(items: readonly string[]): string {
  const more = items.length - MAX_NAMED;
  return items.slice(0, MAX_NAMED).join(", ") + (more > 0 ? ` and ${grouped(more)} more` : "");
}

/**
 * Nothing of this can be taken back, so the name of the trust domain must be typed.
 * @throws INVALID_CONFIGURATION saying what breaks and what does not.
 */
export function requireConfirmation(
  { kind, word }: Rotation,
  given: { readonly name: string; readonly keyID: string; readonly confirm: string | undefined },
): void {
  const { name, keyID, confirm } = given;
  if (confirm === name) return;
  const problem =
    confirm === undefined ? "--confirm: is missing" : `--confirm: ${quoted(confirm)} is not the trust domain`;
  const { breaks, holds } = kind === "JWT" ? JWT_EFFECTS : ROOT_EFFECTS;
  const text = [
    `${problem}; expected --confirm ${name}, which says that you accept this for the ${kindWord({ kind, word })} key ${keyID}:`,
    ...breaks.flatMap((effect) => item("breaks", effect)),
    ...holds.flatMap((effect) => item("holds", effect)),
    ...item(
      "else",
      `a key that is merely old needs none of it: meshid rotate ${word} replaces it and breaks nothing`,
    ),
  ];
  throw new OperatorError("INVALID_CONFIGURATION", text.join("\n"));
}

interface Effects {
  readonly breaks: readonly string[];
  readonly holds: readonly string[];
}

const ROOT_EFFECTS: Effects = {
  breaks: [
    "a workload that has the new bundle refuses every peer that still shows a certificate under this root",
    "a workload that has its new certificate is refused by every peer that still has the old bundle",
    "both last, for each workload, until it has its new files (pods: up to two minutes, by kubelet) and has read them: a program that reads them only when it starts must be started anew",
    "who fetches the bundle from meshid's address refuses until the next fetch",
  ],
  holds: [
    "tokens: other keys sign them; names, SPIFFE IDs and Secrets stay",
    "connections that are open stay open, a thief's too: start anew what must not go on talking",
    "roots in spec.bundle.additionalRoots stay trusted",
  ],
};

const JWT_EFFECTS: Effects = {
  breaks: [
    "who has the new JWKS refuses every token of this key, until the token's owner has a new one (pods: up to two minutes, by kubelet) and has read it: a program that reads it only when it starts must be started anew",
    "who keeps a copy of the JWKS refuses the new tokens, and accepts a thief's, until the copy is fetched again (Envoy: 10 minutes, istiod: 20): start it anew where that is too long",
  ],
  holds: ["certificates and mTLS: other keys sign them", "issuer, audiences and names stay"],
};

const WIDTH = 100;

function item(label: string, text: string): readonly string[] {
  const indent = 10;
  return wrap(text, WIDTH - indent).map((line, index) => {
    return `  ${(index === 0 ? `${label}:` : "").padEnd(indent - 2)}${line}`;
  });
}

function amount({ done, total }: Reissued): string {
  return `${grouped(done)} of ${grouped(total)} identities`;
}

function certificateKeys({ status }: ObservedIdentity): readonly string[] {
  return status.x509 === undefined ? [] : [status.x509.authorityKeyID];
}

function tokenKeys({ status }: ObservedIdentity): readonly string[] {
  return (status.jwt?.tokens ?? []).map(({ keyID }) => keyID);
}

/** With the condition that keeps it from being issued. */
function described({ namespace, name, status }: ObservedIdentity): string {
  const fault = status.conditions?.find(({ type, status: value }) => {
    return (type === "X509Issued" || type === "JWTIssued") && value === "False";
  });
  return `${namespace}/${name}${fault === undefined ? "" : ` (${fault.reason})`}`;
}
