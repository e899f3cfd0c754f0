/**
 * Looks at every output directory for authorities: reads the files, whatever was written before.
 */

import type { Observation } from "../authority/rotation-plan.ts";
import type { Observer } from "../controller/ports.ts";
import { authoritiesIn } from "../reconcile/facts.ts";
import type { KeyId } from "../x509/keys.ts";
import type { ObjectStore } from "./object-store.ts";

const MAX_NAMED = 10_000;
const CHUNK = 10;

export function directoryObserver(store: ObjectStore): Observer {
  return {
    look: async (slots): Promise<Observation> => {
      const lacking = new Map<KeyId, string[]>(slots.map(({ keyID }) => [keyID, []]));
      let consumers = 0;
      for (const ref of store.refs()) {
        if (ref.kind === "PeerAuthentication") continue;
        const content = store.read(ref)?.content;
        if (content === undefined) continue;
        const { roots, jwt } = authoritiesIn(content);
        for (const { kind, keyID } of slots) {
          const carried = kind === "JWT" ? jwt : roots;
          const named = lacking.get(keyID);
          if (carried === undefined || carried.has(keyID) || named === undefined || named.length >= MAX_NAMED)
            continue;
          named.push(`${ref.kind} ${ref.namespace}/${ref.name}`);
        }
        if (++consumers % CHUNK === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      return { lacking, consumers };
    },
  };
}
