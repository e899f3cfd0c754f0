/**
 * Makes what a step needs and stores its keys: our own, or what someone else's CA has given.
 */

import type { Clock } from "../core/clock.ts";
import { isOperatorError, messageOf, OperatorError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import { parseCertificate } from "../x509/certificate.ts";
import type { KeyId, PrivateKey } from "../x509/keys.ts";
import { type Issuer, makeIssuer } from "../x509/template.ts";
import { makeCross } from "./cross.ts";
import { loadIssuer, makeSlot, storeKey } from "./key-material.ts";
import type { AuthorityPolicy } from "./policy.ts";
import type { KeyStore } from "./ports.ts";
import type { MadeStep, PrepareStep, SlotMaterial } from "./rotation-step.ts";
import type { Slot } from "./slot.ts";

export interface MakeSlotsDeps {
  readonly keyStore: KeyStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly policy: () => AuthorityPolicy;
  /** Told of a key before it is stored: until the journal is saved nobody needs it. */
  readonly onKey: (keyID: KeyId) => void;
}

interface Made {
  readonly made: SlotMaterial;
  /** Absent for the root of someone else's CA. */
  readonly key?: PrivateKey;
}

/** @throws SIGNING_FAILED, AUTHORITY_NOT_READY, SECRET_INVALID, STORAGE_FAILED. */
export async function makePrepared(
  step: PrepareStep,
  slots: readonly Slot[],
  deps: MakeSlotsDeps,
): Promise<MadeStep> {
  const issuer = await issuerFor(step, slots, deps);
  const { made } = await makeStored(step, issuer, deps);
  return { ...step, made: { ...made, ...(await crossFor(step, made, slots, deps)) } };
}

/** A root before what it certifies. @throws as `makePrepared`. */
export async function makeFresh(
  wanted: readonly PrepareStep[],
  slots: readonly Slot[],
  deps: MakeSlotsDeps,
): Promise<readonly MadeStep[]> {
  const steps: MadeStep[] = [];
  let root: { readonly keyID: KeyId; readonly issuer: Issuer } | undefined;
  for (const step of wanted) {
    const issuer = root?.issuer ?? (await issuerFor(step, slots, deps));
    const { made, key } = await makeStored(step, issuer, deps);
    if (step.kind === "Root" && key !== undefined && made.certificate !== undefined)
      root = { keyID: made.keyID, issuer: makeIssuer(made.certificate, key) };
    const issuerKeyID = step.issuerKeyID ?? (step.kind === "Issuing" ? root?.keyID : undefined);
    steps.push({ ...step, ...(issuerKeyID === undefined ? {} : { issuerKeyID }), made });
  }
  return steps;
}

/**
 * For a root, where the active one is to vouch for it. A help and no condition: without it the rotation goes on, since a
 * root that has lost its key is a reason to have the next one all the sooner. @throws STORAGE_FAILED
 */
async function crossFor(
  { crossedBy }: PrepareStep,
  { certificate }: SlotMaterial,
  slots: readonly Slot[],
  { keyStore, clock, random, policy }: MakeSlotsDeps,
): Promise<Pick<SlotMaterial, "crossCertificate" | "crossProblem">> {
  const former = slots.find(({ keyID }) => keyID === crossedBy);
  if (former === undefined || certificate === undefined) return {};
  try {
    const issuer = await loadIssuer(keyStore, former, slots);
    const context = { trustDomain: policy().trustDomain, random, now: clock.now() };
    const root = parseCertificate(certificate);
    return { crossCertificate: await makeCross({ former, issuer, root, ...context }) };
  } catch (error) {
    if (isOperatorError(error, "AUTHORITY_NOT_READY") || isOperatorError(error, "SIGNING_FAILED"))
      return { crossProblem: messageOf(error) };
    throw error;
  }
}

/** Our own root; undefined where nothing is to be certified by it. */
async function issuerFor(
  step: PrepareStep,
  slots: readonly Slot[],
  { keyStore }: MakeSlotsDeps,
): Promise<Issuer | undefined> {
  if (step.kind !== "Issuing" || step.external !== undefined || step.issuerKeyID === undefined)
    return undefined;
  const root = slots.find(({ keyID }) => keyID === step.issuerKeyID);
  return root === undefined ? undefined : loadIssuer(keyStore, root, slots);
}

async function makeStored(step: PrepareStep, root: Issuer | undefined, deps: MakeSlotsDeps): Promise<Made> {
  const { keyStore, clock, random, policy, onKey } = deps;
  const context = { trustDomain: policy().trustDomain, random, now: clock.now() };
  const slot: Made =
    step.external === undefined
      ? await makeSlot(step, root === undefined ? context : { ...context, root })
      : externalMaterial(step, policy());
  const { made, key } = slot;
  onKey(made.keyID);
  if (key !== undefined) await storeKey(keyStore, { made, key });
  return slot;
}

/** What someone else's CA has given, unless it has given something else meanwhile. @throws SECRET_INVALID */
function externalMaterial({ kind, external: keyID }: PrepareStep, { external }: AuthorityPolicy): Made {
  const found = external?.authority;
  const wanted = kind === "Root" ? found?.root : found?.issuing;
  if (found === undefined || wanted === undefined || wanted.keyID !== keyID) {
    const place = external?.place ?? "the Secret of the authority";
    const why = external?.problem ?? "it holds another key by now";
    throw new OperatorError("SECRET_INVALID", `${place}: ${why}`, { retryable: true });
  }
  const { publicKey, certificate } = wanted;
  const made = { keyID: wanted.keyID, publicKey, certificate };
  if (kind === "Root") return { made };
  return { made: { ...made, intermediates: found.issuing.intermediates }, key: found.key };
}
