/**
 * Which of several ServiceIdentities holds a ServiceAccount.
 */

import type { IdentityKey } from "./registration-entry.ts";

export interface HolderClaim {
  readonly key: IdentityKey;
  readonly uid: string;
  readonly namespace: string;
  readonly serviceAccountName: string;
  /** RFC 3339. */
  readonly creationTimestamp: string;
}

/**
 * By `<namespace>/<serviceAccountName>`: the uid that holds it. A recorded holder that still claims the account keeps it, so
 * that no newcomer takes an identity over; else the oldest claim wins, then the first by name.
 */
export function resolveHolders(
  claims: readonly HolderClaim[],
  recorded: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const best = new Map<string, HolderClaim>();
  for (const claim of claims) {
    const account = `${claim.namespace}/${claim.serviceAccountName}`;
    const rival = best.get(account);
    if (rival === undefined || precedes(claim, rival, recorded.get(account))) best.set(account, claim);
  }
  return new Map([...best].map(([account, claim]) => [account, claim.uid]));
}

function precedes(a: HolderClaim, b: HolderClaim, holder: string | undefined): boolean {
  if (a.uid === holder || b.uid === holder) return a.uid === holder;
  if (a.creationTimestamp !== b.creationTimestamp) return a.creationTimestamp < b.creationTimestamp;
  return a.key < b.key;
}
