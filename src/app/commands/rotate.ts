/**
 * `meshid rotate root|issuing|jwt`
 */

import type { AuthorityKind } from "../../authority/slot.ts";
import { invalidInput, quoted } from "../../core/errors.ts";
import { isPending, leaveRequest } from "../../directory/requests.ts";
import { asksCluster } from "../cluster-cli/mode.ts";
import type { Io } from "../io.ts";
import { type GivenOptions, textOf } from "../options.ts";
import { findPlaces } from "../places.ts";
import { reportRequest } from "../requests-for-holder.ts";

const KINDS = { root: "Root", issuing: "Issuing", jwt: "JWT" } as const satisfies Record<
  string,
  AuthorityKind
>;
const WORDS = ["root", "issuing", "jwt"] as const;

/** @throws INVALID_CONFIGURATION for an unknown state; STORAGE_FAILED, CLUSTER_UNREACHABLE. */
export async function runRotate(options: GivenOptions, io: Io): Promise<number> {
  const text = textOf(options, "KIND") ?? "";
  const kind = WORDS.find((word) => word === text);
  if (kind === undefined) throw invalidInput("KIND", `${quoted(text)} is no kind of key`, WORDS.join(", "));
  if (!asksCluster(options)) return runLocalRotate(kind, options, io);
  const { runClusterRotate } = await import("../cluster-cli/rotate.ts");
  return runClusterRotate({ word: kind, kind: KINDS[kind] }, options, io);
}

async function runLocalRotate(kind: keyof typeof KINDS, options: GivenOptions, io: Io): Promise<number> {
  const authority = KINDS[kind];
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
