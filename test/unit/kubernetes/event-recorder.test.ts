import { describe, expect, it } from "@jest/globals";
import { OperatorError } from "../../../src/core/errors.ts";
import type { KubeClient, KubeRequest } from "../../../src/kubernetes/client.ts";
import { KubeApiError } from "../../../src/kubernetes/errors.ts";
import { KubeEventRecorder } from "../../../src/kubernetes/event-recorder.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";
import { fakeRandom } from "../../support/fake-random.ts";
import { type Answer, ScriptedClient } from "../../support/kubernetes/scripted.ts";

type Recorded = Parameters<KubeEventRecorder["record"]>[0];

function eventOf(name: string): Recorded {
  const regarding = { kind: "ServiceIdentity", namespace: "shop", name } as const;
  return { regarding, type: "Normal", reason: "Issued", message: "issued" };
}

function start(answers: readonly Answer[] = [{}], fence?: () => void) {
  const client = new ScriptedClient(answers);
  const clock = new FakeClock();
  const errors: unknown[] = [];
  const recorder = new KubeEventRecorder({
    client,
    clock,
    random: fakeRandom(),
    instance: "meshid-0",
    uidOf: ({ name }) => `uid-${name}`,
    onError: (error) => errors.push(error),
    ...(fence === undefined ? {} : { fence }),
  });
  const stop = new AbortController();
  return { client, clock, errors, recorder, stop, run: () => recorder.run(stop.signal) };
}

describe("KubeEventRecorder", () => {
  it("drops the oldest when more is recorded than can be written", async () => {
    const { client, recorder, stop, run } = start();
    for (let index = 0; index < 6000; index++) recorder.record(eventOf(`si-${index}`));
    const running = run();
    await settle();
    while (client.requests.length < 5000) await settle();
    stop.abort();
    await running;
    expect(client.requests).toHaveLength(5000);
    expect(client.requests[0]?.body).toMatchObject({ regarding: { name: "si-1000" } });
  });

  it("counts on an event only once it is there, whoever of the writers makes it", async () => {
    const made = Promise.withResolvers<void>();
    const requests: string[] = [];
    const client: KubeClient = {
      request: (async ({ method }: KubeRequest) => {
        requests.push(method);
        if (method === "POST") await made.promise;
        return { status: 200, body: {} };
      }) as KubeClient["request"],
      watch: () => {
        throw new TypeError("nothing is watched");
      },
    };
    const clock = new FakeClock();
    const random = fakeRandom();
    const recorder = new KubeEventRecorder({
      client,
      clock,
      random,
      instance: "meshid-0",
      uidOf: () => "uid",
      onError: (error) => {
        throw error;
      },
    });
    const stop = new AbortController();
    const running = recorder.run(stop.signal);
    for (let round = 0; round < 3; round++) recorder.record(eventOf("payments"));
    await settle();
    expect(requests).toEqual(["POST"]);
    made.resolve();
    await settle();
    expect(requests).toEqual(["POST", "PATCH"]);
    stop.abort();
    await running;
  });

  it("tells of one reason about one object 25 times at once, then each five minutes, and of others all the same", async () => {
    const { client, clock, recorder, stop, run } = start();
    const running = run();
    const record = async (count: number, more: Partial<Recorded> = {}): Promise<number> => {
      const before = client.requests.length;
      for (let index = 0; index < count; index++)
        recorder.record({ ...eventOf("payments"), message: `${before}-${index}`, ...more });
      await settle();
      await settle();
      return client.requests.length - before;
    };
    expect(await record(100)).toBe(25);
    expect(await record(1, { reason: "InvalidSpec" })).toBe(1);
    expect(await record(1, { regarding: eventOf("orders").regarding })).toBe(1);
    clock.jump(299);
    expect(await record(1)).toBe(0);
    clock.jump(1);
    expect(await record(2)).toBe(1);
    stop.abort();
    await running;
  });

  it("writes nothing, and makes no noise of it, once this process may no longer write", async () => {
    const lost = new OperatorError("ABORTED", "this process no longer holds the lease");
    const { client, errors, recorder, stop, run } = start([{}], () => {
      throw lost;
    });
    const running = run();
    recorder.record(eventOf("payments"));
    await settle();
    expect([client.requests, errors]).toEqual([[], []]);
    stop.abort();
    await running;
  });

  it("counts on no event that could not be written", async () => {
    const { client, errors, recorder, stop, run } = start([new KubeApiError(500, "", "no"), {}]);
    const running = run();
    recorder.record(eventOf("payments"));
    await settle();
    recorder.record(eventOf("payments"));
    await settle();
    expect(client.requests.map(({ method }) => method)).toEqual(["POST", "POST"]);
    expect(errors).toHaveLength(1);
    stop.abort();
    await running;
  });

  it("ends at once when it is told to stop, whether it has work or not", async () => {
    const { client, recorder, stop, run } = start();
    const running = run();
    await settle();
    stop.abort();
    await running;
    recorder.record(eventOf("payments"));
    await settle();
    expect(client.requests).toEqual([]);
  });
});
