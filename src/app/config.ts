/**
 * From flags and environment to what `meshid local` runs by: read once, checked as a whole, frozen.
 */

import { isAbsolute, join, relative, resolve } from "node:path";
import { isOperatorError, messageOf, OperatorError, quoted } from "../core/errors.ts";
import { parseTrustDomain, type TrustDomain } from "../spiffe/trust-domain.ts";
import { ADDRESS_FORM, type Address, parseAddress } from "./address.ts";
import type { Io } from "./io.ts";
import { DEFAULT_LISTEN, DEFAULT_WORKERS, MAX_WORKERS } from "./local-options.ts";
import { flagOf, type GivenOptions, isSet, LOG_FORMATS, LOG_LEVEL_NAMES, textOf } from "./options.ts";

export interface LocalConfig {
  /** Absolute paths. */
  readonly identities: string;
  readonly out: string;
  readonly state: string;
  /** Undefined: what the TrustDomain file says. */
  readonly trustDomain: TrustDomain | undefined;
  readonly clusterDomain: string;
  readonly listen: Address | undefined;
  readonly probes: Address | undefined;
  /** A name, or a number in digits. */
  readonly group: string | undefined;
  readonly onRenew: string | undefined;
  readonly once: boolean;
  readonly workers: number;
  readonly logLevel: (typeof LOG_LEVEL_NAMES)[number];
  readonly logFormat: (typeof LOG_FORMATS)[number];
}

/** Something that is wrong with one option, in the words of the user. */
interface Problem {
  readonly from: string;
  readonly message: string;
  readonly expected: string;
}

/** Reads options one by one and remembers what is wrong, so that the user hears it all at once. */
interface Reader {
  readonly options: GivenOptions;
  readonly problems: Problem[];
}

const DNS_NAME = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$/;
const GROUP = /^([A-Za-z_][A-Za-z0-9_.-]{0,31}\$?|[0-9]{1,10})$/;

/** @throws INVALID_CONFIGURATION listing every problem: flag or variable, value, expected form. */
export function parseLocalConfig(options: GivenOptions, io: Pick<Io, "isErrorTTY">): LocalConfig {
  const reader: Reader = { options, problems: [] };
  const identities = readPath(reader, "identities", "a directory of ServiceIdentity files");
  const out = readPath(reader, "out", "a directory to write to");
  const state = readStatePath(reader, out);
  const once = isSet(options, "once");
  const config: LocalConfig = {
    identities,
    out,
    state,
    once,
    trustDomain: readTrustDomain(reader),
    clusterDomain:
      readMatching(reader, "cluster-domain", DNS_NAME, "a DNS name in lower case") ?? "cluster.local",
    listen: readAddress(reader, "listen", once ? undefined : DEFAULT_LISTEN),
    probes: readAddress(reader, "probes", undefined),
    group: readMatching(reader, "group", GROUP, "the name or number of a group"),
    onRenew: readCommand(reader),
    workers: readWorkers(reader),
    logLevel: readChoice(reader, "log-level", LOG_LEVEL_NAMES) ?? "info",
    logFormat: readChoice(reader, "log-format", LOG_FORMATS) ?? (io.isErrorTTY ? "pretty" : "json"),
  };
  checkTogether(reader, config);
  if (reader.problems.length > 0) throw configurationError(reader.problems);
  return Object.freeze(config);
}

/** One choice of a closed list, for the commands that have only that to read. @throws INVALID_CONFIGURATION */
export function parseChoice<T extends string>(
  options: GivenOptions,
  name: string,
  choices: readonly T[],
): T | undefined {
  const reader: Reader = { options, problems: [] };
  const choice = readChoice(reader, name, choices);
  if (reader.problems.length > 0) throw configurationError(reader.problems);
  return choice;
}

function configurationError(problems: readonly Problem[]): OperatorError {
  const lines = problems.map(({ from, message, expected }) => `${from}: ${message}; expected ${expected}`);
  const text =
    lines.length === 1
      ? (lines[0] ?? "")
      : `${lines.length} problems:\n${lines.map((line) => `  ${line}`).join("\n")}`;
  return new OperatorError("INVALID_CONFIGURATION", text, { details: { problems: lines.length } });
}

function complain(
  { options, problems }: Reader,
  name: string,
  expected: string,
  message?: string,
): undefined {
  const value = textOf(options, name);
  const what = value === undefined ? "needs a value" : `${quoted(value)} is not usable`;
  problems.push({ from: flagOf(options, name), message: message ?? what, expected });
}

/** Empty when there is a problem. */
function readPath(reader: Reader, name: string, expected: string): string {
  const text = textOf(reader.options, name);
  const variable = `MESHID_${name.toUpperCase()}`;
  if (!reader.options.has(name))
    complain(reader, name, `${expected} (--${name} DIR or ${variable})`, "is missing");
  else if (text === undefined || text === "" || text.includes("\0")) complain(reader, name, expected);
  else return resolve(text);
  return "";
}

function readStatePath(reader: Reader, out: string): string {
  if (reader.options.has("state"))
    return readPath(reader, "state", "a directory for the authority's journal and keys");
  return out === "" ? "" : join(out, ".meshid");
}

function readTrustDomain(reader: Reader): TrustDomain | undefined {
  const text = textOf(reader.options, "trust-domain");
  if (text === undefined) return undefined;
  try {
    return parseTrustDomain(text, flagOf(reader.options, "trust-domain"));
  } catch (error) {
    if (!isOperatorError(error, "INVALID_INPUT")) throw error;
    const expected = String(error.details["expected"]);
    const start = flagOf(reader.options, "trust-domain").length + 2;
    const message = messageOf(error).slice(start).replace(`; expected ${expected}`, "");
    return complain(reader, "trust-domain", expected, message);
  }
}

function readMatching(reader: Reader, name: string, form: RegExp, expected: string): string | undefined {
  const text = textOf(reader.options, name);
  if (text === undefined || form.test(text)) return text;
  return complain(reader, name, expected);
}

function readAddress(reader: Reader, name: string, otherwise: Address | undefined): Address | undefined {
  const given = reader.options.get(name);
  if (given === undefined) return otherwise;
  if (given.value === false || given.value === "none") return undefined;
  const address = parseAddress(String(given.value));
  return address ?? complain(reader, name, `${ADDRESS_FORM}, or none`);
}

function readCommand(reader: Reader): string | undefined {
  const text = textOf(reader.options, "on-renew");
  if (text === undefined || (text.trim() !== "" && !text.includes("\0"))) return text;
  return complain(reader, "on-renew", "a command for the shell");
}

function readWorkers(reader: Reader): number {
  const text = textOf(reader.options, "workers");
  if (text === undefined) return DEFAULT_WORKERS;
  const workers = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (workers < 1 || workers > MAX_WORKERS)
    complain(reader, "workers", `a whole number from 1 to ${MAX_WORKERS}`);
  return workers;
}

function readChoice<T extends string>(reader: Reader, name: string, choices: readonly T[]): T | undefined {
  const text = textOf(reader.options, name);
  const choice = choices.find((each) => each === text);
  if (text !== undefined && choice === undefined) complain(reader, name, `one of ${choices.join(", ")}`);
  return choice;
}

/** What each option allows and two of them together do not. */
function checkTogether(reader: Reader, config: LocalConfig): void {
  const { options } = reader;
  if (config.once && config.listen !== undefined && options.get("listen")?.from === "--listen") {
    complain(
      reader,
      "listen",
      "either of the two",
      "cannot be used with --once, which ends before anyone connects",
    );
  }
  const { listen, probes } = config;
  if (listen !== undefined && probes !== undefined && probes.port !== 0 && sameAddress(listen, probes)) {
    complain(reader, "probes", "an address of its own", `is the address of --listen, port ${probes.port}`);
  }
  for (const [name, path] of [
    ["out", config.out],
    ["state", config.state],
  ] as const) {
    if (path === "" || config.identities === "" || (name === "state" && !options.has("state"))) continue;
    if (isWithin(path, config.identities)) {
      complain(
        reader,
        name,
        "a directory outside it",
        `${quoted(path)} lies in --identities, so what is written would be read as input`,
      );
    } else if (isWithin(config.identities, path)) {
      complain(
        reader,
        name,
        "a directory that does not hold it",
        `${quoted(path)} holds --identities, where only you write`,
      );
    }
  }
  if (config.state !== "" && config.out === config.state)
    complain(reader, "state", "a directory of its own", "is the same directory as --out");
}

function sameAddress(a: Address, b: Address): boolean {
  return a.port === b.port && (a.host === b.host || a.host === "::" || b.host === "::");
}

/** Also when the two are the same. */
function isWithin(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way === "" || (way !== ".." && !way.startsWith("../") && !isAbsolute(way));
}
