/**
 * Selectors by label.
 */

import { unreachable } from "../core/errors.ts";
import type { Report } from "./field-path.ts";
import { checkLabelKey, checkLabels, checkLabelValue } from "./names.ts";
import type { LabelSelector } from "./service-identity.ts";

export function checkSelector(report: Report, field: string, selector: LabelSelector): void {
  checkLabels(report, `${field}.matchLabels`, selector.matchLabels ?? {});
  for (const [index, { key, operator, values = [] }] of (selector.matchExpressions ?? []).entries()) {
    const at = `${field}.matchExpressions[${index}]`;
    checkLabelKey(report, `${at}.key`, key);
    const needsValues = operator === "In" || operator === "NotIn";
    if (needsValues !== values.length > 0) {
      report(
        `${at}.values`,
        `operator ${operator} has ${values.length} values`,
        "values with In and NotIn, and none with Exists and DoesNotExist",
      );
    }
    for (const [position, value] of values.entries()) {
      checkLabelValue(report, `${at}.values[${position}]`, value);
    }
  }
}

/** As Kubernetes decides it (`metav1.LabelSelector`); an empty selector selects everything. */
export function selects(
  { matchLabels = {}, matchExpressions = [] }: LabelSelector,
  labels: Readonly<Record<string, string>>,
): boolean {
  const hasAll = Object.entries(matchLabels).every(([key, value]) => labels[key] === value);
  return (
    hasAll &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
      switch (operator) {
        case "In":
          return value !== undefined && values.includes(value);
        case "NotIn":
          return value === undefined || !values.includes(value);
        case "Exists":
          return value !== undefined;
        case "DoesNotExist":
          return value === undefined;
        default:
          return unreachable(operator);
      }
    })
  );
}
