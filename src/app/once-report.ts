/**
 * What `meshid local --once` says at its end.
 */

import type { DesiredState } from "../controller/ports.ts";
import type { SourceProblem } from "../directory/documents.ts";

type Outcome = Pick<DesiredState, "identities"> & { readonly problems: readonly SourceProblem[] };

export function isAllReady(outcome: Outcome): boolean {
  return outcome.problems.length === 0 && countReady(outcome).notReady === 0;
}

export function describeOnce(outcome: Outcome): string {
  const { ready, notReady } = countReady(outcome);
  const refused = outcome.problems.length;
  const problems = refused === 0 ? "" : `, ${refused} document problem${refused === 1 ? "" : "s"}`;
  return `${ready} of ${ready + notReady} identities are ready${problems}\n`;
}

function countReady(outcome: Outcome): { readonly ready: number; readonly notReady: number } {
  let ready = 0;
  let notReady = 0;
  for (const { status } of outcome.identities()) {
    const isReady = status?.conditions?.some((one) => one.type === "Ready" && one.status === "True") === true;
    if (isReady) ready += 1;
    else notReady += 1;
  }
  return { ready, notReady };
}
