/**
 * `meshid rotate`, wherever the keys are: asks for it, follows it to its end where the user wants that, and says how it went.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { parseRfc3339 } from "../core/clock.ts";
import { OperatorError } from "../core/errors.ts";
import { EXIT, INTERRUPTED, type Io } from "./io.ts";
import type { ObservedTrustDomain } from "./observed-objects.ts";
import { type GivenOptions, isSet, textOf } from "./options.ts";
import { formatData, outputFormat, painter } from "./output.ts";
import {
  type Distrust,
  distrustProgress,
  fallingWith,
  reissued,
  reissuedFacts,
  requireConfirmation,
} from "./progress/compromise.ts";
import { type Followed, follow, type Progress, timeoutOf } from "./progress/follow.ts";
import {
  type AskedRotation,
  activeKey,
  kindWord,
  type Rotation,
  rotationProgress,
} from "./progress/rotation.ts";
import { rotationPanel } from "./progress/rotation-panel.ts";
import type { RotationTarget, Untaken } from "./rotation-target.ts";

/** The propagation is 30 minutes by default, a root takes two of them, and consumers may take their time. */
const DEFAULT_TIMEOUT: Seconds = seconds(2 * 3600);

/**
 * So long after a key was distrusted the same command means that key, not its successor: who runs it twice wants to see what
 * became of the first.
 */
const SAME_EMERGENCY: Seconds = seconds(3600);

/** What was asked for. */
interface Asked {
  readonly rotation: Rotation;
  readonly domain: string;
  /** Undefined: nothing, since it was asked for before. */
  readonly id: string | undefined;
  /** The key that nobody shall trust any more. */
  readonly compromised: string | undefined;
}

/**
 * `before`: the trust domain as it is now. Resolves to the exit code: 1 when `--wait` saw no end of it.
 * @throws INVALID_CONFIGURATION for what cannot be asked for; what the target throws.
 */
export async function rotate(
  target: RotationTarget,
  { rotation, before }: { readonly rotation: Rotation; readonly before: ObservedTrustDomain },
  { options, io }: { readonly options: GivenOptions; readonly io: Io },
): Promise<number> {
  const format = outputFormat(options);
  const timeout = timeoutOf(options, DEFAULT_TIMEOUT);
  checkFlags(rotation, options);
  const isEmergency = isSet(options, "compromised");
  const active = activeKey(before.status, rotation.kind);
  requireOwnKeys(target, rotation, { before, compromised: isEmergency ? active?.keyID : undefined });
  const look = { rotation, target, io };
  const { asked, follows } = isEmergency
    ? await distrust(look, before, textOf(options, "confirm"))
    : await askForNew(look, before);
  const end = isSet(options, "wait") ? await follow(follows, timeout, io) : undefined;
  if (format === "json" || format === "yaml")
    io.stdout.write(await formatData(dataOf(target, asked, end), format));
  else io.stdout.write(`${sentence(target, asked, { end, io })}\n`);
  if (end?.isInterrupted === true) return INTERRUPTED;
  return end?.progress.isDone === false ? EXIT.checkFailed : EXIT.ok;
}

/** @throws INVALID_CONFIGURATION for flags that say nothing together. */
function checkFlags({ kind }: Rotation, options: GivenOptions): void {
  const isCompromised = isSet(options, "compromised");
  if (isCompromised && kind === "Issuing")
    throw usage(
      "--compromised: an issuing key can only be distrusted with its root, since no peer asks anyone whether a certificate was revoked; expected meshid rotate root --compromised, or meshid rotate issuing for one that is merely old",
    );
  if (!isCompromised && options.has("confirm"))
    throw usage(
      "--confirm: says yes to what --compromised breaks; expected both, or none for a rotation that breaks nothing",
    );
}

interface Asking {
  readonly target: RotationTarget;
  readonly rotation: Rotation;
  readonly io: Io;
}

interface Begun {
  readonly asked: Asked;
  /** Sees what becomes of it. */
  readonly follows: () => Promise<Progress>;
}

async function askForNew(asking: Asking, { name, status }: ObservedTrustDomain): Promise<Begun> {
  const { target, rotation } = asking;
  const oldKey = activeKey(status, rotation.kind)?.keyID;
  const id = await target.ask(rotation, undefined);
  const asked = { rotation, domain: name, id, compromised: undefined };
  return { asked, follows: lookAtRotation(asking, { ...rotation, id, oldKey }) };
}

/** @throws INVALID_CONFIGURATION without a key, or without the word that it may break what it breaks. */
async function distrust(
  asking: Asking,
  before: ObservedTrustDomain,
  confirm: string | undefined,
): Promise<Begun> {
  const { target, rotation } = asking;
  const { name, status } = before;
  const active = activeKey(status, rotation.kind);
  if (active === undefined)
    throw usage(
      `the TrustDomain ${name} shows no active ${kindWord(rotation)} key that could be distrusted; expected one that a running meshid has reported on (meshid status, meshid doctor)`,
    );
  const last = await earlierEmergency(asking, before);
  const keyID = last ?? active.keyID;
  requireConfirmation(rotation, { name, keyID, confirm });
  const fallen = last === undefined ? fallingWith(status, rotation) : new Set<string>();
  const id = last === undefined ? await target.ask(rotation, keyID) : undefined;
  const asked = { rotation, domain: name, id, compromised: keyID };
  return { asked, follows: lookAtDistrust(asking, { ...rotation, id: id ?? "", oldKey: keyID, fallen }) };
}

/** A key that was distrusted a short while ago, and whose successor is active. */
async function earlierEmergency(
  { target, rotation, io }: Asking,
  { status }: ObservedTrustDomain,
): Promise<string | undefined> {
  const last = await target.lastDistrusted(rotation.kind);
  const since = parseRfc3339(activeKey(status, rotation.kind)?.since ?? "");
  const isGone = status.authorities?.every(({ keyID }) => keyID !== last) ?? false;
  const isRecent = since !== undefined && io.clock.now() - since < SAME_EMERGENCY;
  return isGone && isRecent ? last : undefined;
}

/** @throws INVALID_CONFIGURATION where someone else's CA makes what would have to be made. */
function requireOwnKeys(
  target: RotationTarget,
  { word, kind }: Rotation,
  { before, compromised }: { readonly before: ObservedTrustDomain; readonly compromised: string | undefined },
): void {
  const { authority } = before.spec;
  if (kind === "JWT" || authority?.source !== "Secret") return;
  const place = target.placeOf(authority.secretRef?.name ?? "");
  const how = `expected new tls.crt, tls.key and ca.crt in ${place}: meshid takes them up by itself, as a rotation that breaks nothing`;
  if (compromised === undefined)
    throw usage(
      `the ${word} key of ${before.name} comes from ${place} (authority.source is Secret), meshid makes none; ${how}`,
    );
  throw usage(
    `the root of ${before.name} comes from ${place} (authority.source is Secret), meshid makes none; ${how}. The stolen root then leaves when the last certificate under it has ended; to have it leave at once, and to break what is under it, after that: ${target.byHand(kind, compromised)}`,
  );
}

function lookAtRotation(
  { target, io }: Asking,
  asked: Omit<AskedRotation, "untaken">,
): () => Promise<Progress> {
  return async () => {
    const domain = await target.trustDomain();
    const untaken = target.untaken();
    const progress = rotationProgress(domain.status, { ...asked, untaken: untaken.text });
    const isTaken = domain.status.lastManualRotation?.[asked.word] === asked.id;
    const panel = rotationPanel({ domain, rotation: asked, now: io.clock.now() });
    return { ...progress, panel, ...(isTaken ? {} : givenUp(untaken)) };
  };
}

function lookAtDistrust({ target, io }: Asking, wanted: Omit<Distrust, "untaken">): () => Promise<Progress> {
  const title = `Emergency: nobody is to trust the ${kindWord(wanted)} key ${wanted.oldKey}`;
  return async () => {
    const domain = await target.trustDomain();
    const identities = await target.identities();
    const count = identities === undefined ? undefined : reissued(identities, domain.status, wanted);
    const untaken = target.untaken();
    const progress = distrustProgress(domain.status, { ...wanted, untaken: untaken.text }, count);
    const facts = reissuedFacts(count);
    const panel = rotationPanel({ domain, rotation: wanted, title, now: io.clock.now(), facts });
    const isTaken = domain.status.authorities?.every(({ keyID }) => keyID !== wanted.oldKey) ?? false;
    return { ...progress, panel, ...(isTaken ? {} : givenUp(untaken)) };
  };
}

function givenUp({ lost }: Untaken): Partial<Progress> {
  return lost === undefined ? {} : { text: lost, isHopeless: true };
}

function dataOf(
  target: RotationTarget,
  { rotation, domain, id, compromised }: Asked,
  end: Followed | undefined,
): object {
  const request = {
    kind: "rotate",
    authority: rotation.kind,
    trustDomain: domain,
    ...(id === undefined ? {} : { id }),
    ...(compromised === undefined ? {} : { compromised }),
  };
  const done = end === undefined ? {} : { done: end.progress.isDone, progress: end.progress.text };
  return { request, ...target.data(), ...done };
}

function sentence(
  target: RotationTarget,
  { rotation, domain, id, compromised }: Asked,
  { end, io }: { readonly end: Followed | undefined; readonly io: Io },
): string {
  const paint = painter(io);
  const word = kindWord(rotation);
  const what =
    compromised === undefined
      ? `the rotation of the ${word} key of ${domain}`
      : `that nobody trusts the ${word} key ${compromised} of ${domain} any more`;
  const requested = `${paint(end === undefined ? "good" : "warn", "Requested")} ${what}`;
  if (end === undefined && compromised !== undefined && id === undefined)
    return `${paint("good", "Nothing")} was asked for: the ${word} key ${compromised} of ${domain} was distrusted within the hour, and another signs. --wait follows what is issued anew. If that other one is stolen too: ${target.byHand(rotation.kind, "KEY-ID")}.`;
  if (end === undefined) return `${requested}. ${target.carriedOut(compromised !== undefined)}`;
  const { progress, isInterrupted } = end;
  if (progress.isDone && compromised === undefined)
    return `${paint("good", "Rotated")} the ${word} key of ${domain}: ${progress.text}; the old one stays published while anything it signed may be alive.`;
  if (progress.isDone)
    return `${paint("good", "Distrusted")} the ${word} key of ${domain}: ${progress.text}.`;
  if (isInterrupted)
    return `${requested}, which goes on by itself: ${progress.text}. meshid status shows where it stands.`;
  if (progress.isHopeless === true) return `${requested}. ${progress.text}`;
  const next =
    progress.isFaulty === true ? "It goes on by itself once that is mended" : "It goes on by itself";
  return `${requested}, and it is not done yet: ${progress.text}. ${next}; ${target.remedy}`;
}

function usage(message: string): OperatorError {
  return new OperatorError("INVALID_CONFIGURATION", message);
}
