/**
 * `meshid rotate root|issuing|jwt`
 */

import type { AuthorityKind } from "../../authority/slot.ts";
import { invalidInput, quoted } from "../../core/errors.ts";
import { isPending, leaveRequest } from "../../directory/requests.ts";
import type { Io } from "../io.ts";
import { type GivenOptions, textOf } from "../options.ts";
import { findPlaces } from "../places.ts";
import { reportRequest } from "../requests-for-holder.ts";

const KINDS: Readonly<Record<string, AuthorityKind>> = { root: "Root", issuing: "Issuing", jwt: "JWT" };

/** @throws INVALID_CONFIGURATION for an unknown state; STORAGE_FAILED. */
export async function runRotate(options: GivenOptions, io: Io): Promise<number> {
  const kind = textOf(options, "KIND") ?? "";
  const authority = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  if (authority === undefined)
    throw invalidInput("KIND", `${quoted(kind)} is no kind of key`, Object.keys(KINDS).join(", "));
  const places = await findPlaces(options);
  const id = leaveRequest(places.state, { kind: "rotate", authority }, io);
  const request = {
    what: `rotation of the ${kind === "jwt" ? "JWT" : kind} key`,
    data: { kind: "rotate", authority, id },
    places,
    isWaiting: () => isPending(places.state, id),
  };
  return reportRequest(request, options, io);
}
