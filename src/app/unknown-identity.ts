/**
 * The answer to a name that no identity has.
 */

import { OperatorError, quoted } from "../core/errors.ts";
import { didYouMean } from "./suggest.ts";

/** With what the user may have meant, among the identities that are known. */
export function unknownIdentity(
  name: string,
  namespace: string,
  known: readonly { readonly namespace: string; readonly name: string }[],
): OperatorError {
  const elsewhere = known.filter((each) => each.name === name).map((each) => each.namespace);
  const here = known.filter((each) => each.namespace === namespace).map((each) => each.name);
  const hint =
    elsewhere.length > 0
      ? `; did you mean ${elsewhere
          .map((each) => `-n ${each}`)
          .slice(0, 3)
          .join(" or ")}?`
      : didYouMean(name, here);
  const message = `NAME: there is no identity ${quoted(name)} in the namespace ${quoted(namespace)}; expected one that meshid status shows${hint}`;
  return new OperatorError("INVALID_CONFIGURATION", message);
}
