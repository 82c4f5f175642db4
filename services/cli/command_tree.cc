#include "services/cli/command_tree.h"

#include <CLI/CLI.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace braid::services::cli {
namespace {

// CLI11 says what a value is as `TYPE:VALIDATOR:...`, where a list of choices
// is `{a,b}` and a range `INT in [1 - 5]`.
void DescribeValue(absl::string_view type, OptionInfo* info) {
  const std::vector<absl::string_view> parts = absl::StrSplit(type, ':');
  info->value = std::string(parts[0]);
  for (size_t i = 1; i < parts.size(); ++i) {
    absl::string_view part = parts[i];
    if (absl::ConsumePrefix(&part, "{") && absl::ConsumeSuffix(&part, "}")) {
      info->choices = absl::StrSplit(part, ',');
    } else if (absl::StrContains(part, " in [")) {
      info->range = std::string(part);
    }
  }
}

OptionInfo DescribeOption(const CLI::Option& option) {
  OptionInfo info;
  for (const std::string& name : option.get_snames()) {
    info.flags.push_back(absl::StrCat("-", name));
  }
  for (const std::string& name : option.get_lnames()) {
    info.flags.push_back(absl::StrCat("--", name));
  }
  if (option.get_positional()) info.name = option.get_name(true);
  if (option.get_items_expected_max() > 0) {
    DescribeValue(option.get_type_name(), &info);
    info.default_value = option.get_default_str();
  }
  info.description = option.get_description();
  info.required = option.get_required();
  info.repeated = option.get_items_expected_max() > 1;
  return info;
}

CommandInfo Describe(const CLI::App& app, const std::string& parent,
                     const std::string& parent_footer) {
  CommandInfo info;
  info.name = app.get_name();
  info.path = parent.empty() ? info.name : absl::StrCat(parent, " ", info.name);
  info.description = app.get_description();
  // CLI11 hands footers down.
  if (app.get_footer() != parent_footer) info.footer = app.get_footer();
  for (const CLI::Option* option : app.get_options()) {
    OptionInfo described = DescribeOption(*option);
    if (described.flags.empty()) {
      info.positionals.push_back(std::move(described));
    } else {
      info.options.push_back(std::move(described));
    }
  }
  for (const CLI::App* command : app.get_subcommands(
           [](const CLI::App* each) { return !each->get_name().empty(); })) {
    info.commands.push_back(Describe(*command, info.path, app.get_footer()));
  }
  return info;
}

void Collect(const CommandInfo& command,
             std::vector<const CommandInfo*>* commands) {
  commands->push_back(&command);
  for (const CommandInfo& each : command.commands) Collect(each, commands);
}

}  // namespace

CommandInfo DescribeCommands(const CLI::App& app) {
  return Describe(app, "", "");
}

std::vector<const CommandInfo*> AllCommands(const CommandInfo& root) {
  std::vector<const CommandInfo*> commands;
  Collect(root, &commands);
  return commands;
}

}  // namespace braid::services::cli
