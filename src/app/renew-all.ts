/**
 * `meshid renew --all`: every identity of a namespace or of all, or those whose certificate is older than an instant.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { CLOCK_SKEW, parseRfc3339, toRfc3339 } from "../core/clock.ts";
import { messageOf, OperatorError, quoted } from "../core/errors.ts";
import { EXIT, INTERRUPTED, type Io } from "./io.ts";
import type { ObservedIdentity } from "./observed-objects.ts";
import { flagOf, type GivenOptions, isSet, textOf } from "./options.ts";
import { formatData, outputFormat, painter } from "./output.ts";
import { makeDisplay } from "./progress/display.ts";
import { type Followed, follow, type Progress, timeoutOf } from "./progress/follow.ts";
import { grouped, type Panel, progressBar } from "./progress/panel.ts";
import { countRenewals, keyOf, type Renewals, renewalsProgress } from "./progress/renewal.ts";
import type { AskedRenewals, RenewalTarget } from "./renewal-target.ts";

const DEFAULT_TIMEOUT: Seconds = seconds(3600);
const MAX_NAMED = 5;

/** Which identities are meant. */
interface Question {
  readonly namespace: string | undefined;
  readonly before: Seconds | undefined;
  /** When it was asked. */
  readonly at: Seconds;
}

interface Selection {
  readonly chosen: readonly ObservedIdentity[];
  /** Issued since the instant. */
  readonly newer: number;
  /** Nothing was issued to them yet: there is nothing to renew. */
  readonly empty: number;
}

/** What became of it. */
interface Outcome {
  readonly selection: Selection;
  readonly renewals: AskedRenewals | undefined;
  /** Asking, or waiting, was interrupted. */
  readonly isInterrupted: boolean;
  readonly end: Followed | undefined;
  /** As `--wait` saw it last. */
  readonly seen: Renewals | undefined;
}

/**
 * Resolves to the exit code: 1 when one could not be asked for, or `--wait` saw no end of it.
 * @throws INVALID_CONFIGURATION for flags that cannot be; what the target throws.
 */
export async function renewAll(
  target: RenewalTarget,
  { options, io }: { readonly options: GivenOptions; readonly io: Io },
): Promise<number> {
  const format = outputFormat(options);
  const timeout = timeoutOf(options, DEFAULT_TIMEOUT);
  const question = readQuestion(options, io.clock.now());
  const selection = select(await target.list(question.namespace), question.before);
  const outcome =
    selection.chosen.length === 0
      ? { selection, renewals: undefined, isInterrupted: false, end: undefined, seen: undefined }
      : await carryOut(target, { selection, question, timeout, waits: isSet(options, "wait") }, io);
  if (format === "json" || format === "yaml")
    io.stdout.write(await formatData(dataOf(target, question, outcome), format));
  else io.stdout.write(`${sentence(target, question, { outcome, io })}\n`);
  for (const { message, ...at } of outcome.renewals?.refused ?? [])
    io.stderr.write(`meshid renew: ${keyOf(at)}: ${message}\n`);
  if (outcome.renewals?.stopped !== undefined) throw outcome.renewals.stopped;
  if (outcome.isInterrupted) return INTERRUPTED;
  const isLeft = outcome.end?.progress.isDone === false;
  return isLeft || (outcome.renewals?.refused.length ?? 0) > 0 ? EXIT.checkFailed : EXIT.ok;
}

/** @throws INVALID_CONFIGURATION naming the flag. */
export function checkAllFlags(options: GivenOptions): void {
  if (isSet(options, "all") && textOf(options, "NAME") !== undefined)
    throw usage("NAME: cannot be used with --all; expected one of the two");
  if (isSet(options, "all")) return;
  if (options.has("before"))
    throw usage(`${flagOf(options, "before")}: needs --all; expected --all --before TIME`);
  if (textOf(options, "NAME") === undefined)
    throw usage("NAME: is missing; expected the identity's name, or --all");
}

function readQuestion(options: GivenOptions, now: Seconds): Question {
  const namespace = textOf(options, "namespace");
  const text = textOf(options, "before");
  if (text === undefined) return { namespace, before: undefined, at: now };
  const before = parseRfc3339(text);
  const flag = flagOf(options, "before");
  if (before === undefined)
    throw usage(
      `${flag}: ${quoted(text)} is no instant; expected RFC 3339, as ${toRfc3339(seconds(now - 3600))}`,
    );
  if (before > now)
    throw usage(
      `${flag}: ${quoted(text)} is in the future, and it is ${toRfc3339(now)}: what is issued until then would not be renewed; expected an instant that is over`,
    );
  return { namespace, before, at: now };
}

function select(all: readonly ObservedIdentity[], before: Seconds | undefined): Selection {
  const issued = all.filter(({ status }) => status.x509 !== undefined);
  const chosen = before === undefined ? issued : issued.filter((identity) => isOlder(identity, before));
  return { chosen, newer: issued.length - chosen.length, empty: all.length - issued.length };
}

/** `notBefore` is back-dated. One that cannot be read is no proof of having been renewed. */
function isOlder({ status }: ObservedIdentity, before: Seconds): boolean {
  const notBefore = parseRfc3339(status.x509?.notBefore ?? "");
  return notBefore === undefined || notBefore + CLOCK_SKEW < before;
}

interface Task {
  readonly selection: Selection;
  readonly question: Question;
  readonly timeout: Seconds;
  readonly waits: boolean;
}

async function carryOut(target: RenewalTarget, task: Task, io: Io): Promise<Outcome> {
  const { selection, question, timeout, waits } = task;
  const { renewals, isInterrupted } = await askFor(target, selection.chosen, io);
  const known = { selection, renewals, end: undefined, seen: undefined };
  if (!waits || isInterrupted || renewals.stopped !== undefined || renewals.asked.length === 0)
    return { ...known, isInterrupted };
  const keys = new Set(renewals.asked.map(keyOf));
  const asked = selection.chosen.filter((identity) => keys.has(keyOf(identity)));
  const title = `Renewal of ${scopeWords(asked)}`;
  const seen: { last?: Renewals } = {};
  const look = async (): Promise<Progress> => {
    const count = countRenewals(asked, await target.list(question.namespace), renewals.id);
    seen.last = count;
    const progress = renewalsProgress(count, title);
    const { lost } = target.untaken();
    const isLost = lost !== undefined && count.done === 0 && !progress.isDone;
    return isLost ? { ...progress, text: lost, isHopeless: true } : progress;
  };
  const end = await follow(look, timeout, io);
  return { ...known, end, seen: seen.last, isInterrupted: end.isInterrupted };
}

async function askFor(
  target: RenewalTarget,
  chosen: readonly ObservedIdentity[],
  io: Io,
): Promise<{ readonly renewals: AskedRenewals; readonly isInterrupted: boolean }> {
  const interrupted = new AbortController();
  using _listening = io.onInterrupt?.(() => interrupted.abort());
  const display = makeDisplay(io);
  const text = `asking for the renewal of ${scopeWords(chosen)}`;
  const show = (count: number): void =>
    display.show({ text, panel: askingPanel(text, count, chosen.length) });
  show(0);
  const renewals = await target.ask(chosen, { onAsked: show, signal: interrupted.signal });
  return { renewals, isInterrupted: interrupted.signal.aborted };
}

function askingPanel(text: string, count: number, total: number): Panel {
  return {
    title: text.charAt(0).toUpperCase() + text.slice(1),
    facts: [{ text: `Asked for ${progressBar(count, total)}` }],
    hint: "Ctrl-C stops asking; what was asked for is renewed.",
  };
}

/** `1,234 identities in 7 namespaces: bank, shop, … and 2 more` */
function scopeWords(identities: readonly ObservedIdentity[]): string {
  const namespaces = [...new Set(identities.map(({ namespace }) => namespace))];
  const more = namespaces.length - MAX_NAMED;
  const names = `${namespaces.slice(0, MAX_NAMED).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
  const where =
    namespaces.length === 1 ? `in the namespace ${names}` : `in ${namespaces.length} namespaces (${names})`;
  return `${identities.length === 1 ? "1 identity" : `${grouped(identities.length)} identities`} ${where}`;
}

function dataOf(target: RenewalTarget, { namespace, before }: Question, outcome: Outcome): object {
  const { selection, renewals, end, seen } = outcome;
  const namespaces: Record<string, number> = {};
  for (const { namespace: each } of selection.chosen) namespaces[each] = (namespaces[each] ?? 0) + 1;
  return {
    request: {
      kind: "renew",
      all: true,
      ...(namespace === undefined ? {} : { namespace }),
      ...(before === undefined ? {} : { before: toRfc3339(before) }),
      ...(renewals === undefined ? {} : { id: renewals.id }),
    },
    ...target.data(),
    identities: selection.chosen.length,
    namespaces,
    newer: selection.newer,
    withoutCertificate: selection.empty,
    asked: renewals?.asked.length ?? 0,
    refused: renewals?.refused ?? [],
    ...(renewals?.stopped === undefined ? {} : { stopped: messageOf(renewals.stopped) }),
    ...(end === undefined ? {} : { done: end.progress.isDone, progress: end.progress.text }),
    ...(seen === undefined
      ? {}
      : {
          renewed: seen.done,
          waiting: seen.waiting.map(({ identity, fault }) => {
            const { namespace: of, name } = identity;
            return { namespace: of, name, ...(fault === undefined ? {} : { fault }) };
          }),
        }),
  };
}

function sentence(
  target: RenewalTarget,
  { namespace, before, at }: Question,
  { outcome, io }: { readonly outcome: Outcome; readonly io: Io },
): string {
  const { selection, renewals, end } = outcome;
  const paint = painter(io);
  const left = leftOut(selection, before);
  if (renewals === undefined) {
    const where = namespace === undefined ? "in any namespace" : `in the namespace ${namespace}`;
    return `Nothing to renew ${where}${left === "" ? ": there is no identity" : left}.`;
  }
  const wasAskedFor = new Set(renewals.asked.map(keyOf));
  const scope = scopeWords(selection.chosen.filter((identity) => wasAskedFor.has(keyOf(identity))));
  const style = end === undefined && !outcome.isInterrupted ? "good" : "warn";
  const requested = `${paint(style, "Requested")} the renewal of ${renewals.asked.length === 0 ? "none" : scope}${refusedWords(renewals)}${left}`;
  const rest = selection.chosen.length - renewals.asked.length - renewals.refused.length;
  if (end === undefined && rest > 0 && (outcome.isInterrupted || renewals.stopped !== undefined)) {
    const again = `meshid renew --all --before ${toRfc3339(before ?? at)}${namespace === undefined ? "" : ` -n ${namespace}`}`;
    return `${requested}. ${grouped(rest)} were not asked for: ${again} goes on where this ended.`;
  }
  if (end === undefined) return `${requested}. ${target.carriedOut()}`;
  const { progress } = end;
  if (progress.isDone) return `${paint("good", "Renewed")} ${scope}${refusedWords(renewals)}${left}.`;
  if (end.isInterrupted)
    return `${requested}, which goes on by itself: ${progress.text}. meshid status shows it.`;
  if (progress.isHopeless === true) return `${requested}. ${progress.text}`;
  return `${requested}, and it is not done yet: ${progress.text}. ${target.remedy}`;
}

function refusedWords({ refused }: AskedRenewals): string {
  return refused.length === 0 ? "" : `, ${grouped(refused.length)} could not be asked for`;
}

/** Completes a sentence: who is left out, and why. */
function leftOut({ newer, empty }: Selection, before: Seconds | undefined): string {
  const parts = [
    ...(newer === 0 || before === undefined
      ? []
      : [`${grouped(newer)} issued at ${toRfc3339(before)} or later`]),
    ...(empty === 0 ? [] : [`${grouped(empty)} without a certificate yet`]),
  ];
  return parts.length === 0 ? "" : `; left out: ${parts.join(", ")}`;
}

function usage(message: string): OperatorError {
  return new OperatorError("INVALID_CONFIGURATION", message);
}
