// Every limit of the service, in one place. Checked at the edge (the request
// validators), passed down by value, asserted inside.
#ifndef BRAID_SERVICES_LIMITS_H_
#define BRAID_SERVICES_LIMITS_H_

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace braid::services {

struct Limits {
  // Messages and connections.
  int max_receive_message_bytes = 40 << 20;  // one source file and its envelope
  int max_send_message_bytes = 40 << 20;
  int max_metadata_bytes = 16 << 10;  // of one call: gRPC metadata, not ours
  int max_concurrent_streams_per_connection = 100;
  // A connection takes no new calls after so long (and what it has, ends): its
  // client connects anew, also to what has come up meanwhile.
  absl::Duration max_connection_age = absl::Minutes(5);
  // What gRPC itself may hold for all calls together.
  size_t max_transport_bytes = size_t{1} << 30;
  // Threads of gRPC's own synchronous services (reflection).
  int max_transport_threads = 16;
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
  // Passages of one document that an answer reads while others are there; 0: as
  // many as are found.
  int32_t max_passages_per_document = 2;
  // Passages that the reranker looks at, where there is one.
  int32_t default_search_rerank_depth = 0;
  int32_t default_answer_rerank_depth = 16;
  int32_t max_rerank_depth = 200;
  // An answer is refused when a reranker gives no passage this probability;
  // unless the request says otherwise.
  double default_min_relevance = 0;
  int32_t default_context_tokens = 2048;
  int32_t max_context_tokens = 1 << 20;
  int32_t default_answer_tokens = 256;
  int32_t max_answer_tokens = 32768;
  size_t max_prompt_bytes = 8 << 20;
  size_t max_chat_messages = 256;
  double max_temperature = 2.0;
  int32_t max_sampling_top_k = 1 << 20;
  int32_t default_page_size = 100;
  int32_t max_page_size = 1000;
  size_t max_page_token_bytes = 2048;
  size_t max_request_id_bytes = 64;
  size_t max_document_id_bytes = 512;
  size_t max_title_bytes = 4096;
  size_t max_file_name_bytes = 4096;
  size_t max_metadata_fields = 256;       // of a document
  size_t max_metadata_key_bytes = 128;    // of a document
  size_t max_metadata_list_items = 1024;  // of a document
  size_t max_readers = 64;                // of a document
  size_t max_reader_bytes = 272;          // of each: a kind and a name
  size_t max_embed_texts = 256;
  size_t max_embed_text_bytes = 65536;
  // Texts of one response together: passages past it are left out.
  size_t max_passage_bytes = 24 << 20;
  // Documents one ListDocuments call looks at: a filter that lets few through
  // returns a short page and a token instead of scanning for minutes.
  size_t max_scanned_documents = 20000;
  // Work in flight, queued and running: beyond it, RESOURCE_EXHAUSTED with
  // RetryInfo.
  int max_concurrent_searches = 64;
  int max_concurrent_answers = 32;  // Answer and Generate together
  int max_concurrent_ingest_streams = 16;
  int max_concurrent_lookups = 64;  // everything else
  // Calls that a gateway passes on to where they are answered.
  int max_forwarded_calls = 1000;
  // Of one caller; 0 for no such limit.
  int max_calls_in_flight_per_caller = 0;
  double max_calls_per_second_per_caller = 0;
  int max_health_watchers = 256;
  int max_operation_watchers = 32;
  // Operations that are remembered after their end.
  size_t max_finished_operations = 1000;
  // The HTTP listener for metrics and probes: connections at once, bytes of a
  // request's head, time for all of it, time for the reply.
  int max_http_requests = 8;
  size_t max_http_head_bytes = 16 << 10;
  absl::Duration max_http_read_time = absl::Seconds(2);
  absl::Duration max_http_write_time = absl::Seconds(10);
  // The HTTP address of the API: connections at once, a request's body (a file
  // of max_receive_message_bytes in base64, and its envelope), all bodies
  // together, time for a body, and how long a connection may be idle. The head
  // is as above, replies have max_write_stall.
  int max_http_connections = 256;
  size_t max_http_body_bytes = 56 << 20;
  size_t max_http_total_body_bytes = size_t{256} << 20;
  absl::Duration max_http_body_time = absl::Seconds(60);
  absl::Duration max_http_idle = absl::Seconds(30);
  // Spans that wait for the collector; beyond it they are dropped.
  size_t max_queued_spans = 8192;
  // Documents of one ingest stream that were read and not yet acknowledged.
  int max_unacknowledged_documents = 128;
  // What a parser worker may take to read one document.
  absl::Duration max_parse_cpu_time = absl::Seconds(10);
  absl::Duration max_parse_time = absl::Seconds(60);
  size_t max_parse_memory_bytes = size_t{2} << 30;  // of address space
  // Pipelines that stay open for collections nobody writes to at the moment.
  int max_idle_pipelines = 8;
  size_t max_unsent_bytes_per_stream = 256 << 10;
  absl::Duration retry_delay = absl::Milliseconds(200);
  // A stream whose reader takes nothing for so long is ended.
  absl::Duration max_write_stall = absl::Seconds(30);
  // An ingest stream that sends nothing for so long is ended.
  absl::Duration max_ingest_idle = absl::Minutes(5);
  // Deadline of a request that brings none.
  absl::Duration default_search_deadline = absl::Seconds(10);
  absl::Duration default_answer_deadline = absl::Minutes(5);
  // A tenth of a deadline, and at most this, is kept for sending the result: an
  // answer cut at its deadline must still arrive in time to say so.
  absl::Duration max_deadline_reserve = absl::Milliseconds(200);
  // SIGTERM: streams get so long to finish.
  absl::Duration shutdown_grace = absl::Seconds(30);
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_LIMITS_H_
