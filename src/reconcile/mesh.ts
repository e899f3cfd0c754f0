/**
 * What becomes of an identity's PeerAuthentication: when STRICT may be applied, by which way, and which policy of another
 * stands before it. Istio's rules: the oldest policy of a scope counts, workload before namespace before mesh.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { parseRfc3339, toRfc3339 } from "../core/clock.ts";
import type { MtlsEntry, RegistrationEntry } from "../registration/registration-entry.ts";
import type { MtlsMode } from "../registration/service-identity.ts";
import type { PeerAuthenticationManifest } from "./manifests/manifest.ts";
import { peerAuthenticationManifest } from "./manifests/peer-authentication.ts";
import type { ObservedPeerAuthentication } from "./state.ts";

/** On a policy that is PERMISSIVE for a while: from when on it may be STRICT (RFC 3339). */
export const STRICT_AFTER_ANNOTATION = "meshid.dev/strict-after";

export interface MeshInput {
  readonly entry: RegistrationEntry;
  readonly mtls: MtlsEntry;
  /** All policies of the namespace, ours included. */
  readonly policies: readonly ObservedPeerAuthentication[];
  /** Those of the mesh's root namespace. */
  readonly meshPolicies: readonly ObservedPeerAuthentication[];
  /** Since when the workloads have had a certificate without a gap; undefined: they have none. */
  readonly issuedSince: Seconds | undefined;
  readonly propagation: Seconds;
  readonly now: Seconds;
}

export type MeshPlan =
  | { readonly wait: string; readonly requeueAt?: Seconds }
  | {
      readonly manifest: PeerAuthenticationManifest;
      /** PERMISSIVE on the way from DISABLE: when STRICT follows. */
      readonly strictAfter: Seconds | undefined;
      readonly shadowedBy: ObservedPeerAuthentication | undefined;
    };

type IstioMode = "STRICT" | "PERMISSIVE" | "DISABLE";

/** A port of the container with a mode of its own, or undefined: all others. */
type Port = number | undefined;

export function planMesh(input: MeshInput): MeshPlan {
  const { entry, mtls, now } = input;
  const own = input.policies.find((one) => one.ownerUid === entry.uid && one.ref.name === entry.name);
  const shadowedBy = shadowingPolicy(input.policies, own, mtls.matchLabels);
  const asked = { manifest: peerAuthenticationManifest(entry, mtls), strictAfter: undefined, shadowedBy };
  const tightened = newlyStrict(mtls, own);
  if (tightened.length === 0) return asked;
  const wait = waitForCertificate(input);
  if (wait !== undefined) return wait;
  const strictAfter = strictAfterOf(input, own, tightened);
  if (strictAfter === undefined || strictAfter <= now) return asked;
  const permissive = peerAuthenticationManifest(entry, withPermissive(mtls, own, tightened));
  const annotations = { ...permissive.annotations, [STRICT_AFTER_ANNOTATION]: toRfc3339(strictAfter) };
  return { manifest: { ...permissive, annotations }, strictAfter, shadowedBy };
}

/** Another's policy of the namespace that Istio follows for workloads with `labels`, in place of `own`. */
export function shadowingPolicy(
  policies: readonly ObservedPeerAuthentication[],
  own: ObservedPeerAuthentication | undefined,
  labels: Readonly<Record<string, string>>,
): ObservedPeerAuthentication | undefined {
  return policies.find((one) => one !== own && shadows(one, own, labels));
}

/** The ports that are to be STRICT and are not by the policy in place: a port alone takes as much away as all of them. */
function newlyStrict(mtls: MtlsEntry, own: ObservedPeerAuthentication | undefined): readonly Port[] {
  return [undefined, ...portsOf(mtls, own)].filter(
    (port) => wantedMode(mtls, port) === "Strict" && (own === undefined || modeOf(own, port) !== "STRICT"),
  );
}

/** What is asked for, with PERMISSIVE where it would be STRICT for the first time. */
function withPermissive(
  mtls: MtlsEntry,
  own: ObservedPeerAuthentication | undefined,
  tightened: readonly Port[],
): MtlsEntry {
  const modeAt = (port: Port): MtlsMode => (tightened.includes(port) ? "Permissive" : wantedMode(mtls, port));
  const exceptions = portsOf(mtls, own).map((port) => ({ port, mode: modeAt(port) }));
  return { ...mtls, mode: modeAt(undefined), exceptions };
}

/** Those with a mode of their own, wanted or in place. */
function portsOf(mtls: MtlsEntry, own: ObservedPeerAuthentication | undefined): readonly number[] {
  const { portLevelMtls = {} } = (own?.spec ?? {}) as { readonly portLevelMtls?: Record<string, unknown> };
  return [
    ...new Set([...mtls.exceptions.map(({ port }) => port), ...Object.keys(portLevelMtls).map(Number)]),
  ];
}

function wantedMode(mtls: MtlsEntry, port: Port): MtlsMode {
  return mtls.exceptions.find((one) => one.port === port)?.mode ?? mtls.mode;
}

/** STRICT waits until the workloads have had a certificate for `rotation.propagation`. */
function waitForCertificate({ issuedSince, propagation, now }: MeshInput): MeshPlan | undefined {
  if (issuedSince === undefined)
    return { wait: "STRICT is applied once the certificate has been issued: see condition X509Issued" };
  const until = seconds(issuedSince + propagation);
  if (now >= until) return undefined;
  return {
    wait: `the certificate was issued at ${toRfc3339(issuedSince)}; STRICT is applied at ${toRfc3339(until)}, when it has reached the workloads (rotation.propagation)`,
    requeueAt: until,
  };
}

/** Going from DISABLE to STRICT at once drops requests: PERMISSIVE comes between. */
function strictAfterOf(
  input: MeshInput,
  own: ObservedPeerAuthentication | undefined,
  tightened: readonly Port[],
): Seconds | undefined {
  const noted = parseRfc3339(own?.annotations[STRICT_AFTER_ANNOTATION] ?? "");
  const latest = seconds(input.now + input.propagation);
  const isUnderWay = own !== undefined && tightened.every((port) => modeOf(own, port) === "PERMISSIVE");
  if (isUnderWay && noted !== undefined) return seconds(Math.min(noted, latest));
  return tightened.some((port) => effectiveMode(input, own, port) === "DISABLE") ? latest : undefined;
}

/** The mode that holds for the workloads now. */
function effectiveMode(
  { policies, meshPolicies, mtls }: MeshInput,
  own: ObservedPeerAuthentication | undefined,
  port: Port,
): IstioMode {
  const forWorkload = policies.filter((one) => one === own || covers(one, mtls.matchLabels));
  const scopes = [
    forWorkload,
    policies.filter((one) => selectorOf(one) === undefined),
    meshPolicies.filter((one) => selectorOf(one) === undefined),
  ];
  for (const scope of scopes) {
    const mode = scope
      .sort(byAge)
      .map((one) => modeOf(one, port))
      .find((one) => one !== undefined);
    if (mode !== undefined) return mode;
  }
  return "PERMISSIVE";
}

/** Whether `one`, of another owner, comes before ours for workloads that both select. */
function shadows(
  one: ObservedPeerAuthentication,
  own: ObservedPeerAuthentication | undefined,
  labels: Readonly<Record<string, string>>,
): boolean {
  return overlaps(one, labels) && (own === undefined || byAge(one, own) < 0);
}

/** Whether it selects every workload that `labels` select. */
function covers(one: ObservedPeerAuthentication, labels: Readonly<Record<string, string>>): boolean {
  const selector = selectorOf(one);
  return selector !== undefined && Object.entries(selector).every(([key, value]) => labels[key] === value);
}

/** Whether it surely selects some workloads that `labels` select: all of them, or a part that it names more closely. */
function overlaps(one: ObservedPeerAuthentication, labels: Readonly<Record<string, string>>): boolean {
  const selector = selectorOf(one);
  if (selector === undefined) return false;
  return covers(one, labels) || Object.entries(labels).every(([key, value]) => selector[key] === value);
}

/** Undefined: it is for the whole namespace. */
function selectorOf({ spec }: ObservedPeerAuthentication): Readonly<Record<string, unknown>> | undefined {
  const { selector } = spec as { readonly selector?: { readonly matchLabels?: Record<string, unknown> } };
  const labels = selector?.matchLabels ?? {};
  return Object.keys(labels).length === 0 ? undefined : labels;
}

/** Undefined: UNSET, what is above counts. */
function modeOf({ spec }: ObservedPeerAuthentication, port: Port): IstioMode | undefined {
  const { mtls, portLevelMtls } = spec as {
    readonly mtls?: ModeSpec;
    readonly portLevelMtls?: Readonly<Record<string, ModeSpec>>;
  };
  return known(portLevelMtls?.[String(port)]?.mode) ?? known(mtls?.mode);
}

interface ModeSpec {
  readonly mode?: unknown;
}

function known(mode: unknown): IstioMode | undefined {
  return mode === "STRICT" || mode === "PERMISSIVE" || mode === "DISABLE" ? mode : undefined;
}

function byAge(a: ObservedPeerAuthentication, b: ObservedPeerAuthentication): number {
  if (a.creationTimestamp !== b.creationTimestamp) return a.creationTimestamp < b.creationTimestamp ? -1 : 1;
  return a.ref.name < b.ref.name ? -1 : 1;
}
