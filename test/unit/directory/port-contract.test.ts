import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { directoryObserver } from "../../../src/directory/observer.ts";
import { holderStore } from "../../../src/directory/state-stores.ts";
import { NEVER, plant, shownIn, startDirectory } from "../../support/directory.ts";
import { makeWorkspace, until } from "../../support/local-process.ts";
import { describePorts, type PortHarness } from "../../support/port-contract.ts";

describePorts("a directory", { recordsHolders: true }, async (): Promise<PortHarness> => {
  const workspace = await makeWorkspace();
  const started = await startDirectory(workspace);
  const { directory, changes } = started;
  started.follow();
  return {
    desired: directory,
    observed: directory.objects,
    applier: directory.objects,
    statusWriter: directory,
    observer: directoryObserver(directory.objects),
    journalStore: directory.journal,
    keyStore: directory.keys,
    holderStore: holderStore(workspace.state),
    putIdentity: async (namespace, name, spec) => {
      changes.identities.length = 0;
      const metadata = { name, namespace };
      const object = { apiVersion: "meshid.dev/v1alpha1", kind: "ServiceIdentity", metadata, spec };
      await workspace.put(`${namespace}-${name}.json`, JSON.stringify(object));
      const key = `${namespace}/${name}`;
      return until(`${name} announced`, async () =>
        changes.identities.includes(key) ? directory.identity(key) : undefined,
      );
    },
    deleteIdentity: async (namespace, name) => {
      rmSync(join(workspace.identities, `${namespace}-${name}.json`));
      await until(`${name} gone`, async () =>
        directory.identity(`${namespace}/${name}`) === undefined ? true : undefined,
      );
    },
    read: async (ref) => {
      const path = directory.objects.pathOf(ref);
      if (ref.kind !== "PeerAuthentication") return shownIn(path);
      return existsSync(path) ? { [basename(path)]: readFileSync(path, "utf8") } : undefined;
    },
    putForeign: async (ref) => {
      const path = directory.objects.pathOf(ref);
      if (ref.kind !== "PeerAuthentication") return plant(path, { "tls.key": "someone else's" });
      plant(dirname(path), {});
      writeFileSync(path, "kind: PeerAuthentication\nmetadata: {name: payments}\n");
    },
    removeByHand: async (ref) => {
      rmSync(directory.objects.pathOf(ref), { recursive: true });
      await directory.objects.sweep(changes, async () => {}, NEVER);
    },
    [Symbol.asyncDispose]: async () => {
      await started[Symbol.asyncDispose]();
      await workspace[Symbol.asyncDispose]();
    },
  };
});
