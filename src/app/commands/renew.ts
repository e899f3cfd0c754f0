/**
 * `meshid renew NAME`
 */

import { OperatorError, quoted } from "../../core/errors.ts";
import { isPending, leaveRequest } from "../../directory/requests.ts";
import type { Io } from "../io.ts";
import { type IdentityFile, listIdentities } from "../observed-objects.ts";
import { type GivenOptions, textOf } from "../options.ts";
import { findPlaces } from "../places.ts";
import { reportRequest } from "../requests-for-holder.ts";
import { didYouMean } from "../suggest.ts";

/** @throws INVALID_CONFIGURATION for an unknown identity or state; STORAGE_FAILED. */
export async function runRenew(options: GivenOptions, io: Io): Promise<number> {
  const name = textOf(options, "NAME") ?? "";
  const namespace = textOf(options, "namespace") ?? "default";
  const places = await findPlaces(options);
  const known = await listIdentities(places.out);
  if (!known.some((each) => each.name === name && each.namespace === namespace))
    throw unknownIdentity(name, namespace, known);
  const id = leaveRequest(places.state, { kind: "renew", namespace, name }, io);
  const request = {
    what: `renewal of ${namespace}/${name}`,
    data: { kind: "renew", namespace, name, id },
    places,
    isWaiting: () => isPending(places.state, id),
  };
  return reportRequest(request, options, io);
}

function unknownIdentity(name: string, namespace: string, known: readonly IdentityFile[]): OperatorError {
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
