/**
 * Where an authority keeps what a backup holds: a state directory, or the operator's namespace of a cluster.
 */

import type { PublishedKey } from "../../authority/backup.ts";
import type { JournalPlace, KeyStore } from "../../authority/ports.ts";
import { seconds } from "../../core/brand.ts";
import { type Clock, parseRfc3339, toRfc3339 } from "../../core/clock.ts";
import type { TrustDomainObject } from "../../registration/service-identity.ts";
import type { PolicyContext } from "../../registration/trust-domain-policy.ts";

/** The files of a state directory that cannot be made anew; a cluster has none. */
export interface Records {
  /** Those that are there. @throws JOURNAL_CORRUPT for one that is damaged. */
  read(): Promise<Readonly<Record<string, string>>>;
  /** The names of those that are missing or damaged. */
  lacking(): Promise<readonly string[]>;
  /** Durable when it returns. */
  write(name: string, text: string): Promise<void>;
}

/** What consumers have been given, as far as it can be seen. */
export interface Published {
  /** With its status; undefined where there is none. */
  readonly trustDomain: TrustDomainObject | undefined;
  /** The highest sequence of a bundle; 0 where none was seen. */
  readonly sequence: number;
}

export interface Vault {
  /** For sentences: `the state /srv/out/.meshid`. */
  readonly place: string;
  /** The time of whoever signs: in a cluster the API server's. */
  readonly clock: Clock;
  readonly context: PolicyContext;
  readonly journals: JournalPlace;
  readonly keyStore: KeyStore;
  readonly records: Records;
  /** `name`: the trust domain that is taken for granted where a state directory knows of none in particular. */
  published(name?: string): Promise<Published>;
  /** A command for the shell that moves the journal out of the way. */
  readonly moveAway: string;
  /** The flags that name this place to a command, as ` --out out`; empty where none are needed. */
  readonly flags: string;
  /** When what was written here is taken up, for the end of a report. */
  readonly takenUp: string;
}

/** Above it counting on would lose digits some day. */
const MAX_SEQUENCE = 2 ** 50;

export function publishedKeys({ trustDomain }: Published): readonly PublishedKey[] {
  return (trustDomain?.status?.authorities ?? []).map(({ kind, keyID, state, signedUntil }) => ({
    kind,
    keyID,
    state,
    signedUntil: parseRfc3339(signedUntil) ?? seconds(Number.MAX_SAFE_INTEGER),
  }));
}

/** Of a SPIFFE bundle; 0 for what is none, or has a number that no meshid has come to. */
export function sequenceIn(bundleJson: string): number {
  try {
    const { spiffe_sequence: sequence } = JSON.parse(bundleJson) as { readonly spiffe_sequence?: unknown };
    const isOurs = typeof sequence === "number" && Number.isInteger(sequence) && sequence > 0;
    return isOurs && sequence < MAX_SEQUENCE ? sequence : 0;
  } catch {
    return 0; // someone else's file
  }
}

/** `20261128t041500z`: for names. */
export function stampOf(clock: Clock): () => string {
  return () => toRfc3339(clock.now()).replaceAll(/[-:]/g, "").toLowerCase();
}
