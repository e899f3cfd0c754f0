/**
 * When the policy of a TrustDomain lets keys change: `spec.rotation.paused` and `spec.rotation.maintenanceWindows`.
 */

import { Cron } from "croner";
import type { Hold, HoldAt } from "../authority/rotation-plan.ts";
import { type Seconds, seconds } from "../core/brand.ts";
import { toDate } from "../core/clock.ts";
import { messageOf, quoted } from "../core/errors.ts";
import type { Report } from "./field-path.ts";
import type { MaintenanceWindowSpec, TrustDomainSpec } from "./service-identity.ts";
import { boundedDuration } from "./ttl.ts";

interface MaintenanceWindow {
  readonly cron: Cron;
  readonly duration: Seconds;
}

const SYNTAX = /^[-0-9A-Za-z*,/]+( [-0-9A-Za-z*,/]+){4}$/;
const TIME_ZONE = /^[A-Za-z]([-+_/A-Za-z0-9]*[A-Za-z0-9])?$/;
const PAUSED: Hold = { reason: "Paused", message: "spec.rotation.paused is true" };

/** Bad windows are reported, and left out then. */
export function readHolds(report: Report, { rotation = {} }: TrustDomainSpec): HoldAt {
  const { paused = false, maintenanceWindows = [] } = rotation;
  const windows = maintenanceWindows.flatMap((window, index) =>
    readWindow(report, `spec.rotation.maintenanceWindows[${index}]`, window),
  );
  return (now) => {
    if (paused) return PAUSED;
    if (windows.length === 0 || windows.some((window) => isOpen(window, now))) return undefined;
    const next = Math.min(...windows.map((window) => nextOpening(window, now)));
    if (!Number.isFinite(next)) return { reason: "Closed", message: "no maintenance window opens again" };
    const opensAt = seconds(next);
    return { reason: "Closed", opensAt, message: "no maintenance window is open" };
  };
}

function readWindow(
  report: Report,
  field: string,
  { schedule, timeZone = "UTC", duration }: MaintenanceWindowSpec,
): readonly MaintenanceWindow[] {
  const length = boundedDuration(report, `${field}.duration`, duration, { min: "1m", max: "168h" });
  if (!SYNTAX.test(schedule)) {
    const expected = "five fields of cron with one blank between them, such as 0 2 * * 6";
    report(`${field}.schedule`, `${quoted(schedule)} is no schedule`, expected);
    return [];
  }
  if (!TIME_ZONE.test(timeZone) || !isTimeZone(timeZone)) {
    report(`${field}.timeZone`, `${quoted(timeZone)} is not known here`, "a time zone such as Europe/Berlin");
    return [];
  }
  try {
    return [{ cron: new Cron(schedule, { timezone: timeZone, paused: true }), duration: length }];
  } catch (error) {
    report(`${field}.schedule`, `${quoted(schedule)}: ${messageOf(error)}`, "a schedule such as 0 2 * * 6");
    return [];
  }
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}

/** Whether it opened no longer ago than it stays open. */
function isOpen({ cron, duration }: MaintenanceWindow, now: Seconds): boolean {
  const opened = cron.nextRun(toDate(seconds(now - duration)));
  return opened !== null && opened.getTime() <= now * 1000;
}

/** Infinite: never again (30 February). */
function nextOpening({ cron }: MaintenanceWindow, now: Seconds): number {
  const next = cron.nextRun(toDate(now));
  return next === null ? Number.POSITIVE_INFINITY : Math.ceil(next.getTime() / 1000);
}
