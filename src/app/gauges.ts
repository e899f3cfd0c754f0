/**
 * Gauges that are read only when someone scrapes.
 */

import type { Authority } from "../authority/authority.ts";
import type { AuthorityKind } from "../authority/slot.ts";
import type { DesiredState } from "../controller/ports.ts";
import type { Seconds } from "../core/brand.ts";
import { parseRfc3339 } from "../core/clock.ts";
import type { Events } from "../telemetry/events.ts";
import type { Metrics } from "../telemetry/metrics.ts";

export interface GaugeSources {
  readonly metrics: Metrics;
  readonly events: Events;
  readonly identities: DesiredState["identities"];
  /** Undefined: this process is not the one that signs. */
  readonly authority: () => Authority | undefined;
  /** By kind, since when the next key waits; undefined: as with `authority`. */
  readonly waitingSince: () => ReadonlyMap<AuthorityKind, Seconds> | undefined;
}

export function identityGauges(sources: GaugeSources): void {
  const { metrics, events, identities, authority, waitingSince } = sources;
  metrics.onScrape(() => {
    const count = { ready: 0, notReady: 0 };
    const ends = { x509: Number.POSITIVE_INFINITY, jwt: Number.POSITIVE_INFINITY };
    for (const { status } of identities()) {
      const isReady =
        status?.conditions?.some((one) => one.type === "Ready" && one.status === "True") === true;
      count[isReady ? "ready" : "notReady"] += 1;
      const x509 = parseRfc3339(status?.x509?.notAfter ?? "");
      if (x509 !== undefined) ends.x509 = Math.min(ends.x509, x509);
      for (const token of status?.jwt?.tokens ?? []) {
        const end = parseRfc3339(token.notAfter);
        if (end !== undefined) ends.jwt = Math.min(ends.jwt, end);
      }
    }
    events.identitiesCounted(count);
    for (const kind of ["x509", "jwt"] as const) {
      events.earliestNotAfter(
        kind,
        Number.isFinite(ends[kind])
          ? (ends[kind] as NonNullable<ReturnType<typeof parseRfc3339>>)
          : undefined,
      );
    }
    const current = authority();
    // Who led before and does not lead now would else go on showing keys that may be gone, such as one that waits.
    const view = current?.isReady() === true ? current.view() : undefined;
    events.authoritiesObserved(view?.slots ?? []);
    events.rotationsWaiting((view && waitingSince()) ?? new Map());
    metrics.set("meshid_bundle_sequence", {}, view?.sequence ?? 0);
  });
}

/** Where several watches share a resource (namespaces of their own, the operator's Secrets), the most silent one counts. */
export function silenceGauges(
  metrics: Metrics,
  silences: () => readonly { readonly resource: string; readonly milliseconds: number }[],
): void {
  metrics.onScrape(() => {
    const longest = new Map<string, number>();
    for (const { resource, milliseconds } of silences())
      longest.set(resource, Math.max(longest.get(resource) ?? 0, milliseconds));
    for (const [resource, milliseconds] of longest)
      metrics.set("meshid_reflector_last_event_age_seconds", { resource }, milliseconds / 1000);
  });
}
