/**
 * What a refusal says, for tables that compare it.
 */

import { OperatorError } from "../../src/core/errors.ts";

/** `VERIFICATION_FAILED J-09`, `INVALID_INPUT spiffeID`; `accepted` when nothing is thrown. Other errors pass. */
export function refusalOf(act: () => unknown): string {
  try {
    act();
    return "accepted";
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    return `${error.code} ${error.details["rule"] ?? error.details["field"]}`;
  }
}

/** The code of the refusal that a promise ends with; `accepted` when it is fulfilled. Other errors pass. */
export async function codeOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
    return "accepted";
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    return error.code;
  }
}

/** Code and details of the refusal that `act` throws. Other errors pass. @throws Error when nothing is refused. */
export function detailsOf(act: () => unknown): Pick<OperatorError, "code" | "details"> {
  try {
    act();
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    return { code: error.code, details: error.details };
  }
  throw new Error("nothing was refused");
}
