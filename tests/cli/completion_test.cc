// Completions and the manual, of a command line whose texts try to break them,
// run in the shells themselves.
#include "services/cli/completion.h"

#include <sys/wait.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/cli/command_tree.h"
#include "services/cli/manual.h"

namespace braid::services::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

constexpr const char* kHostile =
    ".It's \"so\": [a] {b} (c) $HOME `id` \\fB\\ %d #; 'x'";

class CompletionTest : public ::testing::Test {
 protected:
  CompletionTest() : app_("A tool.", "tool") {
    app_.set_version_flag("--version", "1");
    app_.footer("Exit codes: 0.\n.Second line.");
    CLI::App* plain = app_.add_subcommand("plain", kHostile);
    plain->add_option("--pick", pick_, kHostile)
        ->check(CLI::IsMember({"apple", "avocado", "beet"}))
        ->capture_default_str();
    plain->add_option("--dir", text_, "A directory")->type_name("DIR");
    plain->add_option("-f,--file", text_, "A file")->type_name("FILE");
    plain->add_option("-n,--number", number_, "A number")
        ->type_name("N")
        ->check(CLI::Range(1, 9));
    plain->add_flag("--json", flag_, "A switch");
    plain->add_option("paths", texts_, "Paths")->type_name("PATH")->required();
    CLI::App* group = app_.add_subcommand("group", "A group");
    group->require_subcommand(1);
    group->add_subcommand("get", "Get one")
        ->add_option("--deep", texts_, "Repeated")
        ->type_name("KEY");
    group->add_subcommand("list", "List all");

    directory_ =
        ::testing::TempDir() + "/braid_completion_" +
        ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(directory_ + "/some dir");
    std::ofstream(directory_ + "/some file.txt") << "x";
  }
  ~CompletionTest() override { std::filesystem::remove_all(directory_); }

  CommandInfo root() const { return DescribeCommands(app_); }

  std::string Write(const std::string& name, const std::string& text) const {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }

  // What a command prints, standard error included; its exit status is 0.
  std::string Run(const std::string& command) const {
    std::FILE* pipe =
        popen(absl::StrCat("cd '", directory_, "' && { ", command, "\n} 2>&1")
                  .c_str(),
              "r");
    std::string out;
    char buffer[4096];
    while (const size_t got = fread(buffer, 1, sizeof(buffer), pipe)) {
      out.append(buffer, got);
    }
    const int status = pclose(pipe);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
        << command << "\n"
        << out;
    return out;
  }

  static bool Installed(const std::string& program) {
    return std::system(absl::StrCat("command -v ", program, " >/dev/null 2>&1")
                           .c_str()) == 0;
  }

  // What bash offers after `words`, of which the last is being typed.
  std::vector<std::string> Bash(const std::vector<std::string>& words) const {
    std::string list;
    for (const std::string& word : words) {
      absl::StrAppend(&list, " '", word, "'");
    }
    Write("bash", BashCompletion(root()));
    Write("ask", absl::StrCat("source ./bash\nCOMP_WORDS=(tool", list,
                              ")\nCOMP_CWORD=", words.size(),
                              "\n_braid\nprintf '%s\\n' "
                              "\"${COMPREPLY[@]}\"\n"));
    return absl::StrSplit(Run("bash --norc ./ask"), '\n', absl::SkipEmpty());
  }

  // What fish offers at the end of `line`, without the descriptions.
  std::vector<std::string> Fish(const std::string& line) const {
    Write("fish", FishCompletion(root()));
    std::vector<std::string> offers;
    for (const auto& offer : absl::StrSplit(
             Run(absl::StrCat("HOME=. fish --no-config -c 'source ./fish; "
                              "complete -C \"",
                              line, "\"'")),
             '\n', absl::SkipEmpty())) {
      offers.push_back(
          std::vector<std::string>(absl::StrSplit(offer, '\t'))[0]);
    }
    return offers;
  }

  CLI::App app_;
  std::string directory_, pick_ = "beet", text_;
  std::vector<std::string> texts_;
  int number_ = 0;
  bool flag_ = false;
};

TEST_F(CompletionTest, TheTreeIsWhatTheParserTakes) {
  const CommandInfo tree = root();
  EXPECT_EQ(tree.path, "tool");
  ASSERT_EQ(tree.commands.size(), 2u);
  EXPECT_EQ(AllCommands(tree).size(), 5u);
  const CommandInfo& plain = tree.commands[0];
  EXPECT_EQ(plain.path, "tool plain");
  EXPECT_EQ(plain.description, kHostile);
  ASSERT_EQ(plain.options.size(), 6u);  // and --help
  const OptionInfo& pick = plain.options[1];
  EXPECT_THAT(pick.flags, ElementsAre("--pick"));
  EXPECT_THAT(pick.choices, ElementsAre("apple", "avocado", "beet"));
  EXPECT_EQ(pick.default_value, "beet");
  const OptionInfo& number = plain.options[4];
  EXPECT_THAT(number.flags, ElementsAre("-n", "--number"));
  EXPECT_EQ(number.value, "N");
  EXPECT_EQ(number.range, "INT in [1 - 9]");
  EXPECT_TRUE(plain.options[5].value.empty());
  ASSERT_EQ(plain.positionals.size(), 1u);
  EXPECT_EQ(plain.positionals[0].value, "PATH");
  EXPECT_TRUE(plain.positionals[0].required);
  EXPECT_TRUE(plain.positionals[0].repeated);
  EXPECT_EQ(tree.commands[1].commands[0].path, "tool group get");
}

TEST_F(CompletionTest, Bash) {
  EXPECT_THAT(Bash({""}), UnorderedElementsAre("plain", "group"));
  EXPECT_THAT(Bash({"g"}), ElementsAre("group"));
  EXPECT_THAT(Bash({"--v"}), ElementsAre("--version"));
  EXPECT_THAT(Bash({"group", ""}), UnorderedElementsAre("get", "list"));
  EXPECT_THAT(Bash({"group", "get", "--d"}), ElementsAre("--deep"));
  EXPECT_THAT(Bash({"plain", "-"}),
              UnorderedElementsAre("-h", "--help", "--pick", "--dir", "-f",
                                   "--file", "-n", "--number", "--json"));
  EXPECT_THAT(Bash({"plain", "--pick", "a"}),
              UnorderedElementsAre("apple", "avocado"));
  EXPECT_THAT(Bash({"plain", "--pick", "=", "av"}), ElementsAre("avocado"));
  EXPECT_THAT(Bash({"plain", "--pick", "="}),
              UnorderedElementsAre("apple", "avocado", "beet"));
  EXPECT_THAT(Bash({"plain", "--dir", "so"}), ElementsAre("some dir"));
  EXPECT_THAT(Bash({"plain", "-f", "some"}),
              UnorderedElementsAre("some dir", "some file.txt"));
  EXPECT_THAT(Bash({"plain", "--json", "some"}),
              UnorderedElementsAre("some dir", "some file.txt"));
  EXPECT_THAT(Bash({"plain", "-n", ""}), IsEmpty());
  // A value is not a verb.
  EXPECT_THAT(Bash({"plain", "--dir", "group", "--j"}), ElementsAre("--json"));
}

TEST_F(CompletionTest, Fish) {
  if (!Installed("fish")) GTEST_SKIP() << "fish is not installed";
  EXPECT_THAT(Fish("tool "), UnorderedElementsAre("plain", "group"));
  EXPECT_THAT(Fish("tool group "), UnorderedElementsAre("get", "list"));
  EXPECT_THAT(Fish("tool group get --d"), ElementsAre("--deep"));
  EXPECT_THAT(Fish("tool plain --pick a"),
              UnorderedElementsAre("apple", "avocado"));
  EXPECT_THAT(Fish("tool plain --dir so"), ElementsAre("some dir/"));
  EXPECT_THAT(Fish("tool plain some"),
              UnorderedElementsAre("some dir/", "some file.txt"));
  EXPECT_THAT(Fish("tool group list some"), IsEmpty());
}

TEST_F(CompletionTest, Zsh) {
  if (!Installed("zsh")) GTEST_SKIP() << "zsh is not installed";
  Write("_tool", ZshCompletion(root()));
  Run("zsh -n ./_tool");
  // Another zsh on a pseudo-terminal: a line is typed, Tab pressed, and what it
  // lists awaited.
  Write("ask", R"(
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner 'PS1=; fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D'
zpty -w inner 'stty columns 200; bindkey "^I" list-choices; print re""ady'
zpty -r inner line '*ready*'
offers() {
  zpty -w -n inner "$1"$'\t'
  zpty -r inner line "$2"
  zpty -w -n inner $'\C-u'
}
offers 'tool ' "*group  -- A group*plain  -- .It's \"so\": \[a\] {b} *"
offers 'tool group ' '*get   -- Get one*list  -- List all*'
offers 'tool group get --d' '*--deep  -- Repeated*'
offers 'tool plain --p' "*--pick  -- .It's \"so\": \[a\] {b} *"
offers 'tool plain --pick ' '*apple*avocado*beet*'
offers 'tool plain --dir ' '*some\\ dir*'
offers 'tool plain so' '*some\\ dir*some\\ file.txt*'
zpty -d inner
print all
)");
  EXPECT_EQ(Run("timeout 60 zsh -f ./ask"), "all\n");
}

TEST_F(CompletionTest, TheManualIsOnePage) {
  const std::string page = ManualPage(root(), "1.2-3");
  EXPECT_THAT(page, HasSubstr(".SH NAME\ntool \\- A tool.\n"));
  EXPECT_THAT(page, HasSubstr("\\fB\\-\\-pick\\fR"));
  EXPECT_THAT(page, HasSubstr("BRAID_LIMITS_MAX_TOP_K"));
  // No text becomes a request: lines begin with a dot only where we wrote it.
  const std::set<std::string> requests = {".TH", ".SH", ".SS", ".TP",
                                          ".PP", ".nh", ".ad", ".br"};
  for (const auto& line : absl::StrSplit(page, '\n')) {
    if (line.empty() || (line[0] != '.' && line[0] != '\'')) continue;
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    EXPECT_TRUE(requests.count(words[0])) << line;
  }
}

TEST_F(CompletionTest, TheManualIsGoodTroff) {
  if (!Installed("groff")) GTEST_SKIP() << "groff is not installed";
  Write("page", ManualPage(root(), "1.2"));
  EXPECT_EQ(Run("groff -man -ww -z -Tascii ./page"), "");
  const std::string text = Run("groff -man -Tascii -P-cbou ./page");
  EXPECT_THAT(text, HasSubstr("$HOME `id` \\fB\\ %d #; 'x'"));
  EXPECT_THAT(text, HasSubstr("-n, --number N"));
  EXPECT_THAT(text, HasSubstr("apple|avocado|beet"));
  EXPECT_THAT(text, HasSubstr(".Second line."));
  EXPECT_THAT(text, Not(HasSubstr("(default: )")));
}

}  // namespace
}  // namespace braid::services::cli
