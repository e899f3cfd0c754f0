/**
 * Stands for the Service in front of the replicas: each new connection goes to one that says it is ready.
 */

import { type AddressInfo, connect, createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { ControllerProcess } from "../../support/controller-process.ts";
import { oneOf } from "./bed.ts";

const LOOK_EVERY = 250;

export interface Service extends AsyncDisposable {
  readonly port: number;
}

/** `replicas`: those that run at present. */
export async function startService(replicas: () => readonly ControllerProcess[]): Promise<Service> {
  let ready: readonly ControllerProcess[] = [];
  const stop = new AbortController();
  const server = createServer((near) => {
    near.on("error", () => {});
    if (ready.length === 0) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(oneOf(ready).listenPort, "127.0.0.1");
    far.on("error", () => near.destroy());
    near.pipe(far).pipe(near);
    near.on("close", () => far.destroy());
  });
  const look = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const answers = await Promise.all(
        replicas().map(async (one) => {
          const answer = await one.probe("/readyz").catch(() => undefined);
          return answer?.status === 200 ? [one] : [];
        }),
      );
      ready = answers.flat();
      await pause(LOOK_EVERY);
    }
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const looking = look();
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await looking;
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
