/**
 * docs/getting-started.md, followed word for word on a real node, and what must hold while the two pods of the guide talk:
 * not one call may fail. The steps build on each other; after one that fails the others fail too.
 *
 *     KUBECONFIG=FILE E2E_LOAD_IMAGE="kind load image-archive" [E2E_IMAGE=meshid.tar] npm run e2e:cluster
 */

import { beforeAll, describe, expect, it } from "@jest/globals";
import { getObject, kubectl, mustShell, type Output, pause, until } from "./cluster.ts";
import {
  commandsOf,
  manifestsIn,
  readGuide,
  type Section,
  serviceNamesIn,
  withHostAliases,
} from "./guide.ts";
import { loadImage } from "./image.ts";
import { activeKeys, conditionOf, delivered, issuedSerial, keysOf, PEERS, renew, stateOf } from "./peers.ts";

const RENEWALS = 20;
/** Those whose commands are for other clusters than a bare one. */
const NOT_FOLLOWED: Readonly<Record<string, string>> = {
  "What you need": "nothing to paste",
  "When it is not Ready": "nothing to paste",
  "Strict mTLS with Istio": "takes an Istio",
};
const FOLLOWED = [
  "Install",
  "Two services to try it on",
  "An identity",
  "Mount it",
  "Watch a renewal",
  "See how it stands",
  "Rotate the keys",
  "Upgrade",
  "Uninstall",
];
const guide = readGuide();
let isBroken = false;

/** One step of the way: it is not tried where an earlier one has failed. */
function step(name: string, limitMs: number, body: () => Promise<void>): void {
  it(
    name,
    async () => {
      if (isBroken) throw Object.assign(new Error("an earlier step has failed"), { stack: "" });
      isBroken = true;
      await body();
      isBroken = false;
    },
    limitMs,
  );
}

/** Runs what is under a heading of the guide. Where names are not resolved, hostAliases are the only difference. */
async function follow(heading: string, limitMs?: number): Promise<readonly Output[]> {
  const outputs: Output[] = [];
  for (const command of commandsOf(guide, heading))
    outputs.push(await mustShell(await resolvable(command), limitMs));
  return outputs;
}

async function resolvable(command: string): Promise<string> {
  const names = serviceNamesIn(command);
  if (names.length === 0 || (await getObject("-n", "kube-system", "service", "kube-dns")) !== undefined)
    return command;
  const addresses = new Map<string, string>();
  for (const full of names) {
    const [name = "", namespace = ""] = full.split(".");
    addresses.set(full, await clusterIp(name, namespace));
  }
  return withHostAliases(command, addresses);
}

/** The address of a Service, which is made beforehand, as the guide has it, where a pod has to know it before. */
async function clusterIp(name: string, namespace: string): Promise<string> {
  interface Service {
    readonly spec: { readonly clusterIP: string };
  }
  const look = (): Promise<Service | undefined> => getObject<Service>("-n", namespace, "service", name);
  const found = await look();
  if (found !== undefined) return found.spec.clusterIP;
  const manifest = guide
    .flatMap(({ commands }: Section) => commands.flatMap(manifestsIn))
    .find((text) => text.includes("kind: Service\n") && text.includes(`name: ${name},`));
  await mustShell(`kubectl apply -f - <<'EOF'\n${manifest}\nEOF`);
  return (await look())?.spec.clusterIP ?? "";
}

/** No call has failed on either side, and both have made some since the last look. */
async function expectNoFailure(): Promise<void> {
  for (const name of PEERS) {
    const before = await stateOf(name);
    await until(`further calls of ${name}`, 20_000, async () =>
      (await stateOf(name)).ok > before.ok ? true : undefined,
    );
    const { failed, refused, lastError } = await stateOf(name);
    // Before its first answer a peer may have met one that did not listen yet; that is not counted, but remembered.
    expect({ name, failed, refused, lastError: failed + refused > 0 ? lastError : "" }).toEqual({
      name,
      failed: 0,
      refused: 0,
      lastError: "",
    });
  }
}

async function jwksFailures(): Promise<number> {
  const states = await Promise.all(PEERS.map(stateOf));
  return states.reduce((sum, { jwks }) => sum + jwks.failed, 0);
}

async function serials(): Promise<readonly string[]> {
  return Promise.all(PEERS.map(issuedSerial));
}

/** A renewal of both, seen by both. */
async function renewBoth(round: string, limitMs?: number): Promise<void> {
  const made = await Promise.all(PEERS.map((name) => renew(name, round, limitMs)));
  await Promise.all(PEERS.map((name, index) => delivered(name, made[index] ?? "")));
}

async function podNames(): Promise<readonly string[]> {
  const text = await kubectl(
    "-n",
    "meshid-system",
    "get",
    "pods",
    "-l",
    "app.kubernetes.io/name=meshid",
    "-o",
    "name",
  );
  return text.split("\n").filter(Boolean).sort();
}

/** The pod that leads. */
async function leader(): Promise<string> {
  const text = await kubectl(
    "-n",
    "meshid-system",
    "get",
    "lease",
    "meshid",
    "-o",
    "jsonpath={.spec.holderIdentity}",
  );
  return `pod/${text.split("_")[0]}`;
}

/** Only this turns the suite off; its tests then count as skipped. */
const describeNode = process.env["MESHID_SKIP_NODE_TESTS"] === "1" ? describe.skip : describe;

describeNode("docs/getting-started.md", () => {
  beforeAll(async () => {
    for (const namespace of ["meshid-system", "shop"]) {
      if ((await getObject("namespace", namespace)) !== undefined)
        throw new Error(
          `namespace ${namespace} exists; this suite wants a cluster without meshid and its traces`,
        );
    }
    await loadImage();
  }, 900_000);

  it("has no section that is silently not followed", () => {
    const known = [...FOLLOWED, ...Object.keys(NOT_FOLLOWED)].sort();
    expect(guide.map(({ heading }) => heading).sort()).toEqual(known);
  });

  step("Install: helm waits until both replicas are ready, and one leads", 240_000, async () => {
    const [output] = await follow("Install");
    expect(output?.stdout).toContain("STATUS: deployed");
    expect(await podNames()).toHaveLength(2);
    expect(await podNames()).toContain(await leader());
  });

  step("An identity: one kubectl apply of at most ten lines, and both are Ready", 120_000, async () => {
    await follow("Two services to try it on");
    const [manifest = ""] = commandsOf(guide, "An identity").flatMap(manifestsIn);
    expect(manifest.trim().split("\n").length).toBeLessThanOrEqual(10);
    const outputs = await follow("An identity");
    expect(outputs.at(-1)?.stdout).toMatch(
      /^NAME +READY +SPIFFE-ID +SECRET +EXPIRES +AGE\n(.* True .*\n){2}$/m,
    );
    expect(outputs.at(-1)?.stdout).toContain("spiffe://cluster.local/ns/shop/sa/payments");
  });

  step("Mount it: the pods call each other by SPIFFE ID, with tokens that hold", 360_000, async () => {
    await follow("Mount it");
    for (const name of PEERS)
      await until(`30 calls of ${name}`, 60_000, async () =>
        (await stateOf(name)).ok >= 30 ? true : undefined,
      );
    for (const name of PEERS) expect((await stateOf(name)).jwks).toMatchObject({ failed: 0 });
    await expectNoFailure();
  });

  step("Watch a renewal: the other side meets a new certificate", 240_000, async () => {
    const before = await issuedSerial("payments");
    const outputs = await follow("Watch a renewal");
    expect(outputs.at(-1)?.stdout).toContain("payments");
    const serial = await until("a renewal", 30_000, async () => {
      const now = await issuedSerial("payments");
      return now === before ? undefined : now;
    });
    await delivered("payments", serial);
    expect((await stateOf("orders")).peerSerials).toBe(2);
    await expectNoFailure();
  });

  step("See how it stands: kubectl and the CLI say so", 120_000, async () => {
    const outputs = await follow("See how it stands");
    expect(outputs[0]?.stdout).toMatch(/REASON +MTLS/);
    expect(outputs[1]?.stdout).toContain("spiffe://cluster.local/ns/shop/sa/payments");
    expect(outputs[1]?.stdout).toMatch(/^0 failed, /m);
  });

  step("Rotate the keys: every kind is another one, and not one call has failed", 900_000, async () => {
    const before = await activeKeys();
    const old = await serials();
    await follow("Rotate the keys", 700_000);
    const made = await Promise.all(
      PEERS.map((name, index) =>
        until(`the renewal of ${name}`, 30_000, async () => {
          const serial = await issuedSerial(name);
          return serial === old[index] ? undefined : serial;
        }),
      ),
    );
    await Promise.all(PEERS.map((name, index) => delivered(name, made[index] ?? "")));
    const after = await activeKeys();
    for (const kind of ["Root", "Issuing", "JWT"])
      expect([kind, after[kind]]).not.toEqual([kind, before[kind]]);
    for (const name of PEERS)
      expect(await keysOf(name)).toEqual({ x509: after["Issuing"], jwt: after["JWT"] });
    await expectNoFailure();
    expect(await jwksFailures()).toBe(0);
  });

  step(`fails no call over ${RENEWALS} forced renewals of both`, 1_500_000, async () => {
    const seen = new Set<string>();
    for (let round = 1; round <= RENEWALS; round++) {
      await renewBoth(`round-${round}`);
      seen.add((await serials()).join(" "));
    }
    expect(seen.size).toBe(RENEWALS);
    const { peerSerials } = await stateOf("payments");
    expect(peerSerials).toBeGreaterThanOrEqual(RENEWALS);
    await expectNoFailure();
    expect(await jwksFailures()).toBe(0);
  });

  step("fails no call, and serves the JWKS, over a restart of the controller", 300_000, async () => {
    const before = await podNames();
    await mustShell("kubectl -n meshid-system rollout restart deployment/meshid");
    await mustShell("kubectl -n meshid-system rollout status deployment/meshid --timeout=150s");
    await until("the end of the old replicas", 60_000, async () =>
      (await podNames()).some((name) => before.includes(name)) ? undefined : true,
    );
    // The peers fetch it every 5 s.
    await pause(6000);
    expect(await jwksFailures()).toBe(0);
    await renewBoth("after-restart");
    await expectNoFailure();
  });

  step("goes on within seconds after the leading pod was deleted by force", 300_000, async () => {
    const killed = await leader();
    await kubectl("-n", "meshid-system", "delete", killed, "--grace-period=0", "--force");
    // 18 s for the other one to take over, and some for a busy machine.
    await renewBoth("after-crash", 40_000);
    expect(await leader()).not.toBe(killed);
    await expectNoFailure();
  });

  step("Upgrade: fails no call while every replica is replaced", 360_000, async () => {
    await mustShell("kubectl -n meshid-system rollout status deployment/meshid --timeout=150s");
    const failures = await jwksFailures();
    const [output] = await follow("Upgrade");
    expect(output?.stdout).toContain("STATUS: deployed");
    const before = await podNames();
    for (const command of commandsOf(guide, "Upgrade"))
      await mustShell(`${command.trim()} --reset-then-reuse-values --set log.level=debug`);
    await until("the end of the old replicas", 60_000, async () =>
      (await podNames()).some((name) => before.includes(name)) ? undefined : true,
    );
    // The peers fetch it every 5 s.
    await pause(6000);
    expect(await jwksFailures()).toBe(failures);
    await renewBoth("after-upgrade");
    await expectNoFailure();
  });

  step("applies strict mTLS once the certificates have had time to reach every pod", 180_000, async () => {
    const hasIstio = (await getObject("crd", "peerauthentications.security.istio.io")) !== undefined;
    if (!hasIstio) {
      expect(await conditionOf("payments", "MTLSApplied")).toBe("False IstioNotInstalled");
      await mustShell("kubectl apply -f test/support/istio/peerauthentications.yaml");
    }
    // Longer than all steps so far took.
    await mustShell(
      `kubectl patch trustdomain cluster.local --type=merge -p '{"spec":{"rotation":{"propagation":"3h"}}}'`,
    );
    await until("waiting for certificates", 60_000, async () =>
      (await conditionOf("payments", "MTLSApplied")) === "False WaitingForCertificate" ? true : undefined,
    );
    expect(await getObject("-n", "shop", "peerauthentication", "payments")).toBeUndefined();
    await mustShell(
      `kubectl patch trustdomain cluster.local --type=merge -p '{"spec":{"rotation":{"propagation":"5s"}}}'`,
    );
    await until("strict mTLS", 60_000, async () =>
      (await conditionOf("payments", "MTLSApplied")) === "True Applied" ? true : undefined,
    );
    expect(await getObject("-n", "shop", "peerauthentication", "payments")).toMatchObject({
      spec: { selector: { matchLabels: { app: "payments" } }, mtls: { mode: "STRICT" } },
    });
    await expectNoFailure();
  });

  step("Uninstall: says what stays, and the workloads go on with it", 300_000, async () => {
    const before = await serials();
    const [output] = await follow("Uninstall");
    expect(output?.text).toContain("serviceidentities.meshid.dev");
    expect(output?.text).toContain("trustdomains.meshid.dev");
    await until("no pod of meshid", 60_000, async () => ((await podNames()).length === 0 ? true : undefined));
    const { stdout } = await mustShell(
      "kubectl get crd serviceidentities.meshid.dev trustdomains.meshid.dev -o name; kubectl -n shop get secrets -o name",
    );
    expect(stdout.split("\n").filter(Boolean)).toEqual([
      "customresourcedefinition.apiextensions.k8s.io/serviceidentities.meshid.dev",
      "customresourcedefinition.apiextensions.k8s.io/trustdomains.meshid.dev",
      "secret/orders-jwt",
      "secret/orders-tls",
      "secret/payments-jwt",
      "secret/payments-tls",
    ]);
    expect(await serials()).toEqual(before);
    await expectNoFailure();
  });

  step(
    "Install again: goes on where it stopped, with the same root and the same certificates",
    300_000,
    async () => {
      const before = await serials();
      const root = await kubectl(
        "-n",
        "shop",
        "get",
        "configmap",
        "meshid-bundle",
        "-o",
        "jsonpath={.data.ca\\.crt}",
      );
      await follow("Install");
      await until("a leader", 60_000, async () =>
        (await podNames()).includes(await leader()) ? true : undefined,
      );
      await pause(3000);
      expect(await serials()).toEqual(before);
      await renewBoth("after-return");
      const roots = await kubectl(
        "-n",
        "shop",
        "get",
        "configmap",
        "meshid-bundle",
        "-o",
        "jsonpath={.data.ca\\.crt}",
      );
      expect(roots).toBe(root);
      await expectNoFailure();
    },
  );
});
