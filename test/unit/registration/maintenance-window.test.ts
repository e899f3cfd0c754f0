import { describe, expect, it } from "@jest/globals";
import { seconds } from "../../../src/core/brand.ts";
import { readHolds } from "../../../src/registration/maintenance-window.ts";
import type { TrustDomainSpec } from "../../../src/registration/service-identity.ts";

type Rotation = NonNullable<TrustDomainSpec["rotation"]>;

function at(text: string): ReturnType<typeof seconds> {
  return seconds(Math.floor(Date.parse(text) / 1000));
}

function holdsAt(rotation: Rotation, text: string): unknown {
  const refuse = (field: string, message: string): never => {
    throw new Error(`${field}: ${message}`);
  };
  return readHolds(refuse, { rotation })(at(text));
}

function faults(rotation: Rotation): readonly string[] {
  const found: string[] = [];
  readHolds((field, message, expected) => found.push(`${field}: ${message}; expected ${expected}`), {
    rotation,
  });
  return found;
}

/** Saturdays from 2 to 6 in Berlin: 01:00 to 05:00 UTC in winter, 00:00 to 04:00 in summer. */
const SATURDAY = { schedule: "0 2 * * 6", timeZone: "Europe/Berlin", duration: "4h" };

describe("readHolds", () => {
  it("never holds where nothing is said", () => {
    expect(holdsAt({}, "2026-11-28T03:00:00Z")).toBeUndefined();
    expect(holdsAt({ paused: false, maintenanceWindows: [] }, "2026-11-28T03:00:00Z")).toBeUndefined();
  });

  it("holds while it is paused, whatever the windows", () => {
    expect(holdsAt({ paused: true, maintenanceWindows: [SATURDAY] }, "2026-11-28T03:00:00Z")).toEqual({
      reason: "Paused",
      message: "spec.rotation.paused is true",
    });
  });

  it.each([
    ["a second before the window", "2026-11-28T00:59:59Z", "2026-11-28T01:00:00Z"],
    ["as it opens", "2026-11-28T01:00:00Z", undefined],
    ["in its last second", "2026-11-28T04:59:59Z", undefined],
    ["as it closes", "2026-11-28T05:00:00Z", "2026-12-05T01:00:00Z"],
    ["in summer, by the local time", "2026-07-04T00:30:00Z", undefined],
    ["in summer, after it by the local time", "2026-07-04T04:00:00Z", "2026-07-11T00:00:00Z"],
    [
      "on the night of the change to summer time, when 2 o'clock does not exist",
      "2027-03-28T01:30:00Z",
      undefined,
    ],
  ])("knows whether a window is open %s", (name, now, opens) => {
    const schedule = name.includes("does not exist") ? { ...SATURDAY, schedule: "0 2 * * 0" } : SATURDAY;
    const hold = holdsAt({ maintenanceWindows: [schedule] }, now);
    const message = "no maintenance window is open";
    expect(hold).toEqual(opens === undefined ? undefined : { reason: "Closed", opensAt: at(opens), message });
  });

  it("opens when any of several windows does, and names the next", () => {
    const daily = { schedule: "30 12 * * *", duration: "10m" };
    const rotation = { maintenanceWindows: [SATURDAY, daily] };
    expect(holdsAt(rotation, "2026-11-25T12:35:00Z")).toBeUndefined();
    expect(holdsAt(rotation, "2026-11-25T12:40:00Z")).toMatchObject({ opensAt: at("2026-11-26T12:30:00Z") });
  });

  it("holds where no window ever opens, so that the limits of the keys' lives decide", () => {
    expect(
      holdsAt({ maintenanceWindows: [{ schedule: "0 0 30 2 *", duration: "1h" }] }, "2026-11-28T03:00:00Z"),
    ).toEqual({
      reason: "Closed",
      message: "no maintenance window opens again",
    });
  });

  it.each([
    [
      "a sixth field",
      { schedule: "0 0 2 * * 6", duration: "4h" },
      /windows\[0\]\.schedule: "0 0 2 \* \* 6" is no schedule/i,
    ],
    ["an hour of 25", { schedule: "0 25 * * 6", duration: "4h" }, /windows\[0\]\.schedule: "0 25/i],
    ["an unknown day", { schedule: "0 2 * * SA", duration: "4h" }, /windows\[0\]\.schedule/i],
    [
      "an unknown time zone",
      { schedule: "0 2 * * 6", timeZone: "Europe/Atlantis", duration: "4h" },
      /timeZone: "Europe\/Atlantis" is not known here/,
    ],
    ["a time zone with a blank", { schedule: "0 2 * * 6", timeZone: "a b", duration: "4h" }, /timeZone/],
    ["a window of seconds", { schedule: "0 2 * * 6", duration: "59s" }, /duration.*from 1m to 168h/],
    ["a window of weeks", { schedule: "0 2 * * 6", duration: "169h" }, /duration.*from 1m to 168h/],
    ["days as a unit", { schedule: "0 2 * * 6", duration: "1d" }, /duration/],
  ])("refuses %s", (_, window, message) => {
    const [fault = ""] = faults({ maintenanceWindows: [window] });
    expect(fault).toMatch(message);
    expect(fault).toMatch(/^spec\.rotation\.maintenanceWindows\[0\]\./);
  });
});
