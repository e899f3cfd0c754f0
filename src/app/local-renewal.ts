/**
 * `meshid renew` of a `meshid local`: a request in STATE, and what OUT says of it.
 */

import { leaveRequest } from "../directory/requests.ts";
import type { Io } from "./io.ts";
import { listIdentities, readIdentities, readOneIdentity } from "./observed-objects.ts";
import type { Places } from "./places.ts";
import type { RenewalTarget } from "./renewal-target.ts";
import { carriedOutLocally, placesData, untakenLocally } from "./requests-for-holder.ts";
import { unknownIdentity } from "./unknown-identity.ts";

export function localRenewals(places: Places, io: Io): RenewalTarget {
  const { out, state } = places;
  const start = io.clock.monotonic();
  return {
    list: async (namespace) => (await readIdentities(out, namespace)).identities,
    get: (at) => readOneIdentity(out, at),
    unknown: async ({ namespace, name }) => unknownIdentity(name, namespace, await listIdentities(out)),
    ask: async (identities, { onAsked }) => {
      const [first, ...more] = identities;
      const asked = identities.map(({ namespace, name }) => ({ namespace, name }));
      // One file for all: either everything is asked for, or nothing.
      const request =
        first !== undefined && more.length === 0
          ? { kind: "renew" as const, namespace: first.namespace, name: first.name }
          : { kind: "renew-all" as const, identities: asked };
      const id = leaveRequest(state, request, io);
      onAsked(asked.length);
      return { id, asked, refused: [] };
    },
    untaken: () => untakenLocally(places, { start, io }),
    carriedOut: () => carriedOutLocally(places),
    remedy: "meshid status shows why.",
    data: () => placesData(places),
  };
}
