/**
 * Names as Kubernetes checks them (RFC 1123): done here too, because local mode has no API server and names become paths.
 */

import { quoted } from "../core/errors.ts";
import type { Report } from "./field-path.ts";

const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
/** Of the names of objects, of keys in a Secret and of DNS names. */
export const MAX_SUBDOMAIN = 253;
const MAX_QUALIFIED_NAME = 317;
const QUALIFIED_NAME =
  /^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/;
const EXPECTED_LABEL_KEY = "[<DNS name>/]<name of at most 63 letters, digits, '-', '_' and '.'>";
const EXPECTED_LABEL_VALUE =
  "a label value: letters, digits, '-', '_' and '.', with a letter or digit at each end";

/** RFC 1123 §2.1: a namespace, or one label of a DNS name. */
export function isLabel(text: string): boolean {
  return LABEL.test(text);
}

/** The name of most objects. */
function isSubdomain(text: string): boolean {
  return text.length <= MAX_SUBDOMAIN && SUBDOMAIN.test(text);
}

/** A key of a Secret: cannot leave its directory, and cannot be one of the two names that a volume needs for itself. */
export function isSecretKey(text: string): boolean {
  return /^[-._a-zA-Z0-9]{1,253}$/.test(text) && !text.startsWith("..") && text !== ".";
}

/** The key of a label or annotation: `[<DNS name>/]<name>`. */
export function isQualifiedName(text: string): boolean {
  return text.length <= MAX_QUALIFIED_NAME && QUALIFIED_NAME.test(text);
}

export function checkSubdomain(report: Report, field: string, name: string): void {
  if (isSubdomain(name)) return;
  if (name.length > MAX_SUBDOMAIN) {
    const message = `the name is ${name.length} characters long`;
    return report(field, message, `a name of at most ${MAX_SUBDOMAIN} characters`);
  }
  report(
    field,
    `${quoted(name)} is not the name of an object`,
    "a name of lower-case letters, digits, '-' and '.', with a letter or digit at each end and beside each '.'",
  );
}

export function checkSecretKey(report: Report, field: string, key: string): void {
  if (isSecretKey(key)) return;
  report(
    field,
    `${quoted(key)} is not a key of a Secret`,
    "letters, digits, '-', '_' and '.', not '.' and not '..' at the start",
  );
}

export function checkLabelKey(report: Report, field: string, key: string): void {
  if (isQualifiedName(key)) return;
  report(field, `${quoted(key)} is not the key of a label`, `label keys: ${EXPECTED_LABEL_KEY}`);
}

export function checkLabelValue(report: Report, field: string, value: string): void {
  if (value.length <= 63 && LABEL_VALUE.test(value)) return;
  report(field, `${quoted(value)} is not the value of a label`, EXPECTED_LABEL_VALUE);
}

export function checkLabels(report: Report, field: string, labels: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(labels)) {
    checkLabelKey(report, field, key);
    checkLabelValue(report, `${field}[${JSON.stringify(key)}]`, value);
  }
}
