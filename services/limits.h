// Every limit of the service, in one place. Checked at the edge (the request
// validators), passed down by value, asserted inside.
#ifndef BRAID_SERVICES_LIMITS_H_
#define BRAID_SERVICES_LIMITS_H_

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace braid::services {

struct Limits {
  // Messages.
  int max_receive_message_bytes = 40 << 20;  // one source file and its envelope
  int max_send_message_bytes = 40 << 20;
  int max_metadata_bytes = 16 << 10;
  // Requests.
  size_t max_query_bytes = 8192;
  size_t max_filter_bytes = 16 << 10;
  int32_t default_top_k = 10;
  int32_t max_top_k = 1000;
  int32_t default_candidates_per_leg = 100;
  int32_t max_candidates_per_leg = 1000;
  uint32_t default_rrf_k = 60;
  uint32_t max_rrf_k = 10000;
  double max_leg_weight = 1000.0;
  int32_t default_answer_passages = 8;
  int32_t max_answer_passages = 100;
  int32_t default_context_tokens = 2048;
  int32_t max_context_tokens = 1 << 20;
  int32_t default_answer_tokens = 256;
  int32_t max_answer_tokens = 32768;
  size_t max_prompt_bytes = 8 << 20;
  size_t max_chat_messages = 256;
  int32_t default_page_size = 100;
  int32_t max_page_size = 1000;
  size_t max_request_id_bytes = 64;
  // Work in flight: beyond it, RESOURCE_EXHAUSTED with RetryInfo.
  int max_concurrent_searches = 64;
  int max_concurrent_answers = 32;
  int max_concurrent_ingest_streams = 16;
  int max_concurrent_streams_per_connection = 100;
  size_t max_unsent_bytes_per_stream = 256 << 10;
  absl::Duration retry_delay = absl::Milliseconds(200);
  // Deadline of a request that brings none.
  absl::Duration default_search_deadline = absl::Seconds(10);
  absl::Duration default_answer_deadline = absl::Minutes(5);
  // SIGTERM: streams get so long to finish.
  absl::Duration shutdown_grace = absl::Seconds(30);
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_LIMITS_H_
