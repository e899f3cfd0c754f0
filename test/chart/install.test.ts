/**
 * The chart installed, upgraded, rolled back and uninstalled on a real API server of this suite's own: CRDs, policies and
 * cluster roles are the whole cluster's. There is no node, so no pod runs.
 */

import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { parseAllDocuments } from "yaml";
import { describeCluster } from "../support/control-plane/shared.ts";
import { startControlPlane } from "../support/control-plane/start.ts";
import type { Completed, OwnControlPlane } from "../support/control-plane/types.ts";
import { serviceIdentity } from "../support/registration-cases.ts";
import { CHART, NAMESPACE, type Rendered, render } from "./rendered.ts";

const MANIFEST = fileURLToPath(new URL("../../charts/install.yaml", import.meta.url));
const MESHID = `system:serviceaccount:${NAMESPACE}:meshid`;

describeCluster("the chart in a cluster", () => {
  let kube: OwnControlPlane;
  let scratch: string;

  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), "chart-test-"));
    kube = await startControlPlane();
    await expectDone(kube.kubectl(["create", "namespace", "shop"]));
  });

  afterAll(async () => {
    await kube?.stop();
    await rm(scratch, { recursive: true, force: true });
  });

  const helm = (...args: readonly string[]): Promise<string> =>
    expectDone(kube.helm([...args, "--namespace", NAMESPACE]));

  const get = async (...args: readonly string[]): Promise<string> =>
    (await expectDone(kube.kubectl(["get", ...args]))).trim();

  const missing = async (objects: readonly Rendered[]): Promise<string> => {
    const input = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
    return (await kube.kubectl(["get", "-f", "-", "-o", "name"], { input })).stderr;
  };

  it("upgrades an older version with its CRDs, and rolls back", async () => {
    const older = join(scratch, "older");
    await cp(CHART, older, { recursive: true });
    const crd = join(older, "templates/crd-serviceidentities.yaml");
    const text = await readFile(crd, "utf8");
    const without = text.replace(/ +- name: Message\n(?: {10}.*\n)+/, "");
    expect(without).not.toBe(text);
    await writeFile(crd, without);

    await helm("install", "meshid", older, "--create-namespace", "--set", "replicas=1");
    expect(await columns()).not.toContain("Message");
    await expectDone(kube.kubectl(["apply", "-f", "-"], { input: JSON.stringify(serviceIdentity({})) }));

    await helm("upgrade", "meshid", CHART, "--set", "replicas=3");
    expect(await columns()).toContain("Message");
    expect(await missing(await render(kube))).toBe("");
    expect(await replicas()).toBe("3");

    await helm("rollback", "meshid", "1");
    expect(await replicas()).toBe("1");
    expect(await get("si", "-n", "shop", "-o", "name")).toBe("serviceidentity.meshid.dev/payments");
    await helm("upgrade", "meshid", CHART);
  });

  it("gives meshid no right beyond the chart's rules, and none on what is not its own", async () => {
    const yes: readonly (readonly string[])[] = [
      ["list", "secrets", "-n", "shop"],
      ["patch", "secrets", "-n", "shop"],
      ["watch", "serviceidentities.meshid.dev", "-A"],
      ["patch", "serviceidentities.meshid.dev/payments", "--subresource=status", "-n", "shop"],
      ["create", "trustdomains.meshid.dev"],
      ["patch", "trustdomains.meshid.dev/cluster.local"],
      ["update", "leases.coordination.k8s.io/meshid", "-n", NAMESPACE],
      ["watch", "leases.coordination.k8s.io/meshid", "-n", NAMESPACE],
      ["create", "events.events.k8s.io", "-n", "default"],
    ];
    const no: readonly (readonly string[])[] = [
      ["get", "pods", "-n", "shop"],
      ["create", "serviceaccounts/default", "--subresource=token", "-n", "shop"],
      ["patch", "serviceidentities.meshid.dev", "-n", "shop"],
      ["delete", "serviceidentities.meshid.dev", "-n", "shop"],
      ["patch", "trustdomains.meshid.dev/other.example"],
      ["delete", "trustdomains.meshid.dev/cluster.local"],
      ["update", "leases.coordination.k8s.io/other", "-n", NAMESPACE],
      ["get", "leases.coordination.k8s.io/meshid", "-n", "shop"],
      ["list", "leases.coordination.k8s.io", "-n", NAMESPACE],
      ["escalate", "clusterroles.rbac.authorization.k8s.io"],
      ["patch", "validatingadmissionpolicies.admissionregistration.k8s.io/meshid-own-objects"],
    ];
    const answers = (questions: readonly (readonly string[])[]): Promise<readonly string[]> =>
      Promise.all(questions.map((args) => mayI(MESHID, args)));
    expect(await answers(yes)).toEqual(yes.map(() => "yes"));
    expect(await answers(no)).toEqual(no.map(() => "no"));
  });

  it("lets those who may view or edit a namespace view or edit its identities, and nobody their status", async () => {
    const bind = (role: string): Promise<string> =>
      expectDone(
        kube.kubectl([
          "create",
          "rolebinding",
          role,
          `--clusterrole=${role}`,
          `--user=${role}`,
          "-n",
          "shop",
        ]),
      );
    await Promise.all(["view", "edit", "admin"].map(bind));
    const ask = (user: string): Promise<readonly string[]> =>
      Promise.all(
        [
          ["get", "serviceidentities.meshid.dev"],
          ["create", "serviceidentities.meshid.dev"],
          ["patch", "serviceidentities.meshid.dev"],
          ["delete", "serviceidentities.meshid.dev"],
          ["patch", "serviceidentities.meshid.dev/payments", "--subresource=status"],
        ].map((args) => mayI(user, [...args, "-n", "shop"])),
      );
    // kube-controller-manager gathers the rules in a moment.
    await expectSoon(() => ask("view"), ["yes", "no", "no", "no", "no"]);
    await expectSoon(() => ask("edit"), ["yes", "yes", "yes", "yes", "no"]);
    await expectSoon(() => ask("admin"), ["yes", "yes", "yes", "yes", "no"]);
  });

  it("has its policies in force: no identity without the right to its ServiceAccount's token", async () => {
    const rules = [
      "create",
      "role",
      "si",
      "--verb=create",
      "--resource=serviceidentities.meshid.dev",
      "-n",
      "shop",
    ];
    await expectDone(kube.kubectl(rules));
    await expectDone(kube.kubectl(["create", "rolebinding", "si", "--role=si", "--user=ann", "-n", "shop"]));
    const input = JSON.stringify(serviceIdentity({}, { name: "orders" }));
    const ask = (user: string): Promise<Completed> =>
      kube.kubectl(["create", "--dry-run=server", "-f", "-", `--as=${user}`], { input });
    expect((await ask("ann")).stderr).toContain('may not have the identity of ServiceAccount "shop/orders"');
    expect(await ask("edit")).toMatchObject({ code: 0 });
  });

  it("says at the installation what stays at the end", async () => {
    const notes = (await helm("get", "notes", "meshid")).replaceAll(/\s+/g, " ");
    expect(notes).toContain("cluster.local is not unique");
    expect(notes).toContain("kubectl apply -f - <<EOF");
    expect(notes).toContain(
      "helm uninstall leaves the CustomResourceDefinitions, every ServiceIdentity, the workloads' credentials and the keys",
    );
  });

  it("shows in its notes a ServiceIdentity that the API server takes", async () => {
    const notes = await helm("get", "notes", "meshid");
    const manifest = /<<EOF\n([^]*?)\n\s*EOF\n/.exec(notes)?.[1]?.replaceAll(/^ {2}/gm, "") ?? "";
    expect(manifest).toContain("kind: ServiceIdentity");
    const dryRun = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
    expect(await kube.kubectl(dryRun, { input: manifest })).toMatchObject({ code: 0, stderr: "" });
  });

  it("is uninstalled without a CRD, an identity or a credential going, says so, and goes on when installed again", async () => {
    const secret = ["create", "secret", "generic", "payments-tls", "-n", "shop", "--from-literal=a=b"];
    await expectDone(kube.kubectl(secret));
    const said = await helm("uninstall", "meshid");
    expect(said).toMatch(
      /kept due to the resource policy:[^]*serviceidentities\.meshid\.dev[^]*trustdomains\.meshid\.dev/,
    );
    expect(await get("crd", "-o", "name")).toBe(
      "customresourcedefinition.apiextensions.k8s.io/serviceidentities.meshid.dev\n" +
        "customresourcedefinition.apiextensions.k8s.io/trustdomains.meshid.dev",
    );
    expect(await get("si,secret", "-n", "shop", "-o", "name")).toBe(
      "serviceidentity.meshid.dev/payments\nsecret/payments-tls",
    );
    const gone = (await render(kube)).filter(({ kind }) => kind !== "CustomResourceDefinition");
    expect((await missing(gone)).match(/NotFound/g)).toHaveLength(gone.length);

    await helm("install", "meshid", CHART);
    expect(await missing(await render(kube))).toBe("");
    await helm("uninstall", "meshid");
    expect(await kube.helm(["install", "other", CHART, "-n", NAMESPACE])).toMatchObject({ code: 1 });
    await helm("install", "other", CHART, "--take-ownership");
    await helm("uninstall", "other");
  });

  it("serves some namespaces with no right outside of them", async () => {
    await expectDone(kube.kubectl(["create", "namespace", "orders"]));
    await helm("install", "meshid", CHART, "--take-ownership", "--set", "watchNamespaces={shop,orders}");
    const may = (namespace: string): Promise<readonly string[]> =>
      Promise.all(["secrets", "configmaps"].map((what) => mayI(MESHID, ["list", what, "-n", namespace])));
    expect(await may("shop")).toEqual(["yes", "yes"]);
    expect(await may("orders")).toEqual(["yes", "yes"]);
    expect(await may("default")).toEqual(["no", "no"]);
    expect(await mayI(MESHID, ["patch", "secrets", "-n", NAMESPACE])).toBe("yes");
    expect(await mayI(MESHID, ["list", "secrets", "-A"])).toBe("no");
    await helm("uninstall", "meshid");
  });

  it("installs with kubectl alone, and goes again", async () => {
    const remove = (...what: readonly string[]): Promise<string> =>
      // The API server takes its time to let a CRD go, more so on a busy machine.
      expectDone(kube.kubectl(["delete", ...what, "--ignore-not-found", "--wait=true", "--timeout=150s"]));
    await remove("crd", "serviceidentities.meshid.dev", "trustdomains.meshid.dev");
    const apply = ["apply", "--server-side", "-f", MANIFEST];
    expect((await kube.kubectl(apply)).stderr).toBe("");
    const objects = parseAllDocuments(await readFile(MANIFEST, "utf8")).map(
      (one) => one.toJSON() as Rendered,
    );
    expect(await missing(objects)).toBe("");
    // Nothing to do the second time, and no conflict.
    expect(await expectDone(kube.kubectl(apply))).not.toContain("created");
    await remove("-f", MANIFEST);
    expect(await get("crd", "-o", "name")).toBe("");
  });

  const columns = async (): Promise<string> =>
    get(
      "crd",
      "serviceidentities.meshid.dev",
      "-o",
      "jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}",
    );

  const replicas = (): Promise<string> =>
    get("deployment", "meshid", "-n", NAMESPACE, "-o", "jsonpath={.spec.replicas}");

  const mayI = async (user: string, args: readonly string[]): Promise<string> => {
    const { stdout, stderr } = await kube.kubectl(["auth", "can-i", ...args, `--as=${user}`]);
    return stdout.trim() || stderr;
  };
});

/** @throws Error with what the program wrote. */
async function expectDone(run: Promise<Completed>): Promise<string> {
  const { code, stdout, stderr } = await run;
  if (code !== 0) throw new Error(stderr || stdout);
  return stdout;
}

async function expectSoon(ask: () => Promise<unknown>, answer: unknown): Promise<void> {
  for (const end = Date.now() + 15_000; Date.now() < end; ) {
    if (JSON.stringify(await ask()) === JSON.stringify(answer)) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  expect(await ask()).toEqual(answer);
}
