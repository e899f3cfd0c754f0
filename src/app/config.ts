/**
 * From flags and environment to what `meshid local` runs by: read once, checked as a whole, frozen.
 */

import { isAbsolute, join, relative, resolve } from "node:path";
import { quoted } from "../core/errors.ts";
import type { TrustDomain } from "../spiffe/trust-domain.ts";
import type { Address } from "./address.ts";
import type { Io } from "./io.ts";
import { DEFAULT_LISTEN, DEFAULT_WORKERS, MAX_WORKERS } from "./local-options.ts";
import {
  complain,
  DNS_NAME,
  type Reader,
  readAddress,
  readChoice,
  readMatching,
  readTrustDomain,
  readWorkers,
  throwProblems,
} from "./option-reader.ts";
import { type GivenOptions, isSet, LOG_FORMATS, LOG_LEVEL_NAMES, textOf } from "./options.ts";

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
    workers: readWorkers(reader, { otherwise: DEFAULT_WORKERS, max: MAX_WORKERS }),
    logLevel: readChoice(reader, "log-level", LOG_LEVEL_NAMES) ?? "info",
    logFormat: readChoice(reader, "log-format", LOG_FORMATS) ?? (io.isErrorTTY ? "pretty" : "json"),
  };
  checkTogether(reader, config);
  throwProblems(reader);
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
  throwProblems(reader);
  return choice;
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

function readCommand(reader: Reader): string | undefined {
  const text = textOf(reader.options, "on-renew");
  if (text === undefined || (text.trim() !== "" && !text.includes("\0"))) return text;
  return complain(reader, "on-renew", "a command for the shell");
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
