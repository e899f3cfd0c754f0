/**
 * How far renewals that were asked for are, by the status of the identities: the same for a cluster and a directory.
 */

import type { ServiceIdentityStatus } from "../../registration/service-identity.ts";
import type { ObservedIdentity } from "../observed-objects.ts";
import type { Cell } from "../output.ts";
import type { Progress } from "./follow.ts";
import { grouped, type Panel, progressBar } from "./panel.ts";

/** One identity whose renewal was asked for and is not done. */
interface Waiting {
  readonly identity: ObservedIdentity;
  /** Why, where a condition says so. */
  readonly fault: string | undefined;
}

export interface Renewals {
  readonly done: number;
  /** Those that are still there. */
  readonly total: number;
  /** What a fault keeps from it first. */
  readonly waiting: readonly Waiting[];
}

/** More of them a table does not show. */
const MAX_ROWS = 10;

/** Done when meshid says that this very request was honoured. */
export function renewalProgress(
  { status }: Pick<ObservedIdentity, "status">,
  { id, untaken }: { readonly id: string; readonly untaken: string },
): Progress {
  if (status.lastManualRenewal === id) return { isDone: true, text: "renewed" };
  return { isDone: false, text: faultOf(status) ?? `asked for; ${untaken}` };
}

/** `asked`: as they were then. One that was deleted or made anew since is nobody's renewal any more. */
export function countRenewals(
  asked: readonly ObservedIdentity[],
  present: readonly ObservedIdentity[],
  id: string,
): Renewals {
  const now = new Map(present.map((identity) => [keyOf(identity), identity]));
  const waiting: Waiting[] = [];
  let total = 0;
  for (const before of asked) {
    const identity = now.get(keyOf(before));
    if (identity === undefined || identity.creationTimestamp !== before.creationTimestamp) continue;
    total++;
    if (identity.status.lastManualRenewal !== id) waiting.push({ identity, fault: faultOf(identity.status) });
  }
  const sorted = waiting.toSorted((a, b) => Number(a.fault === undefined) - Number(b.fault === undefined));
  return { done: total - waiting.length, total, waiting: sorted };
}

export function renewalsProgress({ done, total, waiting }: Renewals, title: string): Progress {
  const faulty = waiting.filter(({ fault }) => fault !== undefined);
  const [first] = faulty;
  const more = faulty.length > 1 ? ` and ${grouped(faulty.length - 1)} more` : "";
  const why = first === undefined ? "" : `; not ${keyOf(first.identity)}: ${first.fault}${more}`;
  const text = `${grouped(done)} of ${grouped(total)} renewed${why}`;
  return { isDone: waiting.length === 0, text, panel: panelOf({ done, total, waiting }, title) };
}

export function keyOf({ namespace, name }: Pick<ObservedIdentity, "namespace" | "name">): string {
  return `${namespace}/${name}`;
}

function panelOf({ done, total, waiting }: Renewals, title: string): Panel {
  const faulty = waiting.filter(({ fault }) => fault !== undefined).slice(0, MAX_ROWS);
  const rows = faulty.map(({ identity, fault = "" }): readonly Cell[] => [
    { text: keyOf(identity) },
    { text: fault, style: "bad" },
  ]);
  return {
    title,
    facts: [{ text: `Renewed ${progressBar(done, total)}` }],
    ...(rows.length === 0 ? {} : { table: { header: ["IDENTITY", "NOT-YET"], rows } }),
    hint: "Ctrl-C ends this view, the renewal goes on.",
  };
}

/** A mesh policy keeps no certificate from being renewed. */
function faultOf({ conditions }: ServiceIdentityStatus): string | undefined {
  const fault = conditions?.find(({ type, status: value }) => {
    return type !== "Ready" && type !== "MTLSApplied" && value === "False";
  });
  return fault === undefined ? undefined : `${fault.type} is False: ${fault.reason}: ${fault.message}`;
}
