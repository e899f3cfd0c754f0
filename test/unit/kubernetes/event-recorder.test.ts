import { describe, expect, it } from "@jest/globals";
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

function start(answers: readonly Answer[] = [{}]) {
  const client = new ScriptedClient(answers);
  const errors: unknown[] = [];
  const recorder = new KubeEventRecorder({
    client,
    clock: new FakeClock(),
    random: fakeRandom(),
    instance: "meshid-0",
    uidOf: ({ name }) => `uid-${name}`,
    onError: (error) => errors.push(error),
  });
  const stop = new AbortController();
  return { client, errors, recorder, stop, run: () => recorder.run(stop.signal) };
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
