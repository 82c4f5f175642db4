#include "services/config/config.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <regex>
#include <set>
#include <string>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/config/schema.h"

namespace braid::services {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ConfigTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = ::testing::TempDir() + "/braid_config_" +
            ::testing::UnitTest::GetInstance()->current_test_info()->name() +
            ".toml";
  }
  void TearDown() override {
    std::filesystem::remove(path_);
    for (const std::string& name : set_) unsetenv(name.c_str());
  }
  absl::StatusOr<Config> Load(const std::string& content) {
    std::ofstream(path_) << content;
    return LoadConfig(path_);
  }
  void SetVariable(const std::string& name, const std::string& value) {
    setenv(name.c_str(), value.c_str(), 1);
    set_.push_back(name);
  }
  std::string path_;
  std::vector<std::string> set_;
};

TEST_F(ConfigTest, DefaultsWithoutFile) {
  const auto config = LoadConfig("");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->address, "127.0.0.1:7410");
  EXPECT_EQ(config->limits.max_top_k, 1000);
}

TEST_F(ConfigTest, ReadsEveryType) {
  const auto config = Load(
      "address = \"unix:/tmp/braid\"\nthreads = 3\nlog_level = \"error\"\n"
      "history_retention = \"36h\"\nhistory_max_mb = 12\n"
      "trace_sample_ratio = 0.25\notlp_endpoint = \"http://collector:4318\"\n"
      "[limits]\nmax_leg_weight = 5\nmax_rrf_k = 77\n"
      "default_rrf_k = 12\nretry_delay = \"1.5s\"\nmax_query_bytes = 100\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->address, "unix:/tmp/braid");
  EXPECT_EQ(config->threads, 3);
  EXPECT_EQ(config->log_level, "error");
  EXPECT_EQ(config->history_retention, absl::Hours(36));
  EXPECT_EQ(config->history_max_mb, 12);
  EXPECT_EQ(config->trace_sample_ratio, 0.25);
  EXPECT_EQ(config->otlp_endpoint, "http://collector:4318");
  EXPECT_EQ(config->limits.max_leg_weight, 5.0);
  EXPECT_EQ(config->limits.max_rrf_k, 77u);
  EXPECT_EQ(config->limits.retry_delay, absl::Milliseconds(1500));
  EXPECT_EQ(config->limits.max_query_bytes, 100u);
}

TEST_F(ConfigTest, ErrorsNameFileLineAndKey) {
  const struct {
    const char* content;
    const char* line;
    const char* says;
  } kCases[] = {
      {"threads = 1\nthread = 2\n", ":2:", "unknown key `thread`"},
      {"[limits]\n\nmax_topk = 2\n", ":3:", "unknown key `limits.max_topk`"},
      {"threads = \"two\"\n", ":1:", "`threads` must be an integer"},
      {"threads = -1\n", ":1:", "`threads` must be between 0 and 1024"},
      {"threads = 1.5\n", ":1:", "`threads` must be an integer"},
      {"threads = [1]\n", ":1:", "`threads` must be a single value"},
      {"trace_sample_ratio = 1.5\n",
       ":1:", "`trace_sample_ratio` must be between 0 and 1"},
      {"address = 7\n", ":1:", "`address` must be a string"},
      {"log_level = \"loud\"\n", ":1:", "`log_level` must be one of"},
      {"[limits]\nmax_leg_weight = nan\n",
       ":2:", "`limits.max_leg_weight` must be between"},
      {"[limits]\nretry_delay = 5\n",
       ":2:", "`limits.retry_delay` must be a duration"},
      {"[limits]\nretry_delay = \"-1s\"\n", ":2:", "must be between"},
      {"[limits]\nmax_top_k = 99999999999999\n", ":2:", "must be between"},
      {"limits = 3\n", ":1:", "`limits` must be a table"},
      {"threads = \n", ":1:", ""},
      {"[server]\nx = 1\n", ":1:", "unknown key `server`"},
  };
  for (const auto& test : kCases) {
    const auto config = Load(test.content);
    EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument)
        << test.content;
    EXPECT_THAT(std::string(config.status().message()),
                AllOf(HasSubstr(path_ + test.line), HasSubstr(test.says)))
        << test.content;
  }
}

TEST_F(ConfigTest, EnvironmentWinsOverFile) {
  SetVariable("BRAID_THREADS", "5");
  SetVariable("BRAID_LIMITS_MAX_LEG_WEIGHT", "2.5");
  SetVariable("BRAID_LIMITS_SHUTDOWN_GRACE", "3s");
  const auto config = Load("threads = 3\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->threads, 5);
  EXPECT_EQ(config->limits.max_leg_weight, 2.5);
  EXPECT_EQ(config->limits.shutdown_grace, absl::Seconds(3));
}

TEST_F(ConfigTest, BadEnvironmentNamesTheVariable) {
  SetVariable("BRAID_THREADS", "many");
  EXPECT_THAT(std::string(LoadConfig("").status().message()),
              HasSubstr("`BRAID_THREADS` must be an integer"));
}

TEST_F(ConfigTest, VariablesOfKubernetesAreNoError) {
  SetVariable("BRAID_PORT", "tcp://10.0.0.1:7410");
  EXPECT_TRUE(LoadConfig("").ok());
}

TEST_F(ConfigTest, DefaultAboveItsMaximumIsRefused) {
  EXPECT_THAT(std::string(Load("[limits]\nmax_top_k = 5\n").status().message()),
              AllOf(HasSubstr("default_top_k"), HasSubstr("max_top_k")));
}

TEST_F(ConfigTest, MissingFileIsNotFound) {
  EXPECT_EQ(LoadConfig("/no/such/braid.toml").status().code(),
            absl::StatusCode::kNotFound);
}

// The value of a setting in `config`, as something that can be compared.
std::string ValueOf(const Setting& setting, const Config& config) {
  const auto text = [](const auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>,
                                 absl::Duration>) {
      return absl::FormatDuration(value);
    } else {
      return absl::StrCat(value);
    }
  };
  const auto read = [&](auto field) {
    if constexpr (std::is_invocable_v<decltype(field), const Config&>) {
      return text(std::invoke(field, config));
    } else {
      return text(std::invoke(field, config.limits));
    }
  };
  return std::visit(read, setting.target);
}

// deploy/braid.toml shows every key with its default, as a comment where that
// is all it has to say.
TEST_F(ConfigTest, TheExampleNamesEveryKeyWithItsDefault) {
  const std::string example = BRAID_SOURCE_DIR "/deploy/braid.toml";
  const auto as_it_is = LoadConfig(example);
  ASSERT_TRUE(as_it_is.ok()) << as_it_is.status();
  EXPECT_EQ(as_it_is->data_directory, "/var/lib/braid");

  std::ifstream in(example);
  std::string line, table, content;
  std::multiset<std::string> names;
  const std::regex setting_line("#?([a-z_]+) = .*"),
      table_line("#?\\[(\\w+)\\]");
  while (std::getline(in, line)) {
    std::smatch match;
    if (std::regex_match(line, match, table_line)) {
      table = match[1].str() + ".";
    } else if (std::regex_match(line, match, setting_line)) {
      names.insert(table + match[1].str());
    } else {
      EXPECT_TRUE(line.empty() || line.rfind("# ", 0) == 0 || line == "#")
          << line;
      continue;
    }
    absl::StrAppend(&content, line.substr(line[0] == '#' ? 1 : 0), "\n");
  }
  const auto defaults = Load(content);
  ASSERT_TRUE(defaults.ok()) << defaults.status();
  for (const Setting& setting : Settings()) {
    EXPECT_EQ(names.count(setting.Name()), 1u) << setting.Name();
    if (setting.Name() == "data_directory") continue;
    EXPECT_EQ(ValueOf(setting, *defaults), ValueOf(setting, Config()))
        << setting.Name();
  }
  EXPECT_EQ(names.size(), Settings().size());
}

// Every default lies in its own range, and names are unique.
TEST_F(ConfigTest, SchemaIsSound) {
  std::set<std::string> names;
  for (const Setting& setting : Settings()) {
    EXPECT_TRUE(names.insert(setting.Name()).second) << setting.Name();
    Config config;
    const bool text =
        std::holds_alternative<std::string Config::*>(setting.target);
    const bool duration =
        std::holds_alternative<absl::Duration Limits::*>(setting.target);
    if (text) continue;
    EXPECT_LT(setting.min, setting.max) << setting.Name();
    const std::string above =
        duration ? absl::FormatDuration(absl::Seconds(setting.max * 2 + 1))
                 : std::to_string(static_cast<int64_t>(setting.max) + 1);
    EXPECT_FALSE(AssignText(setting, above, &config).ok()) << setting.Name();
    EXPECT_FALSE(AssignText(setting, duration ? "-1s" : "-1", &config).ok())
        << setting.Name();
    EXPECT_FALSE(AssignText(setting, "", &config).ok()) << setting.Name();
  }
  EXPECT_GT(names.size(), 40u);
}

TEST_F(ConfigTest, EncoderDirectoryMustExist) {
  Config config;
  config.encoder_directory = "/no/such/encoder";
  EXPECT_EQ(ResolveEncoderDirectory(config).status().code(),
            absl::StatusCode::kNotFound);
  config.encoder_directory = ::testing::TempDir();
  EXPECT_EQ(*ResolveEncoderDirectory(config), ::testing::TempDir());
  config.encoder_directory = "";
  SetVariable("BRAID_CACHE", "/no/such/cache");
  EXPECT_THAT(std::string(ResolveEncoderDirectory(config).status().message()),
              HasSubstr("deploy/setup"));
}

}  // namespace
}  // namespace braid::services
