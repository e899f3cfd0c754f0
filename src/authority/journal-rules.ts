/**
 * What is true of every journal that meshid writes.
 */

import { AUTHORITY_KINDS, type Journal, type Slot } from "./slot.ts";

export interface JournalFault {
  /** As in `slots[2].notAfter`. */
  readonly field: string;
  readonly message: string;
}

/** Nothing is saved that could not be read again. @throws TypeError: whoever planned it has erred. */
export function requireSound(journal: Journal): void {
  const fault = findFault(journal);
  if (fault !== undefined)
    throw new TypeError(`the next journal would be unreadable: ${fault.field} ${fault.message}`);
}

/** The first rule that `journal` breaks. */
export function findFault(journal: Journal): JournalFault | undefined {
  for (const kind of AUTHORITY_KINDS) {
    const slots = journal.slots.filter((slot) => slot.kind === kind);
    const active = slots.filter(({ state }) => state === "Active").length;
    if (active !== 1)
      return { field: "slots", message: `has ${active} active slots of kind ${kind}, not one` };
    if (slots.filter(({ state }) => state === "Prepared").length > 1) {
      return { field: "slots", message: `has several prepared slots of kind ${kind}` };
    }
  }
  const seen = new Set<string>();
  for (const [index, slot] of journal.slots.entries()) {
    const fault = slotFault(journal, slot, seen);
    if (fault !== undefined) return { ...fault, field: `slots[${index}].${fault.field}` };
    seen.add(slot.keyID);
  }
  return undefined;
}

function slotFault(journal: Journal, slot: Slot, seen: ReadonlySet<string>): JournalFault | undefined {
  const { kind, keyID, notBefore, notAfter, signedUntil } = slot;
  if (seen.has(keyID)) return { field: "keyID", message: "stands twice" };
  if (notBefore >= notAfter) return { field: "notAfter", message: "is not after notBefore" };
  if (signedUntil < notBefore || signedUntil > notAfter) {
    return { field: "signedUntil", message: "is outside the slot's life" };
  }
  if ((slot.certificate !== undefined) !== (kind !== "JWT")) {
    return { field: "certificate", message: kind === "JWT" ? "stands beside a JWT key" : "is missing" };
  }
  if ((slot.issuerKeyID !== undefined) !== (kind === "Issuing")) {
    return { field: "issuerKeyID", message: kind === "Issuing" ? "is missing" : "does not belong here" };
  }
  if (slot.external === true && kind === "JWT") return { field: "external", message: "does not belong here" };
  if (slot.intermediates !== undefined && (kind !== "Issuing" || slot.external !== true)) {
    return { field: "intermediates", message: "do not belong here" };
  }
  return crossFault(journal, slot) ?? (kind === "Issuing" ? issuerFault(journal, slot) : undefined);
}

function crossFault(journal: Journal, slot: Slot): JournalFault | undefined {
  const { kind, keyID, external, crossCertificate: cross, notAfter } = slot;
  if (cross === undefined) return undefined;
  const at = "crossCertificate";
  if (kind !== "Root" || external === true) return { field: at, message: "does not belong here" };
  const issuer = journal.slots.find((one) => one.keyID === cross.issuerKeyID);
  if (cross.issuerKeyID === keyID || (issuer !== undefined && issuer.kind !== "Root"))
    return { field: `${at}.issuerKeyID`, message: "names no other root" };
  if (cross.notAfter > notAfter) return { field: `${at}.notAfter`, message: "is after the end of its root" };
  const isDistrusted = journal.distrusted?.some((one) => one.keyID === cross.issuerKeyID) === true;
  return isDistrusted ? { field: `${at}.issuerKeyID`, message: "names a distrusted key" } : undefined;
}

function issuerFault(journal: Journal, { issuerKeyID, notAfter }: Slot): JournalFault | undefined {
  const root = journal.slots.find((slot) => slot.keyID === issuerKeyID);
  if (root?.kind !== "Root") return { field: "issuerKeyID", message: "names no root of the journal" };
  // Another's CA may come back to a root that it had given up, while what that has certified is there still.
  if (root.state === "Prepared" && root.signedUntil <= root.notBefore)
    return { field: "issuerKeyID", message: "names a root that signs nothing yet" };
  if (notAfter > root.notAfter) return { field: "notAfter", message: "is after the end of its root" };
  return notAfter > root.signedUntil
    ? { field: "notAfter", message: "is after the signedUntil of its root" }
    : undefined;
}
