/**
 * Keeps the trust bundle in an identity's Secrets current where nothing can be issued into them. A fault of the identity or
 * of a signing key must neither leave a workload with roots that its peers have left behind, nor hold up the rotation that
 * would mend it.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { isOperatorError, messageOf } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import { CONTENT_ANNOTATION, encodeKeyHashes, type KeyHashes } from "../reconcile/annotations.ts";
import { issuedHashes } from "../reconcile/checks.ts";
import { type Content, publicHash } from "../reconcile/facts.ts";
import { jwtPublicContent } from "../reconcile/manifests/secret.ts";
import type { ObservedSecret } from "../reconcile/state.ts";
import { consumerName, retryRefusedAfter } from "./refusals.ts";
import { refreshID } from "./rewrite-guard.ts";
import type { IdentityReconcilerDeps } from "./work.ts";

type RefreshDeps = Pick<
  IdentityReconcilerDeps,
  "observed" | "applier" | "authority" | "clock" | "policy" | "refusals" | "rewrites"
>;

interface Refreshed {
  readonly changed: boolean;
  /** Something was in the way: when to look again. */
  readonly requeueAt?: Seconds;
}

/** Written with a password that is not at hand here. */
const TRUSTSTORE = "truststore.p12";
/** Certificates, keys and tokens stay as they are. @throws CONFLICT, STORAGE_FAILED. */
export async function refreshBundle(
  deps: RefreshDeps,
  { uid, namespace }: { readonly uid: string; readonly namespace: string },
  signal: AbortSignal,
): Promise<Refreshed> {
  const { observed, authority } = deps;
  if (!authority.isReady()) return { changed: false };
  const view = authority.view();
  let changed = false;
  const retries: Seconds[] = [];
  for (const ref of observed.ownedBy(uid)) {
    if (ref.kind !== "Secret" || ref.namespace !== namespace) continue;
    const secret = observed.secret(ref.namespace, ref.name);
    if (secret === undefined) continue;
    const content = bundleContent(issuedHashes(secret), view);
    if (content === undefined) {
      if (secret.bundleHash === undefined) continue;
      // Anyone can say that a Secret is the identity's: no rotation is to wait for it for long.
      deps.refusals.note(consumerName(ref), "what is in it is not what meshid has written");
      retries.push(retryAt(deps));
      continue;
    }
    if (publicHash(content) === secret.bundleHash) {
      deps.refusals.clear(consumerName(ref));
      continue;
    }
    const outcome = await refreshOne(deps, { uid, secret, content }, signal);
    if (outcome === "refreshed") changed = true;
    else retries.push(outcome);
  }
  return { changed, ...(retries.length === 0 ? {} : { requeueAt: seconds(Math.min(...retries)) }) };
}

/** `refreshed`, or when to try again. */
async function refreshOne(
  deps: RefreshDeps,
  stale: { readonly uid: string; readonly secret: ObservedSecret; readonly content: Content },
  signal: AbortSignal,
): Promise<"refreshed" | Seconds> {
  const { applier, refusals, rewrites } = deps;
  const { uid, secret, content } = stale;
  const { ref } = secret;
  const repair = refreshID(ref, publicHash(content));
  const heldUntil = rewrites.heldUntil(repair);
  if (heldUntil !== undefined) {
    refusals.noteRevert(consumerName(ref), heldUntil);
    return heldUntil;
  }
  const annotations = annotationsOf(secret);
  try {
    await applier.amend({ ref, ownerUid: uid, set: new Secret(content), remove: [], annotations }, signal);
  } catch (error) {
    if (!BLOCKING.some((code) => isOperatorError(error, code))) throw error;
    if (!isOperatorError(error, "NOT_FOUND")) refusals.note(consumerName(ref), messageOf(error));
    return retryAt(deps);
  }
  rewrites.repaired(repair);
  refusals.clear(consumerName(ref));
  return "refreshed";
}

function retryAt({ clock, policy }: RefreshDeps): Seconds {
  return seconds(clock.now() + retryRefusedAfter(policy().rotation.propagation));
}

/** The Secret is gone, another's or not to be written: nothing that trying at once would mend. */
const BLOCKING = ["NOT_FOUND", "NOT_OWNED", "WRITE_REFUSED"] as const;

/** The documents that belong beside what was issued; undefined where meshid's note of that is gone. */
function bundleContent(
  issued: KeyHashes,
  view: { readonly caPem: string; readonly bundleJson: string; readonly jwksJson: string },
): Content | undefined {
  const keys = Object.keys(issued);
  if (keys.length === 0) return undefined;
  if (!keys.includes("tls.crt")) return jwtPublicContent(view.bundleJson, view.jwksJson);
  const roots = Buffer.from(view.caPem);
  return { "ca.crt": roots, ...(keys.includes("cert-chain.pem") ? { "root-cert.pem": roots } : {}) };
}

/** A truststore that now lacks a root is noted no more, so that the next issuance finds it missing. */
function annotationsOf(secret: ObservedSecret): ObservedSecret["annotations"] {
  const { [TRUSTSTORE]: stale, ...issued } = issuedHashes(secret);
  if (stale === undefined) return secret.annotations;
  return { ...secret.annotations, [CONTENT_ANNOTATION]: encodeKeyHashes(issued) };
}
