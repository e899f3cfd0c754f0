/**
 * Holds the layers of the source tree: who may import whom, which library belongs where, how large a file may be.
 */

import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { checkArchitecture, LAYERS, moduleFacts, readTree } from "./support/architecture.ts";

describe("src", () => {
  it("keeps the rules of the layers", () => {
    const files = readTree(join(import.meta.dirname, "../src"));
    expect(files.length).toBeGreaterThan(40);
    expect(checkArchitecture(files)).toEqual([]);
  });
});

type Tree = Readonly<Record<string, string>>;

function check(tree: Tree): readonly string[] {
  return checkArchitecture(Object.entries(tree).map(([path, text]) => ({ path, text })));
}

/** `from` imports `to`; both exist. */
function edge(from: string, to: string, statement = "import { x } from"): readonly string[] {
  const up = "../".repeat(from.split("/").length - 1) || "./";
  return check({
    [from]: `${statement} "${up}${to}";\nexport const y = 1;\n`,
    [to]: "export const x = 1;\n",
  });
}

describe("checkArchitecture", () => {
  it.each([
    ["spiffe/a.ts", "core/b.ts"],
    ["x509/a.ts", "spiffe/b.ts"],
    ["x509/a.ts", "x509/b.ts"],
    ["registration/a.ts", "authority/b.ts"],
    ["authority/a.ts", "registration/b.ts"],
    ["reconcile/manifests/a.ts", "registration/b.ts"],
    ["directory/a.ts", "controller/b.ts"],
    ["app/commands/a.ts", "http/b.ts"],
    ["main.ts", "app/cli.ts"],
  ])("lets %s import %s", (from, to) => {
    expect(edge(from, to)).toEqual([]);
  });

  it.each([
    ["core/a.ts", "spiffe/b.ts"],
    ["x509/a.ts", "jwt/b.ts"],
    ["jwt/a.ts", "x509/b.ts"],
    ["spiffe/a.ts", "registration/b.ts"],
    ["reconcile/a.ts", "controller/b.ts"],
    ["reconcile/a.ts", "policy/b.ts"],
    ["controller/a.ts", "directory/b.ts"],
    ["http/a.ts", "telemetry/b.ts"],
    ["directory/a.ts", "kubernetes/b.ts"],
    ["telemetry/a.ts", "app/b.ts"],
    ["app/a.ts", "main.ts"],
    ["app/a.ts", "../test/support/b.ts"],
  ])("refuses %s importing %s", (from, to) => {
    expect(edge(from, to)).toContain(`${from}: imports ${to}`);
  });

  it.each([
    "import type { x } from",
    "import { type x } from",
    "import",
    "export { x } from",
    "export type { x } from",
    "export type T = typeof import(",
    "export type T = import(",
    "await import(",
    "require(",
    "import y2 = require(",
  ])("sees the edge in `%s`", (statement) => {
    const text = `${statement} "../http/b.ts"${statement.endsWith("(") ? ")" : ""};\nexport const y = 1;\n`;
    expect(check({ "core/a.ts": text })).toContain("core/a.ts: imports http/b.ts");
  });

  it("sees no edge in comments and strings", () => {
    const text =
      '// import "../http/b.ts"\n/* import("../http/b.ts") */\nexport const y = `import "../http/b.ts"`;\n';
    expect(check({ "core/a.ts": text })).toEqual([]);
  });

  it("refuses an import whose target cannot be read from the text", () => {
    expect(check({ "app/a.ts": "export const y = await import(`./${1}.ts`);\n" })).toEqual([
      "app/a.ts: import of a computed module",
    ]);
  });

  it.each([
    ["core/a.ts", "node:fs"],
    ["core/a.ts", "fs"],
    ["spiffe/a.ts", "node:crypto"],
    ["jwt/a.ts", "node-forge"],
    ["x509/a.ts", "jose"],
    ["authority/a.ts", "node:crypto"],
    ["reconcile/a.ts", "lodash"],
    ["controller/a.ts", "node:fs/promises"],
    ["http/a.ts", "pino"],
    ["telemetry/a.ts", "fastify"],
    ["directory/a.ts", "@kubernetes/client-node"],
    ["app/a.ts", "fastify"],
    ["app/a.ts", "pino"],
    ["main.ts", "yargs"],
    ["jwt/a.ts", "josef"],
  ])("refuses in %s the library %s", (path, library) => {
    expect(check({ [path]: `import "${library}";\n` })).toEqual([`${path}: library ${library}`]);
  });

  it.each([
    ["x509/a.ts", "node-forge/lib/asn1.js"],
    ["registration/a.ts", "ajv/dist/2020.js"],
    ["directory/a.ts", "node:fs/promises"],
    ["app/a.ts", "yargs/helpers"],
    ["app/a.ts", "node:child_process"],
  ])("lets %s use %s", (path, library) => {
    expect(check({ [path]: `import "${library}";\n` })).toEqual([]);
  });

  it("finds a cycle, through types and through dynamic imports too", () => {
    const tree = {
      "core/a.ts": 'import type { B } from "./b.ts";\nexport const a = 1;\n',
      "core/b.ts": 'export const c = () => import("./c.ts");\n',
      "core/c.ts": 'import { a } from "./a.ts";\nexport const d = a;\n',
      "core/d.ts": 'import { a } from "./a.ts";\nexport const e = a;\n',
    };
    expect(check(tree)).toEqual(["cycle: core/a.ts → core/b.ts → core/c.ts → core/a.ts"]);
  });

  it("finds a file that imports itself", () => {
    expect(check({ "core/a.ts": 'import "./a.ts";\n' })).toEqual(["cycle: core/a.ts → core/a.ts"]);
  });

  it.each([
    ["export default 1;\n", "default export"],
    ["export default function f() {}\n", "default export"],
    ["const a = 1;\nexport { a as default };\n", "default export"],
    ['export { default } from "./b.ts";\nexport const a = 1;\n', "default export"],
    ['export * from "./b.ts";\nexport const a = 1;\n', "barrel"],
    ['export { b } from "./b.ts";\nexport type { C } from "./c.ts";\n', "barrel"],
    ['import { b } from "./b.ts";\nexport { b };\n', "barrel"],
  ])("refuses %j", (text, fault) => {
    expect(check({ "core/a.ts": text, "core/b.ts": "" })).toEqual([`core/a.ts: ${fault}`]);
  });

  it("lets a file pass on a name beside its own", () => {
    expect(check({ "core/a.ts": 'export type { B } from "./b.ts";\nexport const a = 1;\n' })).toEqual([]);
  });

  it("refuses index.ts, a folder without a row and a file that is too long", () => {
    const tree = {
      "core/index.ts": "export const a = 1;\n",
      "utils/a.ts": "export const a = 1;\n",
      "core/long.ts": "\n".repeat(401),
      "core/full.ts": "\n".repeat(400),
    };
    expect(check(tree)).toEqual([
      "core/index.ts: barrel",
      "core/long.ts: 401 lines; at most 400",
      "utils/a.ts: folder without a row",
    ]);
  });

  it.each([
    'import { HttpServer } from "../http/server.ts";\nexport const s = new HttpServer();\n',
    'import { HttpServer as Server } from "../http/server.ts";\nexport const s = new Server();\n',
    'import * as http from "../http/server.ts";\nexport const s = new http.HttpServer();\n',
    'const { HttpServer } = await import("../http/server.ts");\nexport const s = new HttpServer();\n',
    'const { HttpServer: S } = await import("../http/server.ts");\nexport const s = new S();\n',
    'const http = await import("../http/server.ts");\nexport const s = new http.HttpServer();\n',
  ])("lets only the composition root construct an adapter's class: %j", (text) => {
    const server = { "http/server.ts": "export class HttpServer {}\n" };
    expect(check({ ...server, "app/lifecycle.ts": text })).toHaveLength(1);
    expect(check({ ...server, "app/lifecycle.ts": text })[0]).toMatch(/^app\/lifecycle.ts: constructs /);
    expect(check({ ...server, "app/compose.ts": text })).toEqual([]);
    expect(check({ ...server, "app/compose-local.ts": text })).toEqual([]);
  });

  it("lets an adapter construct its own classes and anyone those of the engine", () => {
    const tree = {
      "controller/work-queue.ts": "export class WorkQueue {}\n",
      "http/connections.ts": "export class Connections {}\n",
      "http/server.ts":
        'import { Connections } from "./connections.ts";\nexport const c = new Connections();\n',
      "app/a.ts":
        'import { WorkQueue } from "../controller/work-queue.ts";\nexport const q = new WorkQueue();\n',
    };
    expect(check(tree)).toEqual([]);
  });
});

describe("moduleFacts", () => {
  it("lists what a file imports, in order", () => {
    const text =
      'import a, { type B } from "a";\nexport { c } from "./c.ts";\nexport const d = () => import("d");\n';
    expect(moduleFacts(text).imports).toEqual(["a", "./c.ts", "d"]);
  });
});

describe("LAYERS", () => {
  it("gives each library to the folders that may have it, and to no other", () => {
    const owners = (library: string): readonly string[] =>
      Object.keys(LAYERS).filter((folder) => LAYERS[folder]?.libraries.includes(library));
    expect({
      "node-forge": owners("node-forge"),
      jose: owners("jose"),
      "node:crypto": owners("node:crypto"),
      "@kubernetes/client-node": owners("@kubernetes/client-node"),
      fastify: owners("fastify"),
      pino: owners("pino"),
      yargs: owners("yargs"),
    }).toEqual({
      "node-forge": ["x509"],
      jose: ["jwt"],
      "node:crypto": ["core", "x509", "jwt"],
      "@kubernetes/client-node": ["kubernetes"],
      fastify: ["http"],
      pino: ["telemetry"],
      yargs: ["app"],
    });
  });
});
