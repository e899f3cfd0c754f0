/**
 * `meshid rotate root|issuing|jwt`
 */

import type { AuthorityKind } from "../../authority/slot.ts";
import { invalidInput, quoted } from "../../core/errors.ts";
import { asksCluster } from "../cluster-cli/mode.ts";
import type { Io } from "../io.ts";
import { localTarget } from "../local-rotation.ts";
import { type GivenOptions, textOf } from "../options.ts";
import { findPlaces } from "../places.ts";
import { rotate } from "../rotate.ts";

const KINDS = { root: "Root", issuing: "Issuing", jwt: "JWT" } as const satisfies Record<
  string,
  AuthorityKind
>;
const WORDS = ["root", "issuing", "jwt"] as const;

/** @throws INVALID_CONFIGURATION for an unknown state, or what cannot be asked for; STORAGE_FAILED, CLUSTER_UNREACHABLE. */
export async function runRotate(options: GivenOptions, io: Io): Promise<number> {
  const text = textOf(options, "KIND") ?? "";
  const word = WORDS.find((each) => each === text);
  if (word === undefined) throw invalidInput("KIND", `${quoted(text)} is no kind of key`, WORDS.join(", "));
  const rotation = { word, kind: KINDS[word] };
  if (asksCluster(options)) {
    const { runClusterRotate } = await import("../cluster-cli/rotate.ts");
    return runClusterRotate(rotation, options, io);
  }
  const target = localTarget(await findPlaces(options), io);
  return rotate(target, { rotation, before: await target.trustDomain() }, { options, io });
}
