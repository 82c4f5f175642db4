#include "services/cli/completion.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/substitute.h"

namespace braid::services::cli {
namespace {

enum class ValueKind { kNone, kChoice, kDirectory, kFile, kOther };

ValueKind KindOf(const OptionInfo& option) {
  if (option.value.empty()) return ValueKind::kNone;
  if (!option.choices.empty()) return ValueKind::kChoice;
  if (option.value == "DIR") return ValueKind::kDirectory;
  if (option.value == "FILE" || option.value == "PATH") return ValueKind::kFile;
  return ValueKind::kOther;
}

// A word of a shell, whatever it holds.
std::string Quote(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

std::vector<std::string> FlagsOf(const CommandInfo& command) {
  std::vector<std::string> flags;
  for (const OptionInfo& option : command.options) {
    flags.insert(flags.end(), option.flags.begin(), option.flags.end());
  }
  return flags;
}

std::vector<std::string> VerbsOf(const CommandInfo& command) {
  std::vector<std::string> verbs;
  for (const CommandInfo& each : command.commands) verbs.push_back(each.name);
  return verbs;
}

// --- bash ---

// What completes a value, as a command of bash; empty where nothing does.
std::string BashValue(const OptionInfo& option) {
  switch (KindOf(option)) {
    case ValueKind::kChoice:
      return absl::StrCat("_braid_words ",
                          Quote(absl::StrJoin(option.choices, " ")));
    case ValueKind::kDirectory:
      return "_braid_paths -d";
    case ValueKind::kFile:
      return "_braid_paths -f";
    default:
      return ":";
  }
}

// Sets COMPREPLY where the word before the cursor is a flag with a value.
std::string BashValues(const CommandInfo& root) {
  std::string cases;
  for (const CommandInfo* command : AllCommands(root)) {
    for (const OptionInfo& option : command->options) {
      if (KindOf(option) == ValueKind::kNone) continue;
      std::vector<std::string> patterns;
      for (const std::string& flag : option.flags) {
        patterns.push_back(Quote(absl::StrCat(command->path, " ", flag)));
      }
      absl::StrAppend(&cases, "    ", absl::StrJoin(patterns, " | "), ") ",
                      BashValue(option), "; return ;;\n");
    }
  }
  return cases;
}

std::string BashCommands(const CommandInfo& root) {
  std::string cases;
  for (const CommandInfo* command : AllCommands(root)) {
    std::string words = ":";
    if (!command->commands.empty()) {
      words = absl::StrCat("_braid_words ",
                           Quote(absl::StrJoin(VerbsOf(*command), " ")));
    } else if (!command->positionals.empty()) {
      words = BashValue(command->positionals.back());
    }
    absl::StrAppend(&cases, "    ", Quote(command->path),
                    ")\n      if [[ $word == -* ]]; then _braid_words ",
                    Quote(absl::StrJoin(FlagsOf(*command), " ")), "; else ",
                    words, "; fi ;;\n");
  }
  return cases;
}

constexpr char kBash[] =
    R"(# bash completion of $0, written by `$0 completion bash`.
_braid_words() { mapfile -t COMPREPLY < <(compgen -W "$$1" -- "$$word"); }
_braid_paths() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen "$$1" -- "$$word")
}
_braid() {
  local word=$${COMP_WORDS[COMP_CWORD]} previous=$${COMP_WORDS[COMP_CWORD - 1]}
  local command=$0 index
  COMPREPLY=()
  # bash takes --flag=value apart at the sign.
  if [[ $$word == = ]]; then
    word=''
  elif [[ $$previous == = ]]; then
    previous=$${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((index = 1; index < COMP_CWORD; ++index)); do
    case "$$command $${COMP_WORDS[index]}" in
    $1) command+=" $${COMP_WORDS[index]}" ;;
    esac
  done
  case "$$command $$previous" in
$2  esac
  case $$command in
$3  esac
}
complete -F _braid $0
)";

// --- zsh ---

// Text inside the brackets of a specification, or a part between its colons.
std::string ZshText(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"\\", "\\\\"}, {"[", "\\["}, {"]", "\\]"}, {":", "\\:"}});
}

std::string ZshAction(const OptionInfo& option) {
  switch (KindOf(option)) {
    case ValueKind::kChoice:
      return absl::StrCat("(", absl::StrJoin(option.choices, " "), ")");
    case ValueKind::kDirectory:
      return "_files -/";
    case ValueKind::kFile:
      return "_files";
    default:
      return "";
  }
}

std::vector<std::string> ZshSpecifications(const CommandInfo& command) {
  std::vector<std::string> specifications;
  for (const OptionInfo& option : command.options) {
    for (const std::string& flag : option.flags) {
      // Either form rules out both, unless it may be repeated.
      std::string text =
          option.repeated
              ? "*"
              : absl::StrCat("(", absl::StrJoin(option.flags, " "), ")");
      absl::StrAppend(&text, flag, "[", ZshText(option.description), "]");
      if (KindOf(option) != ValueKind::kNone) {
        absl::StrAppend(&text, ":", ZshText(option.value), ":",
                        ZshAction(option));
      }
      specifications.push_back(Quote(text));
    }
  }
  for (const OptionInfo& positional : command.positionals) {
    specifications.push_back(Quote(
        absl::StrCat(positional.repeated ? "*:" : ":", ZshText(positional.name),
                     ":", ZshAction(positional))));
  }
  return specifications;
}

std::string ZshFunctionName(const CommandInfo& command) {
  return absl::StrCat("_", absl::StrReplaceAll(command.path, {{" ", "__"}}));
}

std::string ZshFunction(const CommandInfo& command) {
  std::vector<std::string> specifications = ZshSpecifications(command);
  const std::string name = ZshFunctionName(command);
  if (command.commands.empty()) {
    return absl::StrCat(name, "() {\n  _arguments -s \\\n    ",
                        absl::StrJoin(specifications, " \\\n    "), "\n}\n");
  }
  specifications.push_back("'1:command:->command'");
  specifications.push_back("'*::argument:->argument'");
  std::string verbs, cases;
  for (const CommandInfo& each : command.commands) {
    absl::StrAppend(&verbs, "        ",
                    Quote(absl::StrCat(each.name, ":", each.description)),
                    "\n");
    absl::StrAppend(&cases, "        ", each.name, ") ", ZshFunctionName(each),
                    " ;;\n");
  }
  return absl::StrCat(
      name,
      "() {\n  local context state state_descr line\n"
      "  typeset -A opt_args\n  _arguments -C \\\n    ",
      absl::StrJoin(specifications, " \\\n    "),
      "\n  case $state in\n    command)\n      local -a commands=(\n", verbs,
      "      )\n      _describe command commands ;;\n    argument)\n"
      "      case $line[1] in\n",
      cases, "      esac ;;\n  esac\n}\n");
}

// --- fish ---

// In single quotes fish knows two escapes.
std::string FishQuote(absl::string_view text) {
  return absl::StrCat(
      "'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

// The arguments of `complete` that say what a value is.
std::string FishValue(const OptionInfo& option) {
  switch (KindOf(option)) {
    case ValueKind::kChoice:
      return absl::StrCat(" -x -a ",
                          FishQuote(absl::StrJoin(option.choices, " ")));
    case ValueKind::kDirectory:
      return " -x -a '(__fish_complete_directories)'";
    case ValueKind::kFile:
      return " -r -F";
    case ValueKind::kOther:
      return " -x";
    case ValueKind::kNone:
      return "";
  }
  return "";
}

constexpr char kFish[] =
    R"(# fish completion of $0, written by `$0 completion fish`.
function __braid_at --description 'Whether the command before the cursor is this one'
    set -l command $0
    for word in (commandline -opc)[2..-1]
        if contains -- "$$command $$word" $1
            set command "$$command $$word"
        end
    end
    test "$$command" = "$$argv"
end
complete -c $0 -f
)";

std::string FishCommand(const CommandInfo& root, const CommandInfo& command) {
  const std::string start =
      absl::StrCat("complete -c ", root.name, " -n ",
                   FishQuote(absl::StrCat("__braid_at ", command.path)));
  std::string text;
  for (const CommandInfo& each : command.commands) {
    absl::StrAppend(&text, start, " -a ", each.name, " -d ",
                    FishQuote(each.description), "\n");
  }
  for (const OptionInfo& option : command.options) {
    absl::StrAppend(&text, start);
    for (absl::string_view flag : option.flags) {
      const bool is_long = flag.substr(0, 2) == "--";
      absl::StrAppend(&text, is_long ? " -l " : " -s ",
                      flag.substr(is_long ? 2 : 1));
    }
    absl::StrAppend(&text, FishValue(option), " -d ",
                    FishQuote(option.description), "\n");
  }
  for (const OptionInfo& positional : command.positionals) {
    // Without this, files are not offered; other values cannot be.
    switch (KindOf(positional)) {
      case ValueKind::kFile:
        absl::StrAppend(&text, start, " -F\n");
        break;
      case ValueKind::kDirectory:
        absl::StrAppend(&text, start, " -a '(__fish_complete_directories)'\n");
        break;
      case ValueKind::kChoice:
        absl::StrAppend(&text, start, " -a ",
                        FishQuote(absl::StrJoin(positional.choices, " ")),
                        "\n");
        break;
      default:
        break;
    }
  }
  return text;
}

// The paths of all commands but the root's, quoted.
std::vector<std::string> QuotedPaths(const CommandInfo& root) {
  std::vector<std::string> paths;
  for (const CommandInfo* command : AllCommands(root)) {
    if (command != &root) paths.push_back(Quote(command->path));
  }
  return paths;
}

}  // namespace

std::string BashCompletion(const CommandInfo& root) {
  return absl::Substitute(kBash, root.name,
                          absl::StrJoin(QuotedPaths(root), " | "),
                          BashValues(root), BashCommands(root));
}

std::string ZshCompletion(const CommandInfo& root) {
  std::string text = absl::Substitute(
      "#compdef $0\n# zsh completion of $0, written by `$0 completion zsh`.\n",
      root.name);
  for (const CommandInfo* command : AllCommands(root)) {
    absl::StrAppend(&text, ZshFunction(*command));
  }
  // Loaded by name from $fpath it is to complete at once; sourced, it is to be
  // known.
  absl::SubstituteAndAppend(&text,
                            "if [[ $$funcstack[1] == _$0 ]]; then\n  _$0 "
                            "\"$$@\"\nelse\n  compdef _$0 $0\nfi\n",
                            root.name);
  return text;
}

std::string FishCompletion(const CommandInfo& root) {
  std::string text =
      absl::Substitute(kFish, root.name, absl::StrJoin(QuotedPaths(root), " "));
  for (const CommandInfo* command : AllCommands(root)) {
    absl::StrAppend(&text, FishCommand(root, *command));
  }
  return text;
}

}  // namespace braid::services::cli
