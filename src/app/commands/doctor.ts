/**
 * `meshid doctor`: what can be wrong in a cluster, and what to do about it.
 */

import { type ClusterSession, withCluster } from "../cluster-cli/session.ts";
import { examine } from "../doctor/checks.ts";
import { gatherFacts } from "../doctor/gather.ts";
import { countsOf, printFindings } from "../doctor/print.ts";
import { EXIT, type Io } from "../io.ts";
import { type GivenOptions, textOf } from "../options.ts";
import { formatData, outputFormat, painter } from "../output.ts";
import { readVersion } from "./version.ts";

/** @throws INVALID_CONFIGURATION, CLUSTER_UNREACHABLE. */
export function runDoctor(options: GivenOptions, io: Io): Promise<number> {
  return withCluster(options, io, (session) => doctor(session, options, io));
}

async function doctor(session: ClusterSession, options: GivenOptions, io: Io): Promise<number> {
  const format = outputFormat(options);
  const facts = await gatherFacts(
    session,
    {
      scope: textOf(options, "namespace"),
      operatorNamespace: textOf(options, "operator-namespace"),
      cliVersion: await readVersion(),
    },
    io,
  );
  const findings = examine(facts);
  const isGood = findings.every(({ result }) => result !== "failed");
  if (format === "json" || format === "yaml") {
    const { serverVersion, operatorNamespace } = facts;
    const about = { server: session.server, serverVersion, operatorNamespace };
    io.stdout.write(
      await formatData({ ok: isGood, ...about, counts: countsOf(findings), checks: findings }, format),
    );
  } else io.stdout.write(printFindings(findings, painter(io)));
  return isGood ? EXIT.ok : EXIT.checkFailed;
}
