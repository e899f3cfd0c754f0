/**
 * A process that can stand still (a stalled event loop, SIGSTOP) and whose monotonic clock has a pace of its own, while the
 * world goes on.
 */

import { milliseconds } from "../../src/core/brand.ts";
import type { Clock } from "../../src/core/clock.ts";
import type { KubeClient } from "../../src/kubernetes/client.ts";

export class FakeProcess {
  readonly clock: Clock;
  #thawed: Promise<void> | undefined;
  #thaw: () => void = () => {};

  /** `pace`: milliseconds of its own for each of the world. */
  constructor(world: Clock, pace = 1) {
    this.clock = {
      now: () => world.now(),
      monotonic: () => milliseconds(world.monotonic() * pace),
      sleep: async (length, signal) => {
        await world.sleep(milliseconds(length / pace), signal);
        await this.#turn();
      },
    };
  }

  freeze(): void {
    if (this.#thawed !== undefined) return;
    this.#thawed = new Promise((resolve) => {
      this.#thaw = resolve;
    });
  }

  thaw(): void {
    this.#thawed = undefined;
    this.#thaw();
  }

  /** The client as this process uses it: nothing is sent, and no answer read, while it stands still. */
  connect(client: KubeClient): KubeClient {
    const turn = (): Promise<void> => this.#turn();
    return {
      request: async (request, signal) => {
        await turn();
        try {
          return await client.request<never>(request, signal);
        } finally {
          await turn();
        }
      },
      watch: async function* (request, signal) {
        for await (const event of client.watch(request, signal)) {
          await turn();
          yield event;
        }
      },
    };
  }

  async #turn(): Promise<void> {
    while (this.#thawed !== undefined) await this.#thawed;
  }
}
