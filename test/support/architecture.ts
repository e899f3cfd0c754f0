/**
 * The rules of the source tree as data, and what checks a tree against them. Files are parsed, not searched: an import
 * in a comment or a string is none.
 */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, sep } from "node:path";
import { parseSync } from "@swc/core";

export interface SourceFile {
  /** Relative to `src`, with `/`. */
  readonly path: string;
  readonly text: string;
}

export interface Layer {
  /** A file imports only from folders of lower rows, and from its own. */
  readonly row: number;
  /** Packages and Node's modules that files of this folder may import; `node:*` = all of Node's. */
  readonly libraries: readonly string[];
  /** Folders of the same row that it may read. */
  readonly siblings?: readonly string[];
}

/** By the first part of a file's path. */
export const LAYERS: Readonly<Record<string, Layer>> = {
  core: { row: 0, libraries: ["node:crypto", "node:util"] },
  spiffe: { row: 1, libraries: [] },
  x509: { row: 2, libraries: ["node:crypto", "node:util", "node-forge"] },
  jwt: { row: 2, libraries: ["node:crypto", "jose"] },
  authority: { row: 3, libraries: [], siblings: ["registration"] },
  registration: { row: 3, libraries: ["ajv", "croner"], siblings: ["authority"] },
  reconcile: { row: 4, libraries: [] },
  token: { row: 4, libraries: [] },
  policy: { row: 4, libraries: [] },
  controller: { row: 5, libraries: ["tinyqueue", "node:util"] },
  kubernetes: {
    row: 6,
    libraries: ["@kubernetes/client-node", "node:fs", "node:path", "node:http", "node:https", "node:net"],
  },
  directory: { row: 6, libraries: ["yaml", "node:fs", "node:path", "node:util", "node:sqlite"] },
  http: { row: 6, libraries: ["fastify", "node:http", "node:https", "node:net", "node:tls"] },
  telemetry: { row: 6, libraries: ["pino", "prom-client", "node:perf_hooks"] },
  app: { row: 7, libraries: ["yargs", "yaml", "node:*"] },
  "main.ts": { row: 8, libraries: ["node:*"] },
};

const ADAPTER_ROW = 6;
/** The only files that know the adapters' classes. */
const COMPOSITION = /^app\/compose[a-z-]*\.ts$/;
const MAX_LINES = 400;

/** What one file has to do with others. */
export interface ModuleFacts {
  readonly imports: readonly string[];
  /** Imports whose specifier is computed. */
  readonly computedImports: number;
  /** Constructed classes by the specifier that they were imported from. */
  readonly constructed: readonly { readonly name: string; readonly specifier: string }[];
  readonly hasDefaultExport: boolean;
  /** Exports all of another module, or nothing but what others have. */
  readonly isBarrel: boolean;
}

/** All TypeScript files below `root`. */
export function readTree(root: string): readonly SourceFile[] {
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => ({
      path: path.split(sep).join("/"),
      text: readFileSync(join(root, path), "utf8"),
    }));
}

/** One line for each fault, sorted; none where the tree keeps the rules. */
export function checkArchitecture(files: readonly SourceFile[]): readonly string[] {
  const facts = new Map(files.map(({ path, text }) => [path, moduleFacts(text)]));
  const faults = files.flatMap((file) => [...checkShape(file, facts), ...checkEdges(file.path, facts)]);
  return [...faults, ...findCycles(facts)].sort();
}

type Facts = ReadonlyMap<string, ModuleFacts>;

function checkShape({ path, text }: SourceFile, facts: Facts): readonly string[] {
  const { hasDefaultExport, isBarrel, computedImports } = factsOf(facts, path);
  const lines = text.split("\n").length - 1;
  return [
    ...(lines > MAX_LINES ? [`${path}: ${lines} lines; at most ${MAX_LINES}`] : []),
    ...(hasDefaultExport ? [`${path}: default export`] : []),
    ...(isBarrel || /(^|\/)index\.ts$/.test(path) ? [`${path}: barrel`] : []),
    ...(computedImports > 0 ? [`${path}: import of a computed module`] : []),
    ...(layerOf(path) === undefined ? [`${path}: folder without a row`] : []),
  ];
}

function checkEdges(path: string, facts: Facts): readonly string[] {
  const { imports, constructed } = factsOf(facts, path);
  const layer = layerOf(path);
  if (layer === undefined) return [];
  const edges = imports.flatMap((specifier) => {
    const target = resolve(path, specifier);
    if (target === undefined) {
      return mayUseLibrary(layer, specifier) ? [] : [`${path}: library ${specifier}`];
    }
    return mayImport(path, target) ? [] : [`${path}: imports ${target}`];
  });
  const news = constructed.flatMap(({ name, specifier }) => {
    const target = resolve(path, specifier) ?? "";
    const isForeignAdapter = layerOf(target)?.row === ADAPTER_ROW && folderOf(target) !== folderOf(path);
    return isForeignAdapter && !COMPOSITION.test(path) ? [`${path}: constructs ${name} of ${target}`] : [];
  });
  return [...edges, ...news];
}

function mayImport(path: string, target: string): boolean {
  const [from, to] = [layerOf(path), layerOf(target)];
  if (from === undefined || to === undefined) return false;
  if (folderOf(path) === folderOf(target)) return true;
  return to.row < from.row || (from.siblings ?? []).includes(folderOf(target));
}

function mayUseLibrary(layer: Layer, specifier: string): boolean {
  return layer.libraries.some((library) => {
    if (library === "node:*") return specifier.startsWith("node:");
    return specifier === library || specifier.startsWith(`${library}/`);
  });
}

function layerOf(path: string): Layer | undefined {
  return LAYERS[folderOf(path)];
}

function folderOf(path: string): string {
  return path.split("/")[0] ?? "";
}

/** The path of a relative import, relative to `src` (or above it); undefined for a library. */
function resolve(path: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  return normalize(join(dirname(path), specifier))
    .split(sep)
    .join("/");
}

/** One line for each cycle, from its alphabetically first file. */
function findCycles(facts: Facts): readonly string[] {
  const cycles = new Set<string>();
  const finished = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) cycles.add(describeCycle(trail.slice(start)));
    if (start >= 0 || finished.has(path)) return;
    for (const specifier of facts.get(path)?.imports ?? []) {
      const target = resolve(path, specifier);
      if (target !== undefined && facts.has(target)) visit(target, [...trail, path]);
    }
    finished.add(path);
  };
  for (const path of [...facts.keys()].sort()) visit(path, []);
  return [...cycles];
}

function describeCycle(cycle: readonly string[]): string {
  const first = cycle.indexOf([...cycle].sort()[0] ?? "");
  const turned = [...cycle.slice(first), ...cycle.slice(0, first)];
  return `cycle: ${[...turned, turned[0]].join(" → ")}`;
}

function factsOf(facts: Facts, path: string): ModuleFacts {
  const found = facts.get(path);
  if (found === undefined) throw new TypeError(`no such file: ${path}`);
  return found;
}

/** Stands for a specifier that is no literal; no module can be named so. */
const COMPUTED = "\0";

type Node = Readonly<Record<string, unknown>> & { readonly type: string };

/** Every module that a file names, in whatever form: import, export from, import(), import type, require. */
export function moduleFacts(text: string): ModuleFacts {
  const { body } = parseSync(text, { syntax: "typescript", target: "esnext" });
  const imports: string[] = [];
  let computedImports = 0;
  const bindings = new Map<string, string>();
  const candidates: string[] = [];
  walk(body, (node) => {
    const specifier = specifierOf(node);
    if (specifier === COMPUTED) computedImports += 1;
    else if (specifier !== undefined) imports.push(specifier);
    for (const [name, from] of bindingsOf(node)) bindings.set(name, from);
    if (node.type === "NewExpression") candidates.push(calleeName(node["callee"]));
  });
  return {
    imports,
    computedImports,
    constructed: candidates.flatMap((name) => {
      const specifier = bindings.get(name.split(".")[0] ?? "");
      return specifier === undefined ? [] : [{ name, specifier }];
    }),
    hasDefaultExport: body.some((item) => isNode(item) && exportsDefault(item)),
    isBarrel: isBarrel(body),
  };
}

/** What a node imports from; `COMPUTED` where that is no literal. */
function specifierOf(node: Node): string | undefined {
  switch (node.type) {
    case "ImportDeclaration":
    case "ExportNamedDeclaration":
    case "ExportAllDeclaration":
      return literal(node["source"]);
    case "TsImportType":
      return literal(node["argument"]);
    case "TsExternalModuleReference":
      return literal(node["expression"]);
    case "CallExpression":
      return isImportCall(node) ? (literal(firstArgument(node)) ?? COMPUTED) : undefined;
    default:
      return undefined;
  }
}

function isImportCall(node: Node): boolean {
  const { callee } = node;
  return (
    isNode(callee) &&
    (callee.type === "Import" || (callee.type === "Identifier" && callee["value"] === "require"))
  );
}

/** Local names with the module that they come from: `import { A }`, `const { A } = await import()`, and namespaces. */
function bindingsOf(node: Node): readonly (readonly [string, string])[] {
  if (node.type === "ImportDeclaration") {
    const source = literal(node["source"]) ?? "";
    return nodes(node["specifiers"]).map((specifier) => [identifier(specifier["local"]), source] as const);
  }
  if (node.type !== "VariableDeclarator") return [];
  const source = importedBy(node["init"]);
  if (source === undefined || !isNode(node["id"])) return [];
  if (node["id"].type === "Identifier") return [[identifier(node["id"]), source]];
  return nodes(node["id"]["properties"]).map((property) => {
    return [identifier(isNode(property["value"]) ? property["value"] : property["key"]), source] as const;
  });
}

function importedBy(init: unknown): string | undefined {
  const call = isNode(init) && init.type === "AwaitExpression" ? init["argument"] : init;
  return isNode(call) && call.type === "CallExpression" && isImportCall(call) ? specifierOf(call) : undefined;
}

/** `A`, or `ns.A`. */
function calleeName(callee: unknown): string {
  if (!isNode(callee)) return "";
  if (callee.type === "Identifier") return identifier(callee);
  if (callee.type !== "MemberExpression") return "";
  return `${calleeName(callee["object"])}.${identifier(callee["property"])}`;
}

function exportsDefault(item: Node): boolean {
  if (item.type === "ExportDefaultDeclaration" || item.type === "ExportDefaultExpression") return true;
  if (item.type !== "ExportNamedDeclaration") return false;
  return nodes(item["specifiers"]).some(
    (specifier) => identifier(specifier["exported"] ?? specifier["orig"]) === "default",
  );
}

function isBarrel(body: readonly unknown[]): boolean {
  const items = body.filter(isNode);
  if (items.some((item) => item.type === "ExportAllDeclaration")) return true;
  const own = items.filter((item) => item.type !== "ImportDeclaration");
  return (
    own.length > 0 && own.every((item) => item.type === "ExportNamedDeclaration" && "specifiers" in item)
  );
}

function firstArgument(call: Node): unknown {
  const [first]: readonly unknown[] = Array.isArray(call["arguments"]) ? call["arguments"] : [];
  return typeof first === "object" && first !== null && "expression" in first ? first.expression : undefined;
}

function literal(node: unknown): string | undefined {
  if (!isNode(node) || node.type !== "StringLiteral") return undefined;
  return typeof node["value"] === "string" ? node["value"] : undefined;
}

function identifier(node: unknown): string {
  return isNode(node) && typeof node["value"] === "string" ? node["value"] : "";
}

function nodes(list: unknown): readonly Node[] {
  return Array.isArray(list) ? list.filter(isNode) : [];
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

function walk(value: unknown, visit: (node: Node) => void): void {
  if (typeof value !== "object" || value === null) return;
  if (isNode(value)) visit(value);
  for (const child of Object.values(value)) walk(child, visit);
}
