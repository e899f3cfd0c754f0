/**
 * A Secret, explained: what lies in it by the reports for files, and what meshid noted on it.
 */

import { invalidInput } from "../../core/errors.ts";
import { type KubeObject, secretContent } from "../../kubernetes/objects.ts";
import {
  CONTENT_ANNOTATION,
  decodeKeyHashes,
  ISSUED_SINCE_ANNOTATION,
  REVISION_ANNOTATION,
  SPIFFE_ID_ANNOTATION,
} from "../../reconcile/annotations.ts";
import { keyHashes } from "../../reconcile/facts.ts";
import { KNOWN_FORMS } from "../inspect/content.ts";
import type { InspectOptions } from "../inspect/content-report.ts";
import { filesReport } from "../inspect/directory-report.ts";
import { type Fact, type Fault, fact, note, type Report, textOfFact, wrong } from "../inspect/report.ts";
import { filesIn } from "./secret.ts";

const MAX_FILES = 64;

/** @throws INVALID_INPUT where nothing in it can be explained. */
export async function secretReport(secret: KubeObject, options: InspectOptions): Promise<Report> {
  const { namespace = "", name } = secret.metadata;
  const files = filesIn(secret);
  const shown = new Map([...files].slice(0, MAX_FILES));
  const report = await filesReport(shown, "Secret", options);
  const isOurs = annotationOf(secret, SPIFFE_ID_ANNOTATION) !== undefined;
  const isUnknown = report.parts.every(({ faults }) => faults.some(({ rule }) => rule === "content"));
  if (isUnknown && files.size > 0 && !isOurs)
    throw invalidInput(`secret/${name}`, "holds nothing that meshid can explain", KNOWN_FORMS);
  const cut =
    files.size > MAX_FILES
      ? [note("files", `only ${MAX_FILES} of its ${files.size} keys were looked at`)]
      : [];
  const parts = isOurs ? report.parts : report.parts.map(asForeignPart);
  return {
    ...report,
    name: `${namespace}/${name}`,
    facts: [...report.facts, ...metadataFacts(secret)],
    faults: [
      ...cut,
      ...(isOurs ? report.faults : report.faults.map(asForeign)),
      ...(isOurs
        ? ownFaults(secret, report)
        : [note("owner", "meshid has not written this Secret, and never renews it")]),
    ],
    parts,
  };
}

function metadataFacts(secret: KubeObject): readonly Fact[] {
  const owner = secret.metadata.ownerReferences?.find(({ controller }) => controller === true);
  const revision = annotationOf(secret, REVISION_ANNOTATION);
  const since = annotationOf(secret, ISSUED_SINCE_ANNOTATION);
  const { type } = secret;
  return [
    ...(typeof type === "string" ? [fact("type", "Type", type)] : []),
    ...(owner === undefined ? [] : [fact("owner", "Belongs to", `${owner.kind} ${owner.name}`)]),
    ...(revision === undefined
      ? []
      : [
          fact(
            "revision",
            "Issued",
            revision,
            `${revision === "1" ? "once" : `${revision} times`} into this Secret`,
          ),
        ]),
    ...(since === undefined ? [] : [fact("issuedSince", "Without a gap since", since)]),
  ];
}

/** Whether it still is what meshid wrote. */
function ownFaults(secret: KubeObject, { facts }: Report): readonly Fault[] {
  const noted = annotationOf(secret, SPIFFE_ID_ANNOTATION);
  const found = facts.find(({ name }) => name === "spiffeID");
  const held = found === undefined ? undefined : textOfFact(found);
  const isOther = held !== undefined && held !== noted;
  return [
    ...(isOther
      ? [wrong("identity", `was issued for ${noted ?? "nobody"}, but its certificate is for ${held}`)]
      : []),
    ...changedKeys(secret).map((key) =>
      wrong(
        "changed",
        `${key} is not what meshid wrote: another writer has changed it, and meshid issues it anew`,
      ),
    ),
  ];
}

function changedKeys(secret: KubeObject): readonly string[] {
  const noted = decodeKeyHashes(annotationOf(secret, CONTENT_ANNOTATION));
  const held = keyHashes(secretContent(secret));
  return Object.keys(noted).filter((key) => noted[key] !== held[key]);
}

/** Others have no bundle beside their certificate, and whatever else they need. */
function asForeign(fault: Fault): Fault {
  return fault.rule === "missing" && fault.message.startsWith("ca.crt")
    ? { ...fault, severity: "note" }
    : fault;
}

function asForeignPart(part: Report): Report {
  const faults = part.faults.map((fault): Fault => {
    return fault.rule === "content" ? { ...fault, severity: "note" } : fault;
  });
  return { ...part, faults };
}

function annotationOf({ metadata }: KubeObject, name: string): string | undefined {
  return metadata.annotations?.[name];
}
