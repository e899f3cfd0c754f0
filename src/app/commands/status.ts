/**
 * `meshid status [NAME]`: what a `meshid local` has written, or what a cluster holds.
 */

import { asksCluster } from "../cluster-cli/mode.ts";
import { EXIT, type Io } from "../io.ts";
import { readIdentities, readTrustDomain } from "../observed-objects.ts";
import type { GivenOptions } from "../options.ts";
import { formatData, outputFormat, painter } from "../output.ts";
import { findPlaces, holderOf } from "../places.ts";
import {
  isHealthy,
  printStatus,
  STATUS_FORMATS,
  type StatusFindings,
  statusData,
  statusQuestion,
  tellWhatIsOff,
  unknownIdentity,
} from "../status-report.ts";

/** @throws INVALID_CONFIGURATION for an unknown NAME or namespace; NOT_FOUND, STORAGE_FAILED, CLUSTER_UNREACHABLE. */
export async function runStatus(options: GivenOptions, io: Io): Promise<number> {
  if (!asksCluster(options)) return runLocalStatus(options, io);
  const { runClusterStatus } = await import("../cluster-cli/status.ts");
  return runClusterStatus(options, io);
}

async function runLocalStatus(options: GivenOptions, io: Io): Promise<number> {
  const format = outputFormat(options, STATUS_FORMATS);
  const { name, namespace } = statusQuestion(options);
  const { state, out } = await findPlaces(options);
  const { identities, unreadable } = await readIdentities(out, namespace);
  const findings: StatusFindings = {
    identities: identities.filter((identity) => name === undefined || identity.name === name),
    unreadable,
    trustDomain: await readTrustDomain(out),
    now: io.clock.now(),
  };
  if (name !== undefined && findings.identities.length === 0)
    throw unknownIdentity(name, identities, namespace);
  const holder = holderOf(state);
  if (format === "json" || format === "yaml") {
    const rest = holder === undefined ? {} : { pid: holder.pid };
    io.stdout.write(await formatData({ ...statusData(findings), state, out, ...rest }, format));
  } else io.stdout.write(printStatus(findings, format === "wide", painter(io)));
  tellWhatIsOff(findings, io);
  if (holder === undefined)
    io.stderr.write(
      `No meshid process serves ${state}: nothing is renewed. Start it with: meshid local --identities DIR --out ${out}\n`,
    );
  return isHealthy(findings) ? EXIT.ok : EXIT.checkFailed;
}
