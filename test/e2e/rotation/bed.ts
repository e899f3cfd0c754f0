/**
 * What a run of traffic needs of the mode it runs in, all of it through the public surface: documents, annotations, requests,
 * status, log lines and signals.
 */

import type { AuthorityKind } from "../../../src/authority/slot.ts";
import type { AuthorityStatus } from "../../../src/registration/service-identity.ts";
import type { Peer } from "./peers/told.ts";

export type Mode = "local" | "cluster";

/** What was done to the controller or to its way to the API server. */
export interface Disturbance {
  readonly what: string;
  /** `Date.now()` */
  readonly from: number;
  /** When it was over: everything ran again. */
  readonly to: number;
}

export interface LogStep {
  readonly at: number;
  readonly step: string;
  readonly kind: string;
  readonly kid: string;
  /** Of a key that is used although not every consumer was seen with it. */
  readonly forced?: string;
}

export interface Bed extends AsyncDisposable {
  readonly mode: Mode;
  readonly trustDomain: string;
  readonly namespace: string;
  readonly issuer: string;
  readonly jwks: { readonly port: number; readonly serverName: string };
  /** The directories that a peer mounts. */
  volumes(peer: Peer): { readonly tls: string; readonly jwt: string };
  authorities(): Promise<readonly AuthorityStatus[]>;
  rotate(kind: AuthorityKind): Promise<void>;
  /** Asks for new certificates and tokens. */
  renew(peers: readonly Peer[]): Promise<void>;
  /** Something bad, chosen at random, up to its end; undefined: it was over before it began. */
  disturb(): Promise<Disturbance>;
  /** The steps of rotations that the processes have logged. */
  steps(): readonly LogStep[];
}

export const AUDIENCE = "mesh";
export const NAMESPACE = "shop";

/** From `low` to `high`, evenly. */
export function between(low: number, high: number): number {
  return low + Math.random() * (high - low);
}

export function oneOf<Item>(items: readonly Item[]): Item {
  const item = items[Math.floor(Math.random() * items.length)];
  if (item === undefined) throw new TypeError("nothing to choose from");
  return item;
}

/** At least one of them. */
export function someOf<Item>(items: readonly Item[]): readonly Item[] {
  const some = items.filter(() => Math.random() < 0.5);
  return some.length > 0 ? some : [oneOf(items)];
}

interface StepLine {
  readonly time?: string | number;
  readonly msg?: string;
  readonly step?: string;
  readonly kind?: string;
  readonly kid?: string;
  readonly reason?: string;
  readonly explanation?: string;
}

/** The line of a rotation step; undefined for any other. */
export function stepOf(line: StepLine): LogStep | undefined {
  const { time, msg, step, kind, kid, reason, explanation } = line;
  if (msg?.startsWith("took a rotation step") !== true) return undefined;
  const forced = reason === "Forced" ? { forced: explanation ?? "" } : {};
  return { at: new Date(time ?? 0).getTime(), step: step ?? "", kind: kind ?? "", kid: kid ?? "", ...forced };
}
