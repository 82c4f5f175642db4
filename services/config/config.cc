#include "services/config/config.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/config/schema.h"
#include "toml++/toml.h"

namespace braid::services {
namespace {

// A configuration is a page, not a corpus.
constexpr uintmax_t kMaxFileBytes = 1 << 20;

absl::Status At(const std::string& file, const toml::source_region& region,
                absl::string_view message) {
  return absl::InvalidArgumentError(
      absl::StrCat(file, ":", region.begin.line, ": ", message));
}

const Setting* Find(absl::string_view table, absl::string_view key) {
  for (const Setting& setting : Settings()) {
    if (setting.table == table && setting.key == key) return &setting;
  }
  return nullptr;
}

bool IsTable(absl::string_view name) {
  const absl::Span<const Setting> settings = Settings();
  return std::any_of(
      settings.begin(), settings.end(),
      [name](const Setting& setting) { return setting.table == name; });
}

std::optional<SettingValue> ToValue(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* integer = node.as_integer()) return integer->get();
  if (const auto* real = node.as_floating_point()) return real->get();
  if (const auto* boolean = node.as_boolean()) return boolean->get();
  return std::nullopt;
}

absl::Status ApplyTable(const std::string& file, absl::string_view table_name,
                        const toml::table& table, Config* config) {
  for (auto&& [toml_key, node] : table) {
    const std::string key(toml_key.str());
    if (table_name.empty() && IsTable(key)) {
      const toml::table* inner = node.as_table();
      if (inner == nullptr) {
        return At(file, node.source(),
                  absl::StrCat("`", key, "` must be a table"));
      }
      absl::Status status = ApplyTable(file, key, *inner, config);
      if (!status.ok()) return status;
      continue;
    }
    const std::string name =
        table_name.empty() ? key : absl::StrCat(table_name, ".", key);
    const Setting* setting = Find(table_name, key);
    if (setting == nullptr) {
      return At(file, toml_key.source(),
                absl::StrCat("unknown key `", name, "`"));
    }
    const std::optional<SettingValue> value = ToValue(node);
    absl::Status status =
        value.has_value()
            ? Assign(*setting, *value, config)
            : absl::InvalidArgumentError("must be a single value");
    if (!status.ok()) {
      return At(file, node.source(),
                absl::StrCat("`", name, "` ", status.message()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return absl::NotFoundError(absl::StrCat("no configuration file at ", path));
  }
  const uintmax_t size = std::filesystem::file_size(path, error);
  if (error)
    return absl::UnavailableError(absl::StrCat(path, ": ", error.message()));
  if (size > kMaxFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": larger than ", kMaxFileBytes, " bytes"));
  }
  std::ifstream in(path, std::ios::binary);
  std::ostringstream content;
  content << in.rdbuf();
  if (!in) return absl::UnavailableError(absl::StrCat("cannot read ", path));
  return std::move(content).str();
}

absl::Status ApplyFile(const std::string& path, Config* config) {
  absl::StatusOr<std::string> content = ReadFile(path);
  if (!content.ok()) return content.status();
  toml::table table;
  try {
    table = toml::parse(std::string_view(*content), path);
  } catch (const toml::parse_error& error) {
    const std::string_view why = error.description();
    return At(path, error.source(), {why.data(), why.size()});
  }
  return ApplyTable(path, "", table, config);
}

// Only the names of settings are looked up. Other BRAID_* variables are not an
// error: Kubernetes puts BRAID_PORT and its like into every pod beside a
// service of that name.
absl::Status ApplyEnvironment(Config* config) {
  for (const Setting& setting : Settings()) {
    const std::string name = setting.EnvironmentName();
    const char* text = std::getenv(name.c_str());
    if (text == nullptr) continue;
    absl::Status status = AssignText(setting, text, config);
    if (!status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("environment: `", name, "` ", status.message()));
    }
  }
  return absl::OkStatus();
}

// A default outside its own maximum would make every request that leaves the
// field out invalid.
absl::Status CheckTogether(const Limits& limits) {
  const auto check = [](absl::string_view low_name, double low,
                        absl::string_view high_name,
                        double high) -> absl::Status {
    if (low <= high) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        "`limits.", low_name, "` must not be above `limits.", high_name, "`"));
  };
  const absl::Status checks[] = {
      check("default_top_k", limits.default_top_k, "max_top_k",
            limits.max_top_k),
      check("default_candidates_per_leg", limits.default_candidates_per_leg,
            "max_candidates_per_leg", limits.max_candidates_per_leg),
      check("default_rrf_k", limits.default_rrf_k, "max_rrf_k",
            limits.max_rrf_k),
      check("default_answer_passages", limits.default_answer_passages,
            "max_answer_passages", limits.max_answer_passages),
      check("default_search_rerank_depth", limits.default_search_rerank_depth,
            "max_rerank_depth", limits.max_rerank_depth),
      check("default_answer_rerank_depth", limits.default_answer_rerank_depth,
            "max_rerank_depth", limits.max_rerank_depth),
      check("default_context_tokens", limits.default_context_tokens,
            "max_context_tokens", limits.max_context_tokens),
      check("default_answer_tokens", limits.default_answer_tokens,
            "max_answer_tokens", limits.max_answer_tokens),
      check("default_page_size", limits.default_page_size, "max_page_size",
            limits.max_page_size),
      check("max_passage_bytes", static_cast<double>(limits.max_passage_bytes),
            "max_send_message_bytes", limits.max_send_message_bytes),
      check("max_http_body_bytes",
            static_cast<double>(limits.max_http_body_bytes),
            "max_http_total_body_bytes",
            static_cast<double>(limits.max_http_total_body_bytes)),
  };
  for (const absl::Status& status : checks) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

std::string CachedEncoderDirectory() {
  const char* cache = std::getenv("BRAID_CACHE");
  if (cache != nullptr && *cache != '\0') {
    return absl::StrCat(cache, "/models/all-MiniLM-L6-v2");
  }
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') return "";
  return absl::StrCat(home, "/.cache/braid/models/all-MiniLM-L6-v2");
}

}  // namespace

absl::StatusOr<Config> LoadConfig(const std::string& path) {
  Config config;
  if (!path.empty()) {
    absl::Status status = ApplyFile(path, &config);
    if (!status.ok()) return status;
  }
  absl::Status status = ApplyEnvironment(&config);
  if (status.ok()) status = CheckTogether(config.limits);
  if (!status.ok()) return status;
  return config;
}

absl::StatusOr<std::string> ResolveEncoderDirectory(const Config& config) {
  const bool configured = !config.encoder_directory.empty();
  const std::string directory =
      configured ? config.encoder_directory : CachedEncoderDirectory();
  std::error_code error;
  if (!directory.empty() && std::filesystem::is_directory(directory, error)) {
    return directory;
  }
  if (configured) {
    return absl::NotFoundError(
        absl::StrCat("encoder_directory: no directory ", directory));
  }
  return absl::NotFoundError(absl::StrCat(
      "no encoder in ", directory.empty() ? "~/.cache/braid" : directory,
      ": run ./deploy/setup, or set encoder_directory"));
}

}  // namespace braid::services
