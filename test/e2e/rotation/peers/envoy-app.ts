/**
 * The application beside Envoy: plain HTTP to its proxy, which makes a new mTLS connection of each request; the token is the
 * application's own. `node envoy-app.ts SETTINGS`, the ports of the callees being the proxy's.
 */

import { Agent, request } from "node:http";
import { type Answered, callAll, RefusedToken } from "./calling.ts";
import { Mounted } from "./mounted.ts";
import type { Callee, PeerSettings } from "./told.ts";

const TIMEOUT = 10_000;

const settings = JSON.parse(process.argv[2] ?? "{}") as PeerSettings;
const token = new Mounted(settings.jwt, ["mesh.jwt"], (files) => files["mesh.jwt"] ?? "");
const agent = new Agent({ keepAlive: true });

function call({ port, dnsName }: Callee): Promise<Answered> {
  const headers = { authorization: `Bearer ${token.current}`, host: dnsName };
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, agent, headers, timeout: TIMEOUT }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("error", reject).on("end", () => {
        if (response.statusCode === 401) return reject(new RefusedToken(body));
        // 503 with the reason: Envoy could not connect.
        if (response.statusCode !== 200) return reject(new Error(`${response.statusCode} ${body}`));
        resolve({ isAcross: response.headers["x-across"] === "true" });
      });
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer within ${TIMEOUT} ms`)));
    outgoing.on("error", reject).end();
  });
}

await callAll(settings, call);
agent.destroy();
