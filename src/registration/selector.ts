/**
 * Selectors by label.
 */

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
