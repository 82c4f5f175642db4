// API messages as JSON: the fields outside scripts rely on.
#ifndef BRAID_SERVICES_CLI_RENDER_H_
#define BRAID_SERVICES_CLI_RENDER_H_

#include <braid/v1/answer_service.pb.h>
#include <braid/v1/collection_service.pb.h>
#include <braid/v1/document.pb.h>
#include <braid/v1/operation_service.pb.h>
#include <braid/v1/retrieval_service.pb.h>

#include <string>

#include "services/eval/json.h"

namespace braid::services::cli {

Json ToJson(const google::protobuf::Struct& metadata);
Json ToJson(const v1::ByteRange& range);
Json ToJson(const v1::Collection& collection);
// With `text` only if the message has it.
Json ToJson(const v1::Document& document);
Json ToJson(const v1::Chunk& chunk);
Json ToJson(const v1::Passage& passage);
Json ToJson(const v1::Citation& citation);
Json ToJson(const v1::Operation& operation);

double ToMilliseconds(const google::protobuf::Duration& duration);
// `STAGE_NAME_STOP` -> `stop`: an enum value without its prefix, lower-case.
std::string EnumSuffix(const std::string& name, const std::string& prefix);
// `bm25`, `dense`.
std::string LegName(v1::Leg leg);
// Names of the enum's values as scripts see them: `structure`, `whole`.
std::string StrategyName(v1::Chunking::Strategy strategy);

// Writes one line to stdout. Bytes that are not UTF-8 are replaced.
void PrintJsonLine(const Json& value);

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_RENDER_H_
