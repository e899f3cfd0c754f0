/**
 * In place of `src/authority/activation.ts`: nobody is looked at, nothing is waited for.
 */

import type { ActivationInput } from "../../../../src/authority/activation.ts";
import type { Draft } from "../../../../src/authority/rotation-plan.ts";

export * from "../../../../src/authority/activation.ts";

export function planActivation({ prepared }: ActivationInput, draft: Draft): void {
  const { kind, keyID } = prepared;
  draft.steps.push({ step: "Activate", kind, keyID });
}
