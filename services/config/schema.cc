#include "services/config/schema.h"

#include <cmath>
#include <limits>
#include <type_traits>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace braid::services {
namespace {

constexpr double kMaxBytes = double{1ull << 40};
constexpr double kMaxMessageBytes = std::numeric_limits<int>::max();
constexpr double kDaySeconds = 86400;
constexpr double kMaxRetentionSeconds = 36500 * kDaySeconds;

std::vector<absl::string_view> WeightTypes() {
  return {"stored", "f32", "int8", "int4"};
}

std::vector<Setting> MakeSettings() {
  using C = Config;
  using L = Limits;
  return {
      {"", "roles", &C::roles},
      {"", "address", &C::address},
      {"", "data_directory", &C::data_directory},
      {"", "encoder_directory", &C::encoder_directory},
      {"", "encoder_weights", &C::encoder_weights, 0, 0, WeightTypes()},
      {"", "model_directory", &C::model_directory},
      {"", "answerer", &C::answerer, 0, 0, {"generator", "extractive"}},
      {"", "reranker_directory", &C::reranker_directory},
      {"", "reranker_weights", &C::reranker_weights, 0, 0, WeightTypes()},
      {"", "parser_executable", &C::parser_executable},
      {"", "threads", &C::threads, 0, 1024},
      {"", "kv_cache", &C::kv_cache, 0, 0, {"f32", "f16", "int8"}},
      {"", "weights", &C::weights, 0, 0, WeightTypes()},
      {"", "block_cache_mb", &C::block_cache_mb, 1, 1 << 20},
      {"", "history_retention", &C::history_retention, 0, kMaxRetentionSeconds},
      {"", "history_max_mb", &C::history_max_mb, 1, 1 << 20},
      {"",
       "log_level",
       &C::log_level,
       0,
       0,
       {"debug", "info", "warning", "error", "off"}},
      {"", "health_address", &C::health_address},
      {"", "metrics_address", &C::metrics_address},
      {"", "http_address", &C::http_address},
      {"", "http_hosts", &C::http_hosts},
      {"", "otlp_endpoint", &C::otlp_endpoint},
      {"", "otlp_headers_file", &C::otlp_headers_file},
      {"", "trace_sample_ratio", &C::trace_sample_ratio, 0, 1},
      {"tls", "certificate_file", &C::tls_certificate_file},
      {"tls", "key_file", &C::tls_key_file},
      {"tls", "client_ca_file", &C::tls_client_ca_file},
      {"tls",
       "client_certificates",
       &C::tls_client_certificates,
       0,
       0,
       {"optional", "required"}},
      {"auth", "access_file", &C::auth_access_file},
      {"auth", "jwks", &C::auth_jwks},
      {"auth", "jwt_issuer", &C::auth_jwt_issuer},
      {"auth", "jwt_audience", &C::auth_jwt_audience},
      {"auth", "jwt_groups_claim", &C::auth_jwt_groups_claim},
      {"auth",
       "anonymous",
       &C::auth_anonymous,
       0,
       0,
       {"auto", "none", "reader", "writer", "admin"}},
      {"upstream", "retrieval", &C::upstream_retrieval},
      {"upstream", "generation", &C::upstream_generation},
      {"upstream", "tls", &C::upstream_tls, 0, 0, {"off", "on"}},
      {"upstream", "ca_file", &C::upstream_ca_file},
      {"upstream", "certificate_file", &C::upstream_certificate_file},
      {"upstream", "key_file", &C::upstream_key_file},
      {"client", "tls", &C::client_tls, 0, 0, {"off", "on"}},
      {"client", "ca_file", &C::client_ca_file},
      {"client", "certificate_file", &C::client_certificate_file},
      {"client", "key_file", &C::client_key_file},
      {"client", "api_key_file", &C::client_api_key_file},
      {"client", "api_key", &C::client_api_key},
      {"limits", "max_receive_message_bytes", &L::max_receive_message_bytes,
       1024, kMaxMessageBytes},
      {"limits", "max_send_message_bytes", &L::max_send_message_bytes, 1024,
       kMaxMessageBytes},
      {"limits", "max_metadata_bytes", &L::max_metadata_bytes, 1024, 1 << 20},
      {"limits", "max_concurrent_streams_per_connection",
       &L::max_concurrent_streams_per_connection, 1, 100000},
      {"limits", "max_connection_age", &L::max_connection_age, 1, kDaySeconds},
      {"limits", "max_transport_bytes", &L::max_transport_bytes, 1 << 20,
       kMaxBytes},
      {"limits", "max_transport_threads", &L::max_transport_threads, 4, 1024},
      {"limits", "max_query_bytes", &L::max_query_bytes, 1, 1 << 20},
      {"limits", "max_filter_bytes", &L::max_filter_bytes, 1, 16 << 10},
      {"limits", "default_top_k", &L::default_top_k, 1, 1000000},
      {"limits", "max_top_k", &L::max_top_k, 1, 1000000},
      {"limits", "default_candidates_per_leg", &L::default_candidates_per_leg,
       1, 1000000},
      {"limits", "max_candidates_per_leg", &L::max_candidates_per_leg, 1,
       1000000},
      {"limits", "default_rrf_k", &L::default_rrf_k, 1, 1000000},
      {"limits", "max_rrf_k", &L::max_rrf_k, 1, 1000000},
      {"limits", "max_leg_weight", &L::max_leg_weight, 1, 1e9},
      {"limits", "default_answer_passages", &L::default_answer_passages, 1,
       10000},
      {"limits", "max_answer_passages", &L::max_answer_passages, 1, 10000},
      {"limits", "default_search_rerank_depth", &L::default_search_rerank_depth,
       0, 1000},
      {"limits", "default_answer_rerank_depth", &L::default_answer_rerank_depth,
       0, 1000},
      {"limits", "max_rerank_depth", &L::max_rerank_depth, 0, 1000},
      {"limits", "default_min_relevance", &L::default_min_relevance, 0, 1},
      {"limits", "max_passages_per_document", &L::max_passages_per_document, 0,
       10000},
      {"limits", "default_context_tokens", &L::default_context_tokens, 1,
       1 << 24},
      {"limits", "max_context_tokens", &L::max_context_tokens, 1, 1 << 24},
      {"limits", "default_answer_tokens", &L::default_answer_tokens, 1,
       1 << 24},
      {"limits", "max_answer_tokens", &L::max_answer_tokens, 1, 1 << 24},
      {"limits", "max_prompt_bytes", &L::max_prompt_bytes, 1, 1 << 30},
      {"limits", "max_chat_messages", &L::max_chat_messages, 1, 100000},
      {"limits", "max_temperature", &L::max_temperature, 0, 100},
      {"limits", "max_sampling_top_k", &L::max_sampling_top_k, 1, 1 << 24},
      {"limits", "default_page_size", &L::default_page_size, 1, 100000},
      {"limits", "max_page_size", &L::max_page_size, 1, 100000},
      {"limits", "max_page_token_bytes", &L::max_page_token_bytes, 1024, 65536},
      {"limits", "max_request_id_bytes", &L::max_request_id_bytes, 1, 1024},
      {"limits", "max_document_id_bytes", &L::max_document_id_bytes, 1, 512},
      {"limits", "max_title_bytes", &L::max_title_bytes, 1, 1 << 20},
      {"limits", "max_file_name_bytes", &L::max_file_name_bytes, 1, 1 << 16},
      {"limits", "max_metadata_fields", &L::max_metadata_fields, 1, 65536},
      {"limits", "max_metadata_key_bytes", &L::max_metadata_key_bytes, 1, 4096},
      {"limits", "max_metadata_list_items", &L::max_metadata_list_items, 1,
       65536},
      {"limits", "max_readers", &L::max_readers, 1, 65536},
      {"limits", "max_reader_bytes", &L::max_reader_bytes, 16, 4096},
      {"limits", "max_passage_bytes", &L::max_passage_bytes, 1 << 16,
       kMaxMessageBytes},
      {"limits", "max_embed_texts", &L::max_embed_texts, 1, 100000},
      {"limits", "max_embed_text_bytes", &L::max_embed_text_bytes, 1, 1 << 24},
      {"limits", "max_scanned_documents", &L::max_scanned_documents, 1, 1e9},
      {"limits", "max_concurrent_searches", &L::max_concurrent_searches, 1,
       10000},
      {"limits", "max_concurrent_answers", &L::max_concurrent_answers, 1, 1024},
      {"limits", "max_concurrent_ingest_streams",
       &L::max_concurrent_ingest_streams, 1, 1024},
      {"limits", "max_concurrent_lookups", &L::max_concurrent_lookups, 1,
       10000},
      {"limits", "max_forwarded_calls", &L::max_forwarded_calls, 1, 1000000},
      {"limits", "max_calls_in_flight_per_caller",
       &L::max_calls_in_flight_per_caller, 0, 100000},
      {"limits", "max_calls_per_second_per_caller",
       &L::max_calls_per_second_per_caller, 0, 1e6},
      {"limits", "max_health_watchers", &L::max_health_watchers, 1, 100000},
      {"limits", "max_operation_watchers", &L::max_operation_watchers, 1, 1024},
      {"limits", "max_finished_operations", &L::max_finished_operations, 0,
       1000000},
      {"limits", "max_http_requests", &L::max_http_requests, 1, 1024},
      {"limits", "max_http_head_bytes", &L::max_http_head_bytes, 1024, 1 << 20},
      {"limits", "max_http_read_time", &L::max_http_read_time, 0.001,
       kDaySeconds},
      {"limits", "max_http_write_time", &L::max_http_write_time, 0.001,
       kDaySeconds},
      {"limits", "max_http_connections", &L::max_http_connections, 1, 100000},
      {"limits", "max_http_body_bytes", &L::max_http_body_bytes, 1024,
       kMaxMessageBytes},
      {"limits", "max_http_total_body_bytes", &L::max_http_total_body_bytes,
       1024, kMaxBytes},
      {"limits", "max_http_body_time", &L::max_http_body_time, 0.001,
       kDaySeconds},
      {"limits", "max_http_idle", &L::max_http_idle, 0, kDaySeconds},
      {"limits", "max_queued_spans", &L::max_queued_spans, 1, 1e6},
      {"limits", "max_unacknowledged_documents",
       &L::max_unacknowledged_documents, 1, 100000},
      {"limits", "max_parse_cpu_time", &L::max_parse_cpu_time, 0.01,
       kDaySeconds},
      {"limits", "max_parse_time", &L::max_parse_time, 0.01, kDaySeconds},
      {"limits", "max_parse_memory_bytes", &L::max_parse_memory_bytes, 64 << 20,
       kMaxBytes},
      {"limits", "max_idle_pipelines", &L::max_idle_pipelines, 0, 1024},
      {"limits", "max_unsent_bytes_per_stream", &L::max_unsent_bytes_per_stream,
       1024, kMaxMessageBytes},
      {"limits", "retry_delay", &L::retry_delay, 0.001, kDaySeconds},
      {"limits", "max_write_stall", &L::max_write_stall, 0.001, kDaySeconds},
      {"limits", "max_ingest_idle", &L::max_ingest_idle, 0.001, kDaySeconds},
      {"limits", "default_search_deadline", &L::default_search_deadline, 0.001,
       kDaySeconds},
      {"limits", "default_answer_deadline", &L::default_answer_deadline, 0.001,
       kDaySeconds},
      {"limits", "max_deadline_reserve", &L::max_deadline_reserve, 0, 60},
      {"limits", "shutdown_grace", &L::shutdown_grace, 0, kDaySeconds},
  };
}

// Numbers in messages: no exponent, no trailing zeros.
std::string Plain(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) {
    return absl::StrCat(static_cast<int64_t>(value));
  }
  return absl::StrCat(value);
}

absl::Status OutOfRange(const Setting& setting, absl::string_view unit) {
  return absl::InvalidArgumentError(absl::StrCat("must be between ",
                                                 Plain(setting.min), " and ",
                                                 Plain(setting.max), unit));
}

absl::Status Expected(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("must be ", what));
}

// Which struct and which type a target is.
template <typename Object, typename Field>
Object& ObjectOf(Config* config, Field Object::*) {
  if constexpr (std::is_same_v<Object, Config>) {
    return *config;
  } else {
    return config->limits;
  }
}

template <typename Object>
absl::Status AssignField(const Setting& setting, const SettingValue& value,
                         std::string Object::*field, Config* config) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return Expected("a string");
  if (text->find('\0') != std::string::npos) {
    return Expected("a string without NUL bytes");
  }
  if (!setting.choices.empty()) {
    bool known = false;
    for (const absl::string_view choice : setting.choices) {
      known = known || choice == *text;
    }
    if (!known) {
      return Expected(
          absl::StrCat("one of ", absl::StrJoin(setting.choices, ", ")));
    }
  }
  ObjectOf(config, field).*field = *text;
  return absl::OkStatus();
}

template <typename Object>
absl::Status AssignField(const Setting& setting, const SettingValue& value,
                         absl::Duration Object::*field, Config* config) {
  const auto* text = std::get_if<std::string>(&value);
  absl::Duration duration;
  if (text == nullptr || !absl::ParseDuration(*text, &duration)) {
    return Expected("a duration in quotes, such as \"200ms\" or \"30s\"");
  }
  const double seconds = absl::ToDoubleSeconds(duration);
  if (!(seconds >= setting.min && seconds <= setting.max)) {
    return OutOfRange(setting, " seconds");
  }
  ObjectOf(config, field).*field = duration;
  return absl::OkStatus();
}

template <typename Object>
absl::Status AssignField(const Setting& setting, const SettingValue& value,
                         double Object::*field, Config* config) {
  double number;
  if (const auto* real = std::get_if<double>(&value)) {
    number = *real;
  } else if (const auto* integer = std::get_if<int64_t>(&value)) {
    number = static_cast<double>(*integer);
  } else {
    return Expected("a number");
  }
  // Written so that NaN fails too.
  if (!(number >= setting.min && number <= setting.max)) {
    return OutOfRange(setting, "");
  }
  ObjectOf(config, field).*field = number;
  return absl::OkStatus();
}

template <typename Object, typename Integer>
absl::Status AssignField(const Setting& setting, const SettingValue& value,
                         Integer Object::*field, Config* config) {
  const auto* integer = std::get_if<int64_t>(&value);
  if (integer == nullptr) return Expected("an integer");
  const double number = static_cast<double>(*integer);
  if (number < setting.min || number > setting.max) {
    return OutOfRange(setting, "");
  }
  ObjectOf(config, field).*field = static_cast<Integer>(*integer);
  return absl::OkStatus();
}

}  // namespace

std::string Setting::Name() const {
  return table.empty() ? std::string(key) : absl::StrCat(table, ".", key);
}

std::string Setting::EnvironmentName() const {
  const std::string prefix =
      table.empty() ? "" : absl::StrCat(absl::AsciiStrToUpper(table), "_");
  return absl::StrCat("BRAID_", prefix, absl::AsciiStrToUpper(key));
}

absl::Span<const Setting> Settings() {
  static const std::vector<Setting>& settings =
      *new std::vector<Setting>(MakeSettings());
  return settings;
}

absl::Status Assign(const Setting& setting, const SettingValue& value,
                    Config* config) {
  return std::visit(
      [&](auto field) { return AssignField(setting, value, field, config); },
      setting.target);
}

absl::Status AssignText(const Setting& setting, const std::string& text,
                        Config* config) {
  // Text that reads as the number the setting wants is that number; anything
  // else goes on as text and is refused where text does not fit.
  const bool wants_text =
      std::holds_alternative<std::string Config::*>(setting.target) ||
      std::holds_alternative<absl::Duration Config::*>(setting.target) ||
      std::holds_alternative<absl::Duration Limits::*>(setting.target);
  SettingValue value = text;
  int64_t integer;
  double number;
  if (!wants_text && absl::SimpleAtoi(text, &integer)) {
    value = integer;
  } else if (!wants_text && absl::SimpleAtod(text, &number)) {
    value = number;
  }
  return Assign(setting, value, config);
}

}  // namespace braid::services
