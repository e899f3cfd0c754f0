/**
 * When a credential is renewed: a share of its life, spread by a deterministic share of the owner's uid so that
 * credentials that were issued together are not renewed together.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { CLOCK_SKEW } from "../core/clock.ts";
import { digest } from "../core/digest.ts";

/** No renewal is planned later than this share of the life, whatever the spread. */
const LATEST_SHARE = 0.95;
const SPREAD = 0.1;
const TOKEN_RENEW_AFTER_PERCENT = 50;

export interface Life {
  /** The instant of issue: notBefore without the back-dating. */
  readonly issuedAt: Seconds;
  readonly notAfter: Seconds;
}

/** The life of a credential that was back-dated by `CLOCK_SKEW`. */
export function lifeOf(notBefore: Seconds, notAfter: Seconds): Life {
  return { issuedAt: seconds(notBefore + CLOCK_SKEW), notAfter };
}

/** `percent` of the life, ±10 % by uid, at most 95 % of the life and at least one second after the issue. */
export function renewAt(life: Life, percent: number, uid: string): Seconds {
  return at(life, (percent / 100) * (1 + SPREAD * (2 * fraction(uid) - 1)));
}

/** 50 % of the life, up to a tenth of that earlier by uid, never later. */
export function renewTokenAt(life: Life, uid: string): Seconds {
  return at(life, (TOKEN_RENEW_AFTER_PERCENT / 100) * (1 - SPREAD * fraction(uid)));
}

function at(life: Life, share: number): Seconds {
  const length = Math.max(0, life.notAfter - life.issuedAt);
  return seconds(life.issuedAt + Math.max(1, Math.floor(length * Math.min(share, LATEST_SHARE))));
}

/** A uid as a number 0 ≤ x < 1, the same for ever. */
function fraction(uid: string): number {
  return Number.parseInt(digest(uid).slice(0, 12), 16) / 2 ** 48;
}
