/**
 * What every adapter of the controller's ports must do: run on the directory adapter and on a real API server.
 */

import { afterEach, beforeEach, describe } from "@jest/globals";
import { describeApplier } from "./port-contract/applier.ts";
import { describeDesired } from "./port-contract/desired.ts";
import type { PortHarness } from "./port-contract/harness.ts";
import { describeObserver } from "./port-contract/observer.ts";
import { describeHolders, describeStores } from "./port-contract/stores.ts";

export type { PortHarness } from "./port-contract/harness.ts";

export interface PortContract {
  /** Where nobody can forge a creation timestamp there is no HolderStore. */
  readonly recordsHolders: boolean;
}

export function describePorts(
  adapter: string,
  { recordsHolders }: PortContract,
  make: () => Promise<PortHarness>,
): void {
  describe(`the ports on ${adapter}`, () => {
    let ports: PortHarness;
    let uid: string;
    beforeEach(async () => {
      ports = await make();
      uid = (await ports.putIdentity("shop", "payments", {})).metadata.uid;
    });
    afterEach(async () => {
      await ports[Symbol.asyncDispose]();
    });

    describeDesired(() => ports);
    describeApplier(
      () => ports,
      () => uid,
    );
    describeObserver(
      () => ports,
      () => uid,
    );
    describeStores(() => ports);
    if (recordsHolders) describeHolders(() => ports);
  });
}
