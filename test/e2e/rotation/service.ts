/**
 * Stands for the Service in front of the replicas: each new connection goes to one that says it is ready. Who is ready is told to
 * those who look at EndpointSlices, too.
 */

import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { ControllerProcess } from "../../support/controller-process.ts";
import { oneOf } from "./bed.ts";

const LOOK_EVERY = 250;

export interface Service extends AsyncDisposable {
  readonly port: number;
}

export interface ServiceOptions {
  /** Those that run at present. */
  readonly replicas: () => readonly ControllerProcess[];
  /** Called when others are ready than before. */
  readonly onReady: (ready: readonly ControllerProcess[]) => Promise<void>;
}

export async function startService({ replicas, onReady }: ServiceOptions): Promise<Service> {
  let ready: readonly ControllerProcess[] = [];
  const stop = new AbortController();
  const open = new Set<Socket>();
  const server = createServer((near) => {
    open.add(near);
    near.on("error", () => {});
    if (ready.length === 0) {
      open.delete(near);
      near.resetAndDestroy();
      return;
    }
    const far = connect(oneOf(ready).listenPort, "127.0.0.1");
    far.on("error", () => near.destroy());
    near.pipe(far).pipe(near);
    near.on("close", () => {
      open.delete(near);
      far.destroy();
    });
  });
  const look = async (): Promise<void> => {
    let told = "";
    while (!stop.signal.aborted) {
      ready = await readyAmong(replicas());
      const names = ready.map(({ name }) => name).join(" ");
      // Where it cannot be told now, it is told the next time.
      if (names !== told)
        told = await onReady(ready).then(
          () => names,
          () => told,
        );
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
      for (const near of open) near.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function readyAmong(replicas: readonly ControllerProcess[]): Promise<readonly ControllerProcess[]> {
  const answers = await Promise.all(
    replicas.map(async (one) => {
      const answer = await one.probe("/readyz").catch(() => undefined);
      return answer?.status === 200 ? [one] : [];
    }),
  );
  return answers.flat();
}
