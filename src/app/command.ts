/**
 * The uniform shape of a command: what is known without loading it, and how to load it.
 */

import type { Io } from "./io.ts";
import type { GivenOptions, OptionSpec, PositionalSpec } from "./options.ts";

/**
 * `options` hold the positional arguments too, by name; nothing of them has been checked. Resolves to the exit code.
 * @throws OperatorError, which the CLI prints and maps to an exit code.
 */
export type RunCommand = (options: GivenOptions, io: Io) => Promise<number>;

export interface CommandSpec {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly summary: string;
  /** More than the summary says, for the command's own help. */
  readonly description: string;
  readonly positionals: readonly PositionalSpec[];
  readonly options: readonly OptionSpec[];
  /** The command checks closed lists of values itself, together with everything else. */
  readonly checksChoices?: true;
  /** Command line and what it is good for; at least two. */
  readonly examples: readonly (readonly [command: string, purpose: string])[];
}
