// completions bash|zsh|fish: a script that makes the shell complete commands, verbs, options, words and files, and names of
// objects by asking the proxy (`cluster list --names`). It is made of what the commands declare.

import { type Command, oneOf, optionsOf, readArguments, type Words } from "./command.ts";
import { allCommands, COMMANDS, SHELLS } from "./commands.ts";
import { EXIT_DONE, print, printJson } from "./output.ts";

export async function run(args: string[], json: boolean): Promise<number> {
  const { operands } = readArguments("completions", COMMANDS.completions, args);
  const shell = oneOf("SHELL", operands[0]!, SHELLS);
  const script = SCRIPTS[shell](await allCommands());
  if (json) printJson({ shell, script });
  else print(script);
  return EXIT_DONE;
}

type Commands = Record<string, Command>;

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

interface Leaf {
  /** `cluster add`. */
  name: string;
  command: Command;
}

function leaves(commands: Commands): Leaf[] {
  return Object.entries(commands).flatMap(([name, command]) =>
    command.verbs
      ? Object.entries(command.verbs).map(([verb, inner]) => ({ name: `${name} ${verb}`, command: inner }))
      : [{ name, command }]
  );
}

function optionWords(command: Command): string[] {
  return [...Object.keys(optionsOf(command)).map((name) => `--${name}`), "--json", "--help"];
}

/** What a shell runs to get the words, with the syntax of bash and zsh. */
function wordsOf(words: Words | undefined): string {
  if (words === undefined) return "";
  if (words === "file") return "@file";
  return typeof words === "string" ? `@${words}` : words.join(" ");
}

/** Patterns of a `case` → the words that complete there. */
function cases(commands: Commands): { verbs: string[]; options: string[]; values: string[]; operands: string[] } {
  const all = leaves(commands);
  const families = Object.entries(commands).filter(([, { verbs }]) => verbs);
  return {
    verbs: families.map(([name, { verbs }]) => `"${name}") found="${Object.keys(verbs!).join(" ")}" ;;`),
    options: all.map(({ name, command }) => `"${name}") found="${optionWords(command).join(" ")}" ;;`),
    values: all.flatMap(({ name, command }) =>
      Object.entries(optionsOf(command)).filter(([, { value }]) => value !== undefined).map(
        ([option, { short, words }]) => {
          const spellings = [`"${name} --${option}"`, ...(short === undefined ? [] : [`"${name} -${short}"`])];
          return `${spellings.join("|")}) found="${wordsOf(words)}" ;;`;
        },
      )
    ),
    operands: all.flatMap(({ name, command: { operands = [] } }) =>
      operands.flatMap(({ words, repeated }, at) =>
        words === undefined ? [] : [`"${name} "${repeated ? "*" : at}) found="${wordsOf(words)}" ;;`]
      )
    ),
  };
}

/** What bash and zsh have in common: from the words before the cursor to the candidates. */
function walk(commands: Commands): string {
  const { verbs, options, values, operands } = cases(commands);
  const indented = (lines: string[]) => lines.map((line) => `      ${line}`).join("\n");
  const valued = [
    ...new Set(
      leaves(commands).flatMap(({ command }) =>
        Object.entries(optionsOf(command)).filter(([, { value }]) => value !== undefined)
          .flatMap(([name, { short }]) => [`--${name}`, ...(short === undefined ? [] : [`-${short}`])])
      ),
    ),
  ];
  return `_kakehi_words() {
  # Arguments: the word to complete, then the words before it without the program.
  local current="$1" name="" family="" found="" previous="" skip="" socket="" count=0 word
  shift
  for word in "$@"; do
    if [ -n "$skip" ]; then
      if [ "$previous" = --socket ]; then socket="$word"; fi
      skip="" previous="$word"
      continue
    fi
    previous="$word"
    case "$word" in
      ${valued.join("|")}) skip=1 ;;
      -*) ;;
      *)
        if [ -z "$name" ]; then
          case "$word" in
            ${
    Object.keys(commands).filter((name) => commands[name]!.verbs).join("|")
  }) if [ -z "$family" ]; then family="$word"; else name="$family $word"; fi ;;
            *) if [ -z "$family" ]; then name="$word"; else name="$family $word"; fi ;;
          esac
        else count=$((count + 1)); fi ;;
    esac
  done
  if [ -n "$skip" ]; then
    case "$name $previous" in
${indented(values)}
    esac
  elif [ -z "$name" ] && [ -n "$family" ]; then
    case "$family" in
${indented(verbs)}
    esac
  elif [ -z "$name" ]; then
    found="${Object.keys(commands).join(" ")}"
  elif [ "\${current#-}" != "$current" ]; then
    case "$name" in
${indented(options)}
    esac
  else
    case "$name $count" in
${indented(operands)}
    esac
  fi
  case "$found" in
    @file) echo @file ;;
    @*) kakehi "\${found#@}" list --names \${socket:+--socket="$socket"} 2>/dev/null ;;
    *) echo "$found" ;;
  esac
}`;
}

function bashScript(commands: Commands): string {
  return `# Completions of kakehi for bash: source <(kakehi completions bash)

${walk(commands)}

_kakehi() {
  # The shell would take an address apart at its colon: the line is split at spaces alone.
  local line="\${COMP_LINE:0:COMP_POINT}" current="" found stays sign
  local -a given
  read -ra given <<< "$line"
  case "$line" in
    *" ") ;;
    *) current="\${given[-1]}"; unset 'given[-1]' ;;
  esac
  found="$(_kakehi_words "$current" "\${given[@]:1}")"
  if [ "$found" = @file ]; then
    compopt -o default 2>/dev/null
    COMPREPLY=($(compgen -f -- "$current"))
  else
    COMPREPLY=($(compgen -W "$found" -- "$current"))
  fi
  # What stands before the last such sign is not replaced, so it must not be there twice.
  for sign in : =; do
    [[ "$COMP_WORDBREAKS" == *"$sign"* && "$current" == *"$sign"* ]] || continue
    stays="\${current%"$sign"*}$sign"
    COMPREPLY=("\${COMPREPLY[@]#"$stays"}")
  done
}
complete -F _kakehi kakehi`;
}

function zshScript(commands: Commands): string {
  return `#compdef kakehi
# Completions of kakehi for zsh: source <(kakehi completions zsh)

${walk(commands)}

_kakehi() {
  local found
  found="$(_kakehi_words "\${words[CURRENT]}" "\${(@)words[2,CURRENT-1]}")"
  if [[ "$found" == @file ]]; then _files; else compadd -- \${=found}; fi
}
compdef _kakehi kakehi`;
}

function fishScript(commands: Commands): string {
  const lines = [
    "# Completions of kakehi for fish: kakehi completions fish | source",
    "",
    FISH_FUNCTIONS,
    "complete -c kakehi -f",
    "complete -c kakehi -l json -d 'results as JSON'",
    "complete -c kakehi -l help -d 'how the command is used'",
  ];
  for (const [name, { does, verbs }] of Object.entries(commands)) {
    lines.push(`complete -c kakehi -n '__kakehi_is 0' -a ${name} -d ${quoted(does)}`);
    for (const [verb, inner] of Object.entries(verbs ?? {})) {
      lines.push(`complete -c kakehi -n '__kakehi_is 1 ${name}' -a ${verb} -d ${quoted(inner.does)}`);
    }
  }
  for (const leaf of leaves(commands)) lines.push(...fishLeaf(leaf));
  return lines.join("\n");
}

/** How many words that are no options there are before the cursor, and which they begin with. */
const FISH_FUNCTIONS = `function __kakehi_is
  set -l words (string match -v -- '-*' (commandline -opc))
  set -e words[1]
  test (count $argv) -eq 1; and test (count $words) -eq 0; and return 0
  test (count $argv) -gt 1; or return 1
  if test "$argv[1]" != any
    test (count $words) -eq $argv[1]; or return 1
  end
  set -l wanted $argv[2..-1]
  for at in (seq (count $wanted))
    test "$words[$at]" = "$wanted[$at]"; or return 1
  end
end
`;

function fishLeaf({ name, command }: Leaf): string[] {
  const condition = quoted(`__kakehi_is any ${name}`);
  const lines = Object.entries(optionsOf(command)).map(([option, { about, short, value, words }]) => {
    const takes = value === undefined ? "" : `${words === "file" ? " -r" : " -x"}${fishWords(words)}`;
    return `complete -c kakehi -n ${condition} -l ${option}${short === undefined ? "" : ` -s ${short}`}${takes} -d ${
      quoted(about)
    }`;
  });
  const count = name.split(" ").length;
  (command.operands ?? []).forEach(({ words, repeated }, at) => {
    if (words === undefined) return;
    const where = repeated ? "any" : count + at;
    lines.push(`complete -c kakehi -n '__kakehi_is ${where} ${name}'${words === "file" ? " -F" : fishWords(words)}`);
  });
  return lines;
}

function fishWords(words: Words | undefined): string {
  if (words === undefined) return "";
  if (words === "file") return " -F";
  return ` -a ${quoted(typeof words === "string" ? `(kakehi ${words} list --names 2>/dev/null)` : words.join(" "))}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
