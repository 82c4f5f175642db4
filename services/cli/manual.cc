#include "services/cli/manual.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "services/config/schema.h"

namespace braid::services::cli {
namespace {

// What is typed as it stands: every hyphen is one that can be copied.
std::string Literal(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"\\", "\\e"}, {"-", "\\-"}, {"'", "\\(aq"}, {"`", "\\(ga"}});
}

// A line of prose. In it only flags have hyphens that are typed.
std::string Prose(absl::string_view text) {
  std::vector<std::string> words;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    const size_t start = word.find_first_not_of("(`\"");
    const bool flag = start != absl::string_view::npos && word[start] == '-';
    words.push_back(
        flag ? Literal(word)
             : absl::StrReplaceAll(
                   word, {{"\\", "\\e"}, {"'", "\\(aq"}, {"`", "\\(ga"}}));
  }
  std::string line = absl::StrJoin(words, " ");
  // A dot at the beginning of a line would be a request to troff.
  if (!line.empty() && line[0] == '.') line.insert(0, "\\&");
  return line;
}

std::string Bold(absl::string_view text) {
  return absl::StrCat("\\fB", Literal(text), "\\fR");
}

std::string Italic(absl::string_view text) {
  return absl::StrCat("\\fI", Literal(text), "\\fR");
}

void AppendParagraphs(absl::string_view text, std::string* page) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!line.empty()) absl::StrAppend(page, ".PP\n", Prose(line), "\n");
  }
}

void AppendOption(const OptionInfo& option, std::string* page) {
  std::vector<std::string> flags;
  for (const std::string& flag : option.flags) flags.push_back(Bold(flag));
  absl::StrAppend(
      page, ".TP\n",
      flags.empty() ? Italic(option.name) : absl::StrJoin(flags, ", "));
  if (!option.choices.empty()) {
    std::vector<std::string> choices;
    for (const std::string& choice : option.choices) {
      choices.push_back(Bold(choice));
    }
    absl::StrAppend(page, " ", absl::StrJoin(choices, "|"));
  } else if (!option.flags.empty() && !option.value.empty()) {
    absl::StrAppend(page, " ", Italic(option.value));
  }
  if (option.repeated) absl::StrAppend(page, " ...");
  absl::StrAppend(page, "\n", Prose(option.description));
  if (!option.range.empty()) {
    absl::StrAppend(page, "\n(", Prose(option.range), ")");
  }
  if (!option.default_value.empty()) {
    absl::StrAppend(page, "\n(default: ", Prose(option.default_value), ")");
  }
  if (option.required) absl::StrAppend(page, "\n(required)");
  absl::StrAppend(page, "\n");
}

std::string Synopsis(const CommandInfo& command) {
  std::string line =
      absl::StrCat(Bold(command.path), " [", Italic("OPTIONS"), "]");
  for (const OptionInfo& positional : command.positionals) {
    const std::string name =
        absl::StrCat(Italic(positional.name), positional.repeated ? "..." : "");
    absl::StrAppend(&line, " ",
                    positional.required ? name : absl::StrCat("[", name, "]"));
  }
  return line;
}

void AppendCommand(const CommandInfo& command, std::string* page) {
  if (command.commands.empty()) {
    absl::StrAppend(page, ".SS ", Literal(command.path), "\n",
                    Synopsis(command), "\n");
    AppendParagraphs(command.description, page);
    for (const OptionInfo& positional : command.positionals) {
      AppendOption(positional, page);
    }
    for (const OptionInfo& option : command.options) {
      AppendOption(option, page);
    }
    AppendParagraphs(command.footer, page);
  }
  for (const CommandInfo& each : command.commands) AppendCommand(each, page);
}

void AppendSettings(std::string* page) {
  absl::StrAppend(page, ".SH CONFIGURATION\n",
                  Prose("Keys of the file that --config names, in TOML, and "
                        "the variables that win over them. An unknown key is "
                        "an error."),
                  "\n");
  for (const Setting& setting : Settings()) {
    absl::StrAppend(page, ".TP\n", Bold(setting.Name()), "\n",
                    Bold(setting.EnvironmentName()), "\n");
  }
}

}  // namespace

std::string ManualPage(const CommandInfo& root, absl::string_view version) {
  std::string page =
      absl::StrCat(".TH ", absl::AsciiStrToUpper(root.name), " 1 \"\" \"",
                   root.name, " ", Literal(version), "\" \"User Commands\"\n",
                   // Neither hyphenated nor stretched: flags stay whole.
                   ".nh\n.ad l\n", ".SH NAME\n", root.name, " \\- ",
                   Prose(root.description), "\n.SH SYNOPSIS\n");
  for (const CommandInfo* command : AllCommands(root)) {
    if (!command->commands.empty()) continue;
    absl::StrAppend(&page, Synopsis(*command), "\n.br\n");
  }
  absl::StrAppend(&page, ".SH OPTIONS\n");
  for (const OptionInfo& option : root.options) AppendOption(option, &page);
  absl::StrAppend(&page, ".SH COMMANDS\n");
  AppendCommand(root, &page);
  AppendSettings(&page);
  absl::StrAppend(&page, ".SH NOTES\n");
  AppendParagraphs(root.footer, &page);
  return page;
}

}  // namespace braid::services::cli
