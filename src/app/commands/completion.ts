/**
 * `meshid completion bash|zsh`: scripts made from the command table. They hold all they offer, so that a key press does not
 * start a process.
 */

import type { CommandSpec } from "../command.ts";
import { COMMANDS } from "../command-table.ts";
import { EXIT, type Io } from "../io.ts";
import { COMMON_OPTIONS, type GivenOptions, type OptionSpec, textOf } from "../options.ts";

/** What offers files and directories in bash. */
const PATHS = { file: `_meshid_paths -f "$cur"`, directory: `_meshid_paths -d "$cur"` } as const;

export function runCompletion(options: GivenOptions, io: Io): Promise<number> {
  io.stdout.write(textOf(options, "SHELL") === "zsh" ? zshScript() : bashScript());
  return Promise.resolve(EXIT.ok);
}

export function bashScript(): string {
  const cases = COMMANDS.map(bashCase).join("");
  return `# bash completion for meshid; load it with: source <(meshid completion bash)
_meshid_paths() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen "$1" -- "$2"))
}
_meshid() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command="" word index
  # The shell cuts --flag=value at the sign.
  if [[ $cur == "=" ]]; then cur=""
  elif [[ $prev == "=" ]]; then prev=\${COMP_WORDS[COMP_CWORD-2]}; fi
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    case "$word" in
      ${COMMANDS.map(({ name }) => name).join("|")}) command=$word; break ;;
    esac
  done
  COMPREPLY=()
  case "$command" in
    "")
      COMPREPLY=($(compgen -W "${[...COMMANDS.map(({ name }) => name), "help", "--help", "--version"].join(" ")}" -- "$cur"))
      ;;
${cases}  esac
}
complete -o filenames -F _meshid meshid
`;
}

function bashCase(command: CommandSpec): string {
  const options = optionsOf(command);
  const values = options
    .map((option) => ({
      flags: flagsOf(option).join("|"),
      reply: bashReply(option),
      takesValue: option.type === "string",
    }))
    .filter(({ takesValue }) => takesValue)
    .map(({ flags, reply }) => `        ${flags}) ${reply}return ;;\n`)
    .join("");
  const flags = options.flatMap(flagsOf).filter((flag) => flag.startsWith("--"));
  const words = command.positionals.flatMap(({ choices }) => choices ?? []);
  const completesFile = command.positionals.some(({ completes }) => completes === "file");
  const otherwise = completesFile ? PATHS.file : wordsOf(words);
  return `    ${command.name})
      case "$prev" in
${values}      esac
      case "$cur" in
        -*) COMPREPLY=($(compgen -W "${[...flags, "--help"].join(" ")}" -- "$cur")) ;;
        *) ${otherwise} ;;
      esac
      ;;
`;
}

function bashReply({ choices, completes }: OptionSpec): string {
  if (choices !== undefined) return `${wordsOf(choices)}; `;
  return completes === undefined ? "" : `${PATHS[completes]}; `;
}

function wordsOf(words: readonly string[]): string {
  return `COMPREPLY=($(compgen -W "${words.join(" ")}" -- "$cur"))`;
}

export function zshScript(): string {
  const commands = COMMANDS.map(({ name, summary }) => `    '${name}:${zshText(summary)}'\n`).join("");
  return `#compdef meshid
# zsh completion for meshid; put it into a directory of fpath as _meshid, before compinit
_meshid() {
  local -a commands
  commands=(
${commands}  )
  local context state state_descr line
  typeset -A opt_args
  _arguments -C '1:command:->command' '*::argument:->arguments' && return
  case "$state" in
    command) _describe -t commands 'meshid command' commands ;;
    arguments)
      case "\${words[1]}" in
${COMMANDS.map(zshCase).join("")}      esac
      ;;
  esac
}
if [[ "\${funcstack[1]}" == "_meshid" ]]; then _meshid "$@"; else compdef _meshid meshid; fi
`;
}

function zshCase(command: CommandSpec): string {
  const options = optionsOf(command).map((option) => {
    const flags = flagsOf(option);
    const head = flags.length === 1 ? `'${flags[0]}` : `'(${flags.join(" ")})'{${flags.join(",")}}'`;
    return `${head}[${zshText(option.effect)}]${zshValue(option)}'`;
  });
  const positionals = command.positionals.map(({ name, choices, completes }, index) => {
    const what = choices === undefined ? (completes === "file" ? "_files" : " ") : `(${choices.join(" ")})`;
    return `'${index + 1}:${name}:${what}'`;
  });
  return `        ${command.name})
          _arguments \\
${[...options, "'(- *)--help[Show help]'", ...positionals].map((line) => `            ${line}`).join(" \\\n")}
          ;;
`;
}

function zshValue({ type, value, choices, completes }: OptionSpec): string {
  if (type === "boolean") return "";
  const action =
    choices !== undefined
      ? `(${choices.join(" ")})`
      : completes === "directory"
        ? "_files -/"
        : completes === "file"
          ? "_files"
          : " ";
  return `:${zshText(value ?? "")}:${action}`;
}

/** Within single quotes and brackets of `_arguments`. */
function zshText(text: string): string {
  return text.replaceAll("'", "").replaceAll(/[[\]:\\]/g, String.raw`\$&`);
}

function optionsOf(command: CommandSpec): readonly OptionSpec[] {
  return [...command.options, ...COMMON_OPTIONS];
}

function flagsOf({ name, short }: OptionSpec): readonly string[] {
  return short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`];
}
