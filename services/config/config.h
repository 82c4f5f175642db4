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
  // What this process does: retrieval, generation, gateway, with commas between
  // (config/roles.h).
  std::string roles = "retrieval,generation,gateway";
  std::string address = "127.0.0.1:7410";  // host:port or unix:/path
  std::string data_directory;              // required by what runs in-process
  // HF BERT-family directory; empty for the one deploy/setup fetched
  // (BRAID_CACHE or ~/.cache/braid, models/all-MiniLM-L6-v2).
  std::string encoder_directory;
  // What its matrices are in memory: stored, f32, int8 or int4. Vectors of one
  // are not those of another.
  std::string encoder_weights = "int8";
  std::string model_directory;  // HF causal model; empty: extractive answers
  // What answers where a request names nothing and there is a model: generator
  // or extractive.
  std::string answerer = "generator";
  // HF cross-encoder (BertForSequenceClassification, one label); empty: the
  // fused order stands.
  std::string reranker_directory;
  std::string reranker_weights = "int8";  // as encoder_weights
  // The program that reads documents; empty for `braid-parse` beside `braid`.
  std::string parser_executable;
  int threads = 0;  // arithmetic threads; 0 for all cores
  // How the model's attention keeps keys and values: f32, f16 or int8.
  std::string kv_cache = "f16";
  // What the model's matrices are in memory: stored, f32, int8 or int4.
  std::string weights = "stored";
  int block_cache_mb = 32;
  // How long what was replaced, patched or deleted can still be read; 0 for not
  // at all. Of that at most so much per collection.
  absl::Duration history_retention = absl::Hours(24);
  int history_max_mb = 1024;
  std::string log_level = "info";
  // host:port of a plaintext listener that answers health checks and nothing
  // else, for probes; empty: none.
  std::string health_address;
  // host:port of the HTTP listener for /metrics, /healthz and /readyz; empty:
  // none.
  std::string metrics_address;
  // host:port of the API over HTTP (JSON, OpenAI's, MCP, the console), with
  // [tls] like the main address; empty: none.
  std::string http_address;
  // Names of that address, besides localhost and plain addresses, by which it
  // may be called without TLS and without a key; separated by commas.
  std::string http_hosts;
  // Base URL of a collector for spans, over OTLP/HTTP, such as
  // http://collector:4318; empty: none.
  std::string otlp_endpoint;
  // A header in a line, `Name: value`, for every request to it; empty: none.
  std::string otlp_headers_file;
  // Of the calls that come without a trace of their caller's, so many begin one
  // that is exported, 0 to 1.
  double trace_sample_ratio = 1;

  // [tls], of the server. PEM files, read again as they change. Without a
  // certificate the server speaks plaintext.
  std::string tls_certificate_file;  // with its chain
  std::string tls_key_file;
  // Client certificates signed by these are verified: optional or required.
  std::string tls_client_ca_file;
  std::string tls_client_certificates = "required";

  // [auth]: who may call. See services/auth/access_file.h.
  std::string auth_access_file;
  std::string auth_jwks;  // file or https URL of a JWK set, for tokens
  std::string auth_jwt_issuer;
  std::string auth_jwt_audience;
  std::string auth_jwt_groups_claim = "groups";
  // What callers who show nothing may do, everywhere: none, reader, writer or
  // admin. auto: admin where there is nothing to show (no access file, no
  // tokens), otherwise none.
  std::string auth_anonymous = "auto";

  // [upstream], of a gateway: host:port of the processes that have the roles it
  // has not, and how they are called. PEM files, read again as they change.
  std::string upstream_retrieval;
  std::string upstream_generation;
  std::string upstream_tls = "off";  // on: the certificate is verified
  std::string upstream_ca_file;      // empty for the system's
  std::string upstream_certificate_file;
  std::string upstream_key_file;

  // [client], of the verbs that talk to a server.
  std::string client_tls = "off";  // on: the server's certificate is verified
  std::string client_ca_file;      // PEM; empty for the system's
  std::string client_certificate_file;
  std::string client_key_file;
  std::string client_api_key_file;  // a key or a token in its only line
  std::string client_api_key;       // the same, from BRAID_CLIENT_API_KEY
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
