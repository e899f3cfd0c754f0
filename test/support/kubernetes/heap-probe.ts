/**
 * A process that follows the cluster as a replica of meshid does, then writes down what it has in memory.
 * `node heap-probe.ts POD_DIRECTORY OPERATOR_NAMESPACE SNAPSHOT_FILE`, with KUBERNETES_SERVICE_HOST and _PORT set.
 */

import { writeHeapSnapshot } from "node:v8";
import { systemClock } from "../../../src/core/clock.ts";
import { systemRandom } from "../../../src/core/random.ts";
import { Cluster } from "../../../src/kubernetes/cluster.ts";
import { connect } from "../../../src/kubernetes/connection.ts";
import { Transport } from "../../../src/kubernetes/transport.ts";
import { parseTrustDomain } from "../../../src/spiffe/trust-domain.ts";

const [podDirectory = "", operatorNamespace = "", file = ""] = process.argv.slice(2);
const connection = await connect({ env: process.env, monotonic: () => performance.now(), podDirectory });
const shared = { clock: systemClock, random: systemRandom };
const client = new Transport({ ...shared, connection, userAgent: "meshid/test" });
const cluster = new Cluster({
  ...shared,
  client,
  trustDomain: parseTrustDomain("cluster.local"),
  operatorNamespace,
  watchNamespaces: undefined,
  meshRootNamespace: "istio-system",
  onOperatorSecret: () => {},
  onRelist: () => {},
  onError: (resource, error) => console.error(resource, error),
});
const stop = new AbortController();
const running = cluster.run(stop.signal);
await cluster.synced();
writeHeapSnapshot(file);
stop.abort();
await running;
client.close();
