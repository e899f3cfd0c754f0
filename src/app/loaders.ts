/**
 * How each command is loaded: only the one that runs, so that start-up stays short.
 */

import type { RunCommand } from "./command.ts";

/** By the name of the command. */
export const LOADERS: Readonly<Record<string, () => Promise<RunCommand>>> = {
  controller: async () => (await import("./commands/controller.ts")).runControllerCommand,
  local: async () => (await import("./commands/local.ts")).runLocal,
  status: async () => (await import("./commands/status.ts")).runStatus,
  inspect: async () => (await import("./commands/inspect.ts")).runInspect,
  verify: async () => (await import("./commands/verify.ts")).runVerify,
  renew: async () => (await import("./commands/renew.ts")).runRenew,
  rotate: async () => (await import("./commands/rotate.ts")).runRotate,
  backup: async () => (await import("./commands/backup.ts")).runBackup,
  restore: async () => (await import("./commands/restore.ts")).runRestore,
  bootstrap: async () => (await import("./commands/bootstrap.ts")).runBootstrap,
  doctor: async () => (await import("./commands/doctor.ts")).runDoctor,
  version: async () => (await import("./commands/version.ts")).runVersion,
  completion: async () => (await import("./commands/completion.ts")).runCompletion,
};
