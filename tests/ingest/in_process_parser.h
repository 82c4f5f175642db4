// A parser that needs no worker: for tests that are not about it.
#ifndef BRAID_TESTS_INGEST_IN_PROCESS_PARSER_H_
#define BRAID_TESTS_INGEST_IN_PROCESS_PARSER_H_

#include "retrieval/ingest/parser.h"

namespace braid::retrieval {

class InProcessParser : public SourceParser {
 public:
  absl::StatusOr<ParsedDocument> Parse(const SourceFile& source) override {
    return ParseSource(source);
  }
};

}  // namespace braid::retrieval

#endif  // BRAID_TESTS_INGEST_IN_PROCESS_PARSER_H_
