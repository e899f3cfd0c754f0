/**
 * Reads options one by one and remembers what is wrong, so that the user hears it all at once.
 */

import { isOperatorError, messageOf, OperatorError, quoted } from "../core/errors.ts";
import { parseTrustDomain, type TrustDomain } from "../spiffe/trust-domain.ts";
import { ADDRESS_FORM, type Address, parseAddress } from "./address.ts";
import { flagOf, type GivenOptions, textOf } from "./options.ts";

/** Something that is wrong with one option, in the words of the user. */
interface Problem {
  readonly from: string;
  readonly message: string;
  readonly expected: string;
}

export interface Reader {
  readonly options: GivenOptions;
  readonly problems: Problem[];
}

export const DNS_NAME: RegExp =
  /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$/;

/** @throws INVALID_CONFIGURATION listing every problem: flag or variable, value, expected form. */
export function throwProblems({ problems }: Reader): void {
  if (problems.length === 0) return;
  const lines = problems.map(({ from, message, expected }) => `${from}: ${message}; expected ${expected}`);
  const text =
    lines.length === 1
      ? (lines[0] ?? "")
      : `${lines.length} problems:\n${lines.map((line) => `  ${line}`).join("\n")}`;
  throw new OperatorError("INVALID_CONFIGURATION", text, { details: { problems: lines.length } });
}

export function complain(
  { options, problems }: Reader,
  name: string,
  expected: string,
  message?: string,
): undefined {
  const value = textOf(options, name);
  const what = value === undefined ? "needs a value" : `${quoted(value)} is not usable`;
  problems.push({ from: flagOf(options, name), message: message ?? what, expected });
}

export function readTrustDomain(reader: Reader): TrustDomain | undefined {
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

export function readMatching(
  reader: Reader,
  name: string,
  form: RegExp,
  expected: string,
): string | undefined {
  const text = textOf(reader.options, name);
  if (text === undefined || form.test(text)) return text;
  return complain(reader, name, expected);
}

export function readAddress(
  reader: Reader,
  name: string,
  otherwise: Address | undefined,
): Address | undefined {
  const given = reader.options.get(name);
  if (given === undefined) return otherwise;
  if (given.value === false || given.value === "none") return undefined;
  const address = parseAddress(String(given.value));
  return address ?? complain(reader, name, `${ADDRESS_FORM}, or none`);
}

export function readWorkers(
  reader: Reader,
  { otherwise, max }: { readonly otherwise: number; readonly max: number },
): number {
  const text = textOf(reader.options, "workers");
  if (text === undefined) return otherwise;
  const workers = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (workers < 1 || workers > max) complain(reader, "workers", `a whole number from 1 to ${max}`);
  return workers;
}

export function readChoice<T extends string>(
  reader: Reader,
  name: string,
  choices: readonly T[],
): T | undefined {
  const text = textOf(reader.options, name);
  const choice = choices.find((each) => each === text);
  if (text !== undefined && choice === undefined) complain(reader, name, `one of ${choices.join(", ")}`);
  return choice;
}
