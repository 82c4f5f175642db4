// Configuration: flags > BRAID_* environment > TOML file > defaults.
#ifndef BRAID_SERVICES_CONFIG_CONFIG_H_
#define BRAID_SERVICES_CONFIG_CONFIG_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/limits.h"

namespace braid::services {

struct Config {
  std::string address = "127.0.0.1:7410";  // host:port or unix:/path
  std::string data_directory;              // required by what runs in-process
  // HF BERT-family directory; empty for the one deploy/setup fetched
  // (BRAID_CACHE or ~/.cache/braid, models/all-MiniLM-L6-v2).
  std::string encoder_directory;
  std::string model_directory;  // HF causal model; empty: extractive answers
  // HF cross-encoder (BertForSequenceClassification, one label); empty: the
  // fused order stands.
  std::string reranker_directory;
  // The program that reads documents; empty for `braid-parse` beside `braid`.
  std::string parser_executable;
  int threads = 0;  // arithmetic threads; 0 for all cores
  int block_cache_mb = 32;
  // How long what was replaced, patched or deleted can still be read; 0 for not
  // at all. Of that at most so much per collection.
  absl::Duration history_retention = absl::Hours(24);
  int history_max_mb = 1024;
  std::string log_level = "info";
  // host:port of the HTTP listener for /metrics, /healthz and /readyz; empty:
  // none.
  std::string metrics_address;
  // Base URL of a collector for spans, over OTLP/HTTP, such as
  // http://collector:4318; empty: none.
  std::string otlp_endpoint;
  // Of the calls that come without a trace of their caller's, so many begin one
  // that is exported, 0 to 1.
  double trace_sample_ratio = 1;
  Limits limits;
};

// Reads the TOML file at `path` (empty for none) and then BRAID_* variables
// over the defaults. Every key is the field's name; the numeric limits lie in
// the table [limits]. An unknown key, a wrong type or a value out of range is
// INVALID_ARGUMENT naming the file, the line and the key.
absl::StatusOr<Config> LoadConfig(const std::string& path);

// The encoder directory in effect: `encoder_directory`, or the fetched one.
// NOT_FOUND, saying to run deploy/setup, if there is none.
absl::StatusOr<std::string> ResolveEncoderDirectory(const Config& config);

}  // namespace braid::services

#endif  // BRAID_SERVICES_CONFIG_CONFIG_H_
