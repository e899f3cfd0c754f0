/**
 * A wire to the API server that a test can count, stall and cut.
 */

import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface Relay extends AsyncDisposable {
  readonly port: number;
  /** Connections that were ever made. */
  readonly made: number;
  /** Connections that are open now. */
  readonly open: number;
  /** Nothing passes any more, in either direction; connections stay open, and new ones are accepted. */
  stall(): void;
  /** What was held back passes now. */
  resume(): void;
  /** Ends every connection at once, as a peer does that dies. */
  cut(): void;
  /** The next thing that the server says is lost, and its connection with it. */
  loseNext(): void;
}

interface Wire {
  readonly near: Socket;
  readonly far: Socket;
}

export async function startRelay(target: URL): Promise<Relay> {
  const wires = new Set<Wire>();
  let made = 0;
  let isStalled = false;
  let isLost = false;
  const server = createServer((near) => {
    made += 1;
    const far = connect(Number(target.port), target.hostname);
    const wire = { near, far };
    wires.add(wire);
    const end = (): void => {
      wires.delete(wire);
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on("error", end).on("close", end).setNoDelay(true);
    far.on("data", (chunk) => {
      if (isLost) end();
      else near.write(chunk);
      isLost = false;
    });
    near.on("data", (chunk) => void far.write(chunk));
    if (isStalled) hold(wire);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    get made() {
      return made;
    },
    get open() {
      return wires.size;
    },
    stall: () => {
      isStalled = true;
      for (const wire of wires) hold(wire);
    },
    resume: () => {
      isStalled = false;
      for (const { near, far } of wires) {
        near.resume();
        far.resume();
      }
    },
    cut: () => {
      for (const { near } of wires) near.resetAndDestroy();
    },
    loseNext: () => {
      isLost = true;
    },
    [Symbol.asyncDispose]: async () => {
      for (const { near, far } of wires) {
        near.destroy();
        far.destroy();
      }
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function hold({ near, far }: Wire): void {
  near.pause();
  far.pause();
}
