/**
 * The live table of a rotation: every key that has a part in it, what it waits for and until when, and how many consumers have
 * the bundle.
 */

import type { AuthorityKind } from "../../authority/slot.ts";
import type { Seconds } from "../../core/brand.ts";
import { parseRfc3339 } from "../../core/clock.ts";
import type { AuthorityStatus } from "../../registration/service-identity.ts";
import type { ObservedTrustDomain } from "../observed-objects.ts";
import type { Cell } from "../output.ts";
import { describeInstant, shortLength } from "../times.ts";
import { type Panel, progressBar } from "./panel.ts";
import { kindWord, type Rotation } from "./rotation.ts";

const HEADER = ["KIND", "KEY-ID", "STATE", "SINCE", "WAITING-FOR"];
/** Enough to tell keys apart; the whole ID is in `meshid status`. */
const SHORT_KEY = 12;
/** Without these nothing goes on. */
const WRONG: ReadonlySet<string> = new Set(["Ready", "AuthorityReady"]);
const STYLES = { Prepared: "warn", Active: "good", Retired: "dim" } as const;

interface RotationView {
  readonly domain: ObservedTrustDomain;
  readonly rotation: Rotation;
  /** In place of the ordinary one. */
  readonly title?: string;
  readonly now: Seconds;
  /** Further lines, above the table. */
  readonly facts?: readonly Cell[];
}

export function rotationPanel({ domain, rotation, title, now, facts = [] }: RotationView): Panel {
  const { name, status } = domain;
  const condition = status.conditions?.find(({ type }) => type === "RotationInProgress");
  const wrong = status.conditions?.filter((one) => one.status === "False" && WRONG.has(one.type));
  const { bundle } = status;
  return {
    title: title ?? `Rotation of the ${kindWord(rotation)} key of ${name}`,
    facts: [
      ...(condition === undefined ? [] : [{ text: `${condition.reason}: ${condition.message}` }]),
      ...(wrong ?? []).map(({ type, reason, message }): Cell => {
        return { text: `${type} is False: ${reason}: ${message}`, style: "bad" };
      }),
      ...(bundle === undefined
        ? []
        : [{ text: `Bundle ${progressBar(bundle.namespacesCurrent, bundle.namespaces)} namespaces` }]),
      ...facts,
    ],
    table: { header: HEADER, rows: slotsOf(domain, rotation.kind).map((slot) => rowOf(slot, now)) },
    hint: "Ctrl-C ends this view, the rotation goes on.",
  };
}

/** An issuing certificate follows its root. */
function slotsOf({ status }: ObservedTrustDomain, kind: AuthorityKind): readonly AuthorityStatus[] {
  const kinds: readonly AuthorityKind[] = kind === "Root" ? ["Root", "Issuing"] : [kind];
  return kinds.flatMap((each) => (status.authorities ?? []).filter((slot) => slot.kind === each));
}

function rowOf(slot: AuthorityStatus, now: Seconds): readonly Cell[] {
  const { kind, keyID, state, waitingFor, waitingUntil } = slot;
  const since = parseRfc3339(slot.since);
  const until = parseRfc3339(waitingUntil ?? "");
  const latest = until === undefined ? "" : `; at the latest ${describeInstant(until, now)}`;
  return [
    { text: kind },
    { text: keyID.slice(0, SHORT_KEY) },
    { text: state, style: STYLES[state] },
    { text: since === undefined ? "" : shortLength(Math.max(0, now - since)) },
    { text: waitingFor === undefined ? "" : `${waitingFor}${latest}` },
  ];
}
