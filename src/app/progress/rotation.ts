/**
 * Where a rotation that was asked for stands, by the status of the TrustDomain: the same for a cluster and a directory.
 */

import type { AuthorityKind } from "../../authority/slot.ts";
import type { AuthorityStatus, TrustDomainStatus } from "../../registration/service-identity.ts";
import type { Progress } from "./follow.ts";

/** The kind of key, as the user and as status name it. */
export interface Rotation {
  readonly word: "root" | "issuing" | "jwt";
  readonly kind: AuthorityKind;
}

export interface AskedRotation extends Rotation {
  readonly id: string;
  /** The key that was active when it was asked for. */
  readonly oldKey: string | undefined;
  /** Who has to take it up and has not yet, in words. */
  readonly untaken: string;
}

/** `root`, `issuing`, `JWT`: in sentences. */
export function kindWord({ word }: Rotation): string {
  return word === "jwt" ? "JWT" : word;
}

export function activeKey(status: TrustDomainStatus, kind: AuthorityKind): AuthorityStatus | undefined {
  return status.authorities?.find((slot) => slot.kind === kind && slot.state === "Active");
}

/**
 * Done when the request was honoured and another key than before signs; for a root, when an issuing certificate under the
 * new one signs too, since before that no workload has anything of it.
 */
export function rotationProgress(status: TrustDomainStatus, asked: AskedRotation): Progress {
  const { word, kind, id, oldKey } = asked;
  const active = activeKey(status, kind);
  const isHonoured = status.lastManualRotation?.[word] === id;
  const isReplaced = isHonoured && active !== undefined && active.keyID !== oldKey;
  const issuing = activeKey(status, "Issuing");
  if (isReplaced && kind !== "Root") return { isDone: true, text: `key ${active.keyID} signs now` };
  if (isReplaced && issuing?.issuerKeyID === active.keyID)
    return { isDone: true, text: `root ${active.keyID} and issuing key ${issuing.keyID} under it sign now` };
  const fault = faultIn(status);
  if (fault !== undefined) return { isDone: false, text: fault, isFaulty: true };
  if (isReplaced) return { isDone: false, text: `root ${active.keyID} is active; ${issuingText(status)}` };
  const text = isHonoured ? preparedText(status, kind) : untakenText(asked, active);
  return { isDone: false, text };
}

/** What keeps the authority from working at all. */
export function faultIn(status: TrustDomainStatus): string | undefined {
  const faults = status.conditions?.filter(({ status: value }) => value === "False") ?? [];
  // Ready only repeats what the authority says.
  const fault =
    faults.find(({ type }) => type === "AuthorityReady") ?? faults.find(({ type }) => type === "Ready");
  return fault === undefined ? undefined : `${fault.type} is False: ${fault.reason}: ${fault.message}`;
}

/** `2 consumers lack it: …; until 2026-12-16T10:00:00Z at the latest`; undefined where it waits for nothing. */
function waitText({ waitingFor, waitingUntil }: AuthorityStatus): string | undefined {
  if (waitingFor === undefined) return undefined;
  return waitingUntil === undefined ? waitingFor : `${waitingFor} (until ${waitingUntil} at the latest)`;
}

function untakenText({ untaken }: AskedRotation, active: AuthorityStatus | undefined): string {
  const reason = active === undefined ? undefined : waitText(active);
  return `asked for; ${untaken}${reason === undefined ? "" : `: ${reason}`}`;
}

function preparedText(status: TrustDomainStatus, kind: AuthorityKind): string {
  const prepared = preparedKey(status, kind);
  if (prepared === undefined)
    return `taken up; the new key is being made, or waits for the root's${pauseText(status)}`;
  return `new key ${prepared.keyID}, not used yet${reasonOf(prepared)}`;
}

function issuingText(status: TrustDomainStatus): string {
  const prepared = preparedKey(status, "Issuing");
  if (prepared === undefined) return "the issuing certificate under it is being made";
  return `new issuing key ${prepared.keyID} under it, not used yet${reasonOf(prepared)}`;
}

function preparedKey(status: TrustDomainStatus, kind: AuthorityKind): AuthorityStatus | undefined {
  return status.authorities?.find((slot) => slot.kind === kind && slot.state === "Prepared");
}

function reasonOf(slot: AuthorityStatus): string {
  const reason = waitText(slot);
  return reason === undefined ? "" : `: ${reason}`;
}

function pauseText({ conditions }: TrustDomainStatus): string {
  const paused = conditions?.find(({ reason }) => reason === "Paused");
  return paused === undefined ? "" : `; ${paused.message}`;
}
