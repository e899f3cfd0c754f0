/**
 * A whole OUT directory: every identity in it, and what is wrong with its credentials.
 */

import { join } from "node:path";
import type { Seconds } from "../../core/brand.ts";
import { parseRfc3339 } from "../../core/clock.ts";
import { isOperatorError, messageOf } from "../../core/errors.ts";
import { type Entry, isDirectory } from "../files.ts";
import { type ObservedIdentity, readIdentities } from "../observed-objects.ts";
import { describeInstant } from "../times.ts";
import type { InspectOptions } from "./content-report.ts";
import { directoryReport } from "./directory-report.ts";
import { type Fact, type Fault, fact, faultsOf, isGood, type Report, wrong } from "./report.ts";

/** Whether the entries are those of an OUT directory. */
export function looksLikeOutput(entries: readonly Entry[]): boolean {
  return entries.some(
    ({ name, isDirectory: isSub }) => name === "trustdomain.yaml" || (isSub && name === ".meshid"),
  );
}

/** The parts are the identities, each with the faults of its Secrets. */
export async function outputReport(out: string, options: InspectOptions): Promise<Report> {
  const { identities, unreadable } = await readIdentities(out);
  const parts: Report[] = [];
  for (const identity of identities) parts.push(await identityReport(out, identity, options));
  const good = parts.filter(isGood).length;
  return {
    kind: "output-directory",
    title: `output directory of meshid with ${identities.length} ${identities.length === 1 ? "identity" : "identities"}`,
    facts: [fact("identities", "Identities", identities.length), fact("good", "Nothing wrong with", good)],
    faults: [
      ...unreadable.map(({ path, message }) => wrong("status", `${path}: ${message}`)),
      ...(identities.length === 0 ? [wrong("empty", "no identity has been issued here")] : []),
    ],
    parts,
  };
}

async function identityReport(
  out: string,
  identity: ObservedIdentity,
  options: InspectOptions,
): Promise<Report> {
  const { status } = identity;
  const directories = secretNames(identity);
  const reports = await Promise.all(
    directories.map((name) => secretReport(join(out, identity.namespace, name), options)),
  );
  const faults = reports.flatMap((report, index) => {
    return faultsOf(report).map(({ place, message, ...rest }): Fault => {
      const path = [`${directories[index]}/`, place.replaceAll(" › ", "/")].join("");
      return { ...rest, message: `${path}: ${message}` };
    });
  });
  return {
    kind: "identity",
    title: "identity",
    name: `${identity.namespace}/${identity.name}`,
    facts: [
      ...(status.spiffeID === undefined ? [] : [fact("spiffeID", "SPIFFE ID", status.spiffeID)]),
      ...expiryFact(status.x509?.notAfter, options.now),
      fact("secrets", "Secrets", directories, directories.join(", ")),
    ],
    faults: [...conditionFaults(identity), ...faults],
    parts: [],
  };
}

async function secretReport(path: string, options: InspectOptions): Promise<Report> {
  try {
    if (await isDirectory(path)) return await directoryReport(path, options);
  } catch (error) {
    if (!isOperatorError(error)) throw error;
    return missing(messageOf(error).replace(`${path}: `, ""));
  }
  return missing("is not a directory");
}

function missing(message: string): Report {
  return {
    kind: "secret-directory",
    title: "Secret directory",
    facts: [],
    faults: [wrong("missing", message)],
    parts: [],
  };
}

function secretNames({ status }: ObservedIdentity): readonly string[] {
  return [status.x509?.secretName, status.jwt?.secretName].filter((name) => name !== undefined);
}

function conditionFaults({ status }: ObservedIdentity): readonly Fault[] {
  const ready = status.conditions?.find(({ type }) => type === "Ready");
  if (ready?.status === "True") return [];
  const cause =
    status.conditions?.find(({ type, status: value }) => type !== "Ready" && value !== "True") ?? ready;
  return [
    wrong(cause?.reason ?? "Pending", cause?.message ?? "it has no status yet: meshid has not looked at it"),
  ];
}

function expiryFact(text: string | undefined, now: Seconds): readonly Fact[] {
  const instant = text === undefined ? undefined : parseRfc3339(text);
  return text === undefined || instant === undefined
    ? []
    : [fact("notAfter", "Valid until", text, describeInstant(instant, now))];
}
