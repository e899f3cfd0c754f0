/**
 * `meshid inspect FILE|DIR|secret/NAME`
 */

import { invalidInput } from "../../core/errors.ts";
import { scrub } from "../../telemetry/redaction.ts";
import { getSecret, secretNameIn } from "../cluster-cli/secret.ts";
import { secretReport } from "../cluster-cli/secret-report.ts";
import { withCluster } from "../cluster-cli/session.ts";
import { isDirectory, listDirectory, readBounded } from "../files.ts";
import { contentReport, type InspectOptions } from "../inspect/content-report.ts";
import { directoryReport, looksLikeSecret } from "../inspect/directory-report.ts";
import { looksLikeOutput, outputReport } from "../inspect/output-directory-report.ts";
import { printReport } from "../inspect/print.ts";
import { isGood, mapTexts, type Report, toData } from "../inspect/report.ts";
import { EXIT, type Io } from "../io.ts";
import { type GivenOptions, textOf } from "../options.ts";
import { formatData, outputFormat, painter } from "../output.ts";
import { readPassword } from "../password.ts";
import { readTrust } from "../trust.ts";

/** @throws NOT_FOUND, STORAGE_FAILED, INVALID_INPUT when there is nothing that can be explained; CLUSTER_UNREACHABLE. */
export async function runInspect(options: GivenOptions, io: Io): Promise<number> {
  outputFormat(options);
  const path = textOf(options, "FILE") ?? "";
  const bundle = textOf(options, "bundle");
  const inspectOptions: InspectOptions = {
    now: io.clock.now(),
    trust: bundle === undefined ? undefined : await readTrust(bundle),
    password: await readPassword(textOf(options, "password-file")),
  };
  const secret = secretNameIn(path);
  if (secret === undefined) return show(await inspect(path, inspectOptions), options, io);
  return withCluster(options, io, async (session) => {
    const report = await secretReport(await getSecret(session, secret), inspectOptions);
    return show(report, options, io);
  });
}

async function show(found: Report, options: GivenOptions, io: Io): Promise<number> {
  const format = outputFormat(options);
  // Before anything is escaped or broken into lines, which would hide a key or token from the last net.
  const report = mapTexts(found, scrub);
  io.stdout.write(
    format === "json" || format === "yaml"
      ? await formatData(toData(report), format)
      : printReport(report, painter(io)),
  );
  return isGood(report) ? EXIT.ok : EXIT.checkFailed;
}

async function inspect(path: string, options: InspectOptions): Promise<Report> {
  if (!(await isDirectory(path))) return contentReport(path, await readBounded(path), options);
  const entries = await listDirectory(path);
  if (looksLikeOutput(entries)) return { ...(await outputReport(path, options)), name: path };
  if (
    looksLikeSecret(entries) ||
    entries.some((entry) => !entry.isDirectory && entry.name.endsWith(".jwt"))
  ) {
    return { ...(await directoryReport(path, options)), name: path };
  }
  throw invalidInput(
    path,
    "is a directory that meshid did not write",
    "a Secret directory (tls.crt, ..data), a bundle directory, or an OUT directory (trustdomain.yaml)",
  );
}
