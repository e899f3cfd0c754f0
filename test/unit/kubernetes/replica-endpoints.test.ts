import { expect, it } from "@jest/globals";
import type { KubeClient, KubeRequest } from "../../../src/kubernetes/client.ts";
import { replicaEndpoints } from "../../../src/kubernetes/replica-endpoints.ts";

const NEVER = new AbortController().signal;
const pod = (name: string): object => ({ targetRef: { kind: "Pod", name } });

function endpointsOf(...items: readonly object[]): {
  readonly list: () => Promise<unknown>;
  readonly asked: readonly KubeRequest[];
} {
  const asked: KubeRequest[] = [];
  const client = {
    request: async (request: KubeRequest) => {
      asked.push(request);
      return { status: 200, body: { items } };
    },
  } as unknown as KubeClient;
  const endpoints = replicaEndpoints({ client, namespace: "ops", serviceName: "meshid", signal: NEVER });
  return { list: () => endpoints.list(), asked };
}

it("asks once, for the slices of its own Service in its own namespace", async () => {
  const { list, asked } = endpointsOf();
  expect(await list()).toEqual([]);
  expect(asked).toEqual([
    {
      method: "GET",
      path: "/apis/discovery.k8s.io/v1/namespaces/ops/endpointslices",
      query: { labelSelector: "kubernetes.io/service-name=meshid" },
    },
  ]);
});

it("names the pods that get traffic, each once, with the port that is called https", async () => {
  const ports = [
    { name: "other", port: 1 },
    { name: "https", port: 8443 },
  ];
  const v4 = {
    ports,
    endpoints: [
      { ...pod("a"), addresses: ["10.0.0.1"], conditions: { ready: true } },
      { ...pod("b"), addresses: ["10.0.0.2"], conditions: { ready: false } },
      { ...pod("c"), addresses: ["10.0.0.3"], conditions: {} },
      { addresses: ["10.0.0.4"] },
    ],
  };
  const v6 = {
    ports,
    endpoints: [
      { ...pod("a"), addresses: ["fd00::1"] },
      { ...pod("d"), addresses: ["fd00::4"] },
    ],
  };
  expect(await endpointsOf(v4, v6).list()).toEqual([
    { name: "a", address: "10.0.0.1", port: 8443 },
    { name: "c", address: "10.0.0.3", port: 8443 },
    { name: "10.0.0.4", address: "10.0.0.4", port: 8443 },
    { name: "d", address: "fd00::4", port: 8443 },
  ]);
});

it("passes over what is no address, or has no port, and names no more than anyone runs", async () => {
  const named = { ports: [{ port: 8443 }], endpoints: [{ addresses: ["meshid.example.org"] }, {}] };
  const portless = { endpoints: [{ addresses: ["10.0.0.1"] }] };
  expect(await endpointsOf(named, portless, {}, { endpoints: null, ports: null }).list()).toEqual([]);
  const many = Array.from({ length: 300 }, (_, index) => ({ ...pod(`p-${index}`), addresses: ["10.0.0.1"] }));
  expect(await endpointsOf({ ports: [{ port: 8443 }], endpoints: many }).list()).toHaveLength(100);
});
