/**
 * Checks of metadata that an API server makes: local mode has none.
 */

import { quoted } from "../core/errors.ts";
import { type FieldFault, fieldFault, type Report } from "./field-path.ts";
import { checkLabels, checkSubdomain, isLabel, isQualifiedName } from "./names.ts";

/** Of all annotations together: keys and values, in bytes. */
const MAX_ANNOTATIONS_BYTES = 262_144;
/** What of an annotation's value is kept in a status. */
const MAX_REQUEST_LENGTH = 253;

/** As far as a document gives it. */
export interface DocumentMetadata {
  readonly name?: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly creationTimestamp?: string | null;
  readonly generation?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Every fault; an absent namespace is none. */
export function checkMetadata(
  metadata: DocumentMetadata,
  { scope }: { readonly scope: "Namespaced" | "Cluster" },
): readonly FieldFault[] {
  const faults: FieldFault[] = [];
  const report: Report = (...fault) => faults.push(fieldFault(...fault));
  const { name, namespace } = metadata;
  if (name === undefined) report("metadata.name", "is missing", "the name of the object");
  else checkSubdomain(report, "metadata.name", name);
  if (namespace !== undefined) checkNamespace(report, namespace, scope);
  checkLabels(report, "metadata.labels", metadata.labels ?? {});
  checkAnnotations(report, metadata.annotations ?? {});
  return faults;
}

/**
 * The value of an annotation that asks for something once per value, cut so that the status can name it: as the API server
 * will give it back, also where the cut goes through a character, and without what was cut off in memory.
 */
export function requestedBy(
  annotations: Readonly<Record<string, string>> | undefined,
  annotation: string,
): string | undefined {
  const value = annotations?.[annotation];
  return value === undefined ? undefined : Buffer.from(value.slice(0, MAX_REQUEST_LENGTH)).toString("utf8");
}

function checkNamespace(report: Report, namespace: string, scope: "Namespaced" | "Cluster"): void {
  const field = "metadata.namespace";
  if (scope === "Cluster") return report(field, "this kind has no namespace", "no namespace");
  if (isLabel(namespace)) return;
  report(
    field,
    `${quoted(namespace)} is not the name of a namespace`,
    "at most 63 lower-case letters, digits and '-', with a letter or digit at each end",
  );
}

function checkAnnotations(report: Report, annotations: Readonly<Record<string, string>>): void {
  let size = 0;
  for (const [key, value] of Object.entries(annotations)) {
    size += Buffer.byteLength(key) + Buffer.byteLength(value);
    if (isQualifiedName(key.toLowerCase())) continue;
    report(
      "metadata.annotations",
      `${quoted(key)} is not the key of an annotation`,
      "annotation keys: [<DNS name>/]<name of at most 63 letters, digits, '-', '_' and '.'>",
    );
  }
  if (size > MAX_ANNOTATIONS_BYTES) {
    report("metadata.annotations", `they have ${size} bytes`, `at most ${MAX_ANNOTATIONS_BYTES} bytes`);
  }
}
