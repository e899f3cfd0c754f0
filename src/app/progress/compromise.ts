/**
 * The emergency: what breaks when a key leaves every bundle at once, and how far the credentials that it leaves behind have
 * been replaced.
 */

import { OperatorError } from "../../core/errors.ts";
import type { TrustDomainStatus } from "../../registration/service-identity.ts";
import type { ObservedIdentity } from "../observed-objects.ts";
import type { Cell } from "../output.ts";
import type { Progress } from "./follow.ts";
import { grouped, progressBar } from "./panel.ts";
import { type AskedRotation, activeKey, faultIn, isUnder, type Rotation } from "./rotation.ts";

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
  const issuing = status.authorities?.filter((slot) => slot.kind === "Issuing" && isUnder(slot, root)) ?? [];
  return new Set(issuing.map(({ keyID }) => keyID));
}

export function reissued(
  identities: readonly ObservedIdentity[],
  { kind, oldKey, fallen }: Pick<Distrust, "kind" | "oldKey" | "fallen">,
): Reissued {
  let total = 0;
  const left: string[] = [];
  for (const identity of identities) {
    const keys = kind === "JWT" ? tokenKeys(identity) : certificateKeys(identity);
    if (keys.length === 0) continue;
    total++;
    if (keys.some((key) => key === oldKey || fallen.has(key))) left.push(described(identity));
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
  if (!isGone) return { isDone: false, text: fault ?? `asked for; ${untaken}` };
  const active = activeKey(status, kind)?.keyID ?? "no key";
  const gone = `${oldKey} is out of every bundle, ${active} signs`;
  if (count === undefined) return { isDone: true, text: `${gone}; you may not see whose ${what} are new` };
  if (count.left.length === 0) return { isDone: true, text: `${gone}; ${amount(count)} have new ${what}` };
  const waits = `${gone}; new ${what} for ${amount(count)}`;
  return { isDone: false, text: fault === undefined ? waits : `${waits}; ${fault}` };
}

/** For the live table. */
export function reissuedFacts(count: Reissued | undefined): readonly Cell[] {
  if (count === undefined) return [];
  const { done, total, left } = count;
  const bar: Cell = { text: `Re-issued ${progressBar(done, total)} identities` };
  return left.length === 0 ? [bar] : [bar, { text: `Left: ${named(left)}` }];
}

export function named(items: readonly string[]): string {
  const more = items.length - MAX_NAMED;
  return items.slice(0, MAX_NAMED).join(", ") + (more > 0 ? ` and ${grouped(more)} more` : "");
}

/**
 * Nothing of this can be taken back, so the name of the trust domain must be typed.
 * @throws INVALID_CONFIGURATION saying what breaks and what does not.
 */
export function requireConfirmation(
  { kind }: Rotation,
  {
    name,
    keyID,
    confirm,
  }: { readonly name: string; readonly keyID: string; readonly confirm: string | undefined },
): void {
  if (confirm === name) return;
  const problem =
    confirm === undefined
      ? "--confirm: is missing"
      : `--confirm: ${JSON.stringify(confirm)} is not the trust domain`;
  const { breaks, holds } = kind === "JWT" ? JWT_EFFECTS : ROOT_EFFECTS;
  const text = [
    `${problem}; expected --confirm ${name}, which says that you accept this for key ${keyID}:`,
    ...breaks.map((line) => `  breaks: ${line}`),
    ...holds.map((line) => `  holds:  ${line}`),
    `  A key that is merely old needs none of it: meshid rotate ${kind === "JWT" ? "jwt" : "root"} replaces it and breaks nothing.`,
  ];
  throw new OperatorError("INVALID_CONFIGURATION", text.join("\n"));
}

interface Effects {
  readonly breaks: readonly string[];
  readonly holds: readonly string[];
}

const ROOT_EFFECTS: Effects = {
  breaks: [
    "from when a workload has the new bundle it refuses every peer that still shows a certificate under this root,",
    "and a workload with its new certificate is refused by every peer that still has the old bundle: for pods that is",
    "up to two minutes each (kubelet), for programs that read their files only at their start until they start anew.",
    "Who has fetched the bundle from meshid's address refuses until the next fetch.",
  ],
  holds: [
    "tokens (JWT): other keys sign them. Names, SPIFFE IDs and Secrets stay.",
    "connections that are open stay open, a thief's too: start anew what must not go on talking.",
    "roots in spec.bundle.additionalRoots stay trusted.",
  ],
};

const JWT_EFFECTS: Effects = {
  breaks: [
    "every token that this key has signed is refused by who has the new JWKS, until its owner has a new one: for pods",
    "up to two minutes (kubelet), for programs that read the file only at their start until they start anew.",
    "Who keeps a copy of the JWKS accepts a thief's tokens, and refuses the new ones, until the copy is fetched again:",
    "Envoy 10 minutes, istiod 20. Start them anew where that is too long.",
  ],
  holds: ["certificates and mTLS: other keys sign them.", "audiences, issuer and key names stay."],
};

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
