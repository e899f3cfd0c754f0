/**
 * How long, how fast and how often: the short form for each change, the full one by MESHID_ROTATION_FULL=1, and a very short one
 * for the planted fault.
 */

export interface Settings {
  readonly name: "short" | "full" | "fault";
  /** What a run with these is to show. */
  readonly expects: "none" | "failures";
  /** Calls a second for each of the six pairs. */
  readonly rate: number;
  /** How often a rotation of each kind is asked for, and after how many seconds again. */
  readonly rounds: number;
  readonly every: readonly [min: number, max: number];
  /** Seconds between two disturbances beside the time to recover; undefined: there are none. */
  readonly peace: readonly [min: number, max: number] | undefined;
  /** What has to be seen in each mode. */
  readonly complete: number;
  readonly handshakes: number;
  readonly disturbances: number;
  /** Seconds. */
  readonly limit: number;
}

export const SHORT: Settings = {
  name: "short",
  expects: "none",
  rate: 4,
  rounds: 2,
  every: [20, 30],
  peace: [2, 14],
  complete: 1,
  handshakes: 2500,
  disturbances: 5,
  limit: 480,
};

export const FULL: Settings = {
  ...SHORT,
  name: "full",
  rate: 10,
  rounds: 8,
  every: [35, 60],
  complete: 5,
  handshakes: 25_000,
  disturbances: 20,
  limit: 1500,
};

export const FAULT: Settings = {
  ...SHORT,
  name: "fault",
  expects: "failures",
  rounds: 5,
  every: [8, 10],
  peace: undefined,
  complete: 0,
  handshakes: 0,
  disturbances: 0,
  limit: 90,
};
