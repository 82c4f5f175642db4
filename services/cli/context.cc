#include "services/cli/context.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace braid::services::cli {

void AddBasicFlags(CLI::App* verb, CommonOptions* options) {
  verb->add_option("--config", options->config_file,
                   "Configuration file (TOML)")
      ->type_name("FILE");
  verb->add_flag("--json", options->json,
                 "JSON on stdout, one object a line; the last line is the "
                 "result");
}

void AddServerFlags(CLI::App* verb, CommonOptions* options) {
  AddBasicFlags(verb, options);
  verb->add_option("--address", options->address,
                   "Server: HOST:PORT or unix:PATH (default: from the "
                   "configuration, 127.0.0.1:7410)")
      ->type_name("ADDRESS");
  verb->add_option("--timeout", options->timeout_seconds,
                   "Seconds a call may take")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.001, 1e6));
}

void AddConnectionFlags(CLI::App* verb, CommonOptions* options) {
  AddServerFlags(verb, options);
  verb->add_option("--data", options->data,
                   "Run in this process on a data directory, without a server")
      ->type_name("DIR")
      ->excludes(verb->get_option("--address"));
  AddEngineFlags(verb, options);
}

void AddEngineFlags(CLI::App* verb, CommonOptions* options) {
  verb->add_option("--encoder", options->encoder,
                   "Text encoder: a Hugging Face BERT-family directory")
      ->type_name("DIR");
  verb->add_option("--reranker", options->reranker,
                   "Cross-encoder that reorders what was found: a Hugging Face "
                   "directory")
      ->type_name("DIR");
  verb->add_option("--threads", options->threads,
                   "Arithmetic threads (default: all cores)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
}

absl::StatusOr<Config> LoadSettings(const CommonOptions& options) {
  absl::StatusOr<Config> config = LoadConfig(options.config_file);
  if (!config.ok()) return config;
  if (!options.address.empty()) config->address = options.address;
  if (!options.data.empty()) config->data_directory = options.data;
  if (!options.encoder.empty()) config->encoder_directory = options.encoder;
  if (!options.roles.empty()) config->roles = options.roles;
  if (!options.model.empty()) config->model_directory = options.model;
  if (!options.reranker.empty()) {
    config->reranker_directory = options.reranker;
  }
  if (options.threads > 0) config->threads = options.threads;
  return config;
}

void QuietLog(Config* config) {
  if (config->log_level == Config().log_level) config->log_level = "warning";
}

Call::Call(const Context& context) {
  if (context.options.timeout_seconds > 0) {
    context_.set_deadline(
        std::chrono::system_clock::now() +
        std::chrono::duration_cast<std::chrono::system_clock::duration>(
            std::chrono::duration<double>(context.options.timeout_seconds)));
  }
  on_signal_.emplace(context.signals->token(), Cancel{&context_});
}

std::string CollectionName(const std::string& id) {
  return absl::StartsWith(id, "collections/")
             ? id
             : absl::StrCat("collections/", id);
}

std::string DocumentName(const std::string& collection, const std::string& id) {
  // A document's id may contain slashes: only the full form is a name.
  if (absl::StartsWith(id, "collections/") &&
      absl::StrContains(id, "/documents/")) {
    return id;
  }
  return absl::StrCat(CollectionName(collection), "/documents/", id);
}

std::string DocumentIdOf(const std::string& name) {
  constexpr std::string_view kSegment = "/documents/";
  const size_t at = name.find(kSegment);
  return at == std::string::npos ? name : name.substr(at + kSegment.size());
}

}  // namespace braid::services::cli
