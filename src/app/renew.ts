/**
 * `meshid renew NAME`, wherever the identity is.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { parseRfc3339 } from "../core/clock.ts";
import { OperatorError } from "../core/errors.ts";
import { EXIT, INTERRUPTED, type Io } from "./io.ts";
import type { ObservedIdentity } from "./observed-objects.ts";
import { type GivenOptions, isSet } from "./options.ts";
import { formatData, outputFormat, painter } from "./output.ts";
import { type Followed, follow, type Progress, timeoutOf } from "./progress/follow.ts";
import { keyOf, renewalProgress } from "./progress/renewal.ts";
import type { IdentityName, RenewalTarget } from "./renewal-target.ts";
import { describeInstant } from "./times.ts";

const DEFAULT_TIMEOUT: Seconds = seconds(60);

/**
 * Resolves to the exit code: 1 when `--wait` saw no end of it.
 * @throws INVALID_CONFIGURATION for an unknown identity; what the target throws.
 */
export async function renewOne(
  target: RenewalTarget,
  at: IdentityName,
  { options, io }: { readonly options: GivenOptions; readonly io: Io },
): Promise<number> {
  const format = outputFormat(options);
  const timeout = timeoutOf(options, DEFAULT_TIMEOUT);
  const before = await target.get(at);
  if (before === undefined) throw await target.unknown(at);
  const { signal } = new AbortController();
  const { id, refused, stopped } = await target.ask([at], { onAsked: () => {}, signal });
  const [refusal] = refused;
  if (stopped !== undefined) throw stopped;
  if (refusal !== undefined) throw new OperatorError("WRITE_REFUSED", refusal.message);
  const seen: { last?: ObservedIdentity } = {};
  const look = async (): Promise<Progress> => {
    const now = await target.get(at);
    if (now === undefined || now.creationTimestamp !== before.creationTimestamp)
      throw new OperatorError("NOT_FOUND", `the identity ${keyOf(at)} was deleted meanwhile`);
    seen.last = now;
    const { text, lost } = target.untaken();
    const progress = renewalProgress(now, { id, untaken: text });
    return progress.isDone || lost === undefined ? progress : { ...progress, text: lost, isHopeless: true };
  };
  const end = isSet(options, "wait") ? await follow(look, timeout, io) : undefined;
  if (format === "json" || format === "yaml") {
    const done = end === undefined ? {} : { done: end.progress.isDone, x509: seen.last?.status.x509 };
    const request = { kind: "renew", namespace: at.namespace, name: at.name, id };
    io.stdout.write(await formatData({ request, ...target.data(), ...done }, format));
  } else io.stdout.write(`${sentence(target, keyOf(at), { end, last: seen.last, io })}\n`);
  if (end?.isInterrupted === true) return INTERRUPTED;
  return end?.progress.isDone === false ? EXIT.checkFailed : EXIT.ok;
}

interface Outcome {
  readonly end: Followed | undefined;
  readonly last: ObservedIdentity | undefined;
  readonly io: Io;
}

function sentence(target: RenewalTarget, name: string, { end, last, io }: Outcome): string {
  const paint = painter(io);
  const requested = `${paint(end === undefined ? "good" : "warn", "Requested")} the renewal of ${name}`;
  if (end === undefined) return `${requested}. ${target.carriedOut()}`;
  const { progress, isInterrupted } = end;
  if (isInterrupted)
    return `${requested}, which goes on by itself: ${progress.text}. meshid status shows it.`;
  if (progress.isHopeless === true) return `${requested}. ${progress.text}`;
  if (!progress.isDone) return `${requested}, and it is not done yet: ${progress.text}. ${target.remedy}`;
  const x509 = last?.status.x509;
  const notAfter = parseRfc3339(x509?.notAfter ?? "");
  const until = notAfter === undefined ? "" : `, valid until ${describeInstant(notAfter, io.clock.now())}`;
  return `${paint("good", "Renewed")} ${name}: serial ${x509?.serialNumber ?? "unknown"}${until}.`;
}
