/**
 * What an authority knows at one revision of its journal: immutable, and swapped as a whole.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { CLOCK_SKEW, toRfc3339 } from "../core/clock.ts";
import { OperatorError } from "../core/errors.ts";
import type { JwtAlgorithm } from "../jwt/jwt-svid.ts";
import { parseTrustDomain, type TrustDomain } from "../spiffe/trust-domain.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { KeyId } from "../x509/keys.ts";
import { loadIssuer, requireKey } from "./key-material.ts";
import type { KeyStore } from "./ports.ts";
import { type Documents, documentsOf } from "./published-content.ts";
import { type JwtSigner, makeJwtSigner, makeX509Signer, type X509Signer } from "./signer.ts";
import {
  type AuthorityKind,
  activeSlot,
  clockFault,
  type Distrusted,
  type Journal,
  latestInstant,
  type Slot,
} from "./slot.ts";

/** The public side of the authority. */
export interface AuthorityView extends Documents {
  readonly trustDomain: TrustDomain;
  /** The `iss` of every token. */
  readonly issuer: string;
  /** What signs leaves at present. */
  readonly issuing: { readonly certificate: Certificate; readonly keyID: KeyId; readonly notAfter: Seconds };
  /** What signs tokens at present. */
  readonly jwt: { readonly keyID: KeyId; readonly algorithm: JwtAlgorithm; readonly notAfter: Seconds };
  readonly bundleHash: string;
  readonly sequence: number;
  readonly slots: readonly Slot[];
  /** The honoured values of rotations asked for by hand. */
  readonly honoured: Journal["honoured"];
  /** The latest keys that were taken out at once because somebody else may have them. */
  readonly distrusted: readonly Distrusted[];
}

export interface AuthorityState {
  readonly journal: Journal;
  readonly view: AuthorityView;
  readonly x509: X509Signer;
  readonly jwt: JwtSigner;
  /** A clock that shows less is wrong. */
  readonly earliestClock: Seconds;
}

/**
 * Keys and documents that have not changed are taken from `previous`.
 * @throws AUTHORITY_NOT_READY when the key of an active slot is missing; STORAGE_FAILED.
 */
export async function stateOf(
  journal: Journal,
  { keyStore }: { readonly keyStore: KeyStore },
  previous?: AuthorityState,
): Promise<AuthorityState> {
  const trustDomain = previous?.view.trustDomain ?? parseTrustDomain(journal.trustDomain);
  const x509 = await x509Signer(journal, keyStore, previous?.x509);
  const jwt = await jwtSigner(requireActive(journal, "JWT"), keyStore, previous?.jwt);
  const isSamePublication =
    previous?.journal.bundle.sequence === journal.bundle.sequence &&
    previous.journal.bundle.hash === journal.bundle.hash;
  const documents = isSamePublication ? previous.view : documentsOf(journal, trustDomain);
  const view: AuthorityView = {
    trustDomain,
    issuer: journal.issuer,
    issuing: { certificate: x509.issuer.certificate, keyID: x509.slot.keyID, notAfter: x509.slot.notAfter },
    jwt: { keyID: jwt.slot.keyID, algorithm: jwt.algorithm, notAfter: jwt.slot.notAfter },
    caPem: documents.caPem,
    bundleJson: documents.bundleJson,
    jwksJson: documents.jwksJson,
    discoveryJson: documents.discoveryJson,
    roots: documents.roots,
    bundleHash: journal.bundle.hash,
    sequence: journal.bundle.sequence,
    slots: journal.slots,
    honoured: journal.honoured,
    distrusted: journal.distrusted ?? [],
  };
  return { journal, view, x509, jwt, earliestClock: seconds(latestInstant(journal) - CLOCK_SKEW) };
}

/** @throws CLOCK_SKEW, AUTHORITY_NOT_READY (both retryable) when nothing may be signed with `slot` at `now`. */
export function requireClock(
  state: AuthorityState,
  slot: { readonly notBefore: Seconds; readonly notAfter: Seconds },
  now: Seconds,
): void {
  if (now < state.earliestClock || now < slot.notBefore) {
    const message =
      clockFault(state.journal, now) ??
      `the clock says ${toRfc3339(now)}, before the active key is valid (${toRfc3339(slot.notBefore)}): set the clock`;
    throw new OperatorError("CLOCK_SKEW", message, { retryable: true });
  }
  if (now < slot.notAfter) return;
  throw new OperatorError(
    "AUTHORITY_NOT_READY",
    `the active key ended at ${toRfc3339(slot.notAfter)}, and it is ${toRfc3339(now)}: its successor is on the way, unless the clock is wrong`,
    { retryable: true },
  );
}

async function x509Signer(
  journal: Journal,
  keyStore: KeyStore,
  previous: X509Signer | undefined,
): Promise<X509Signer> {
  const slot = requireActive(journal, "Issuing");
  const { crossCertificate } = journal.slots.find(({ keyID }) => keyID === slot.issuerKeyID) ?? {};
  const isSame = previous?.slot.keyID === slot.keyID && previous.slot.certificate === slot.certificate;
  if (isSame && previous.slot.intermediates === slot.intermediates)
    return { ...previous, slot, crossCertificate };
  return makeX509Signer(slot, await loadIssuer(keyStore, slot, journal.slots), crossCertificate);
}

async function jwtSigner(
  slot: Slot,
  keyStore: KeyStore,
  previous: JwtSigner | undefined,
): Promise<JwtSigner> {
  if (previous?.slot.keyID === slot.keyID) return { ...previous, slot };
  return makeJwtSigner(slot, await requireKey(keyStore, slot));
}

function requireActive(journal: Journal, kind: AuthorityKind): Slot {
  const slot = activeSlot(journal, kind);
  if (slot !== undefined) return slot;
  throw new OperatorError("AUTHORITY_NOT_READY", `there is no active slot of kind ${kind}`);
}
