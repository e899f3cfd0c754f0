/**
 * `meshid rotate root|issuing|jwt` of a `meshid local`: a request in STATE, and what OUT says of it.
 */

import { join } from "node:path";
import { decodeJournal } from "../authority/journal.ts";
import type { AuthorityKind } from "../authority/slot.ts";
import { OperatorError } from "../core/errors.ts";
import { leaveRequest } from "../directory/requests.ts";
import { readText } from "./files.ts";
import type { Io } from "./io.ts";
import { readIdentities, readTrustDomain } from "./observed-objects.ts";
import type { Places } from "./places.ts";
import { carriedOutLocally, placesData, untakenLocally } from "./requests-for-holder.ts";
import type { RotationTarget } from "./rotation-target.ts";

export function localTarget(places: Places, io: Io): RotationTarget {
  const { out, state } = places;
  const start = io.clock.monotonic();
  return {
    trustDomain: async () => {
      const found = await readTrustDomain(out);
      if (found !== undefined) return found;
      throw new OperatorError(
        "INVALID_CONFIGURATION",
        `${out} has no trustdomain.yaml; expected the OUT of a meshid local that has run at least once`,
      );
    },
    identities: async () => (await readIdentities(out)).identities,
    ask: ({ kind: authority }, compromised) => {
      const request = {
        kind: "rotate",
        authority,
        ...(compromised === undefined ? {} : { compromised }),
      } as const;
      return Promise.resolve(leaveRequest(state, request, io));
    },
    lastDistrusted: async (kind) => {
      const text = await readText(join(state, "journal.json"));
      return text === undefined ? undefined : distrustedIn(text, kind);
    },
    untaken: () => untakenLocally(places, { start, io }),
    carriedOut: () => carriedOutLocally(places),
    remedy: "meshid status shows it.",
    placeOf: (secret) => `meshid-system/${secret}/ in the directory of the identities`,
    data: () => placesData(places),
    byHand: (kind, keyID) =>
      `the annotation meshid.dev/distrust-${kind.toLowerCase()}: ${keyID} in the file of the TrustDomain`,
  };
}

/** What is wrong with a journal that cannot be read, the meshid local that serves it says better. */
function distrustedIn(text: string, kind: AuthorityKind): string | undefined {
  try {
    const all = decodeJournal(text).distrusted?.filter((one) => one.kind === kind) ?? [];
    // Of those that went together the one that was asked for comes first.
    return all.find(({ at }) => at === all.at(-1)?.at)?.keyID;
  } catch (error) {
    if (error instanceof OperatorError) return undefined;
    throw error;
  }
}
