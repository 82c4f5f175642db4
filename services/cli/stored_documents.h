// What a collection holds already, for `braid ingest --sync` and `--dry-run`.
#ifndef BRAID_SERVICES_CLI_STORED_DOCUMENTS_H_
#define BRAID_SERVICES_CLI_STORED_DOCUMENTS_H_

#include <braid/v1/document_service.grpc.pb.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/cli/context.h"

namespace braid::services::cli {

class StoredDocuments {
 public:
  // Lists the collection: empty where there is none.
  static absl::StatusOr<StoredDocuments> List(const std::string& collection,
                                              const Context& context,
                                              v1::DocumentService::Stub& stub);

  // What writing `request` will do, as far as its bytes, the metadata that it
  // brings and its readers tell.
  v1::IngestResponse::Outcome Foresee(const v1::IngestRequest& request) const;
  // Ids of the documents that came from files and are none of `ids`. A file's
  // document has its id as metadata `path`; rows of a JSONL file have none, and
  // are never named here.
  std::vector<std::string> FilesBut(const std::set<std::string>& ids) const;

 private:
  struct Stored {
    std::string content_hash;
    google::protobuf::Struct metadata;
    std::vector<std::string> readers;  // normalized
  };
  std::map<std::string, Stored> documents_;
};

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_STORED_DOCUMENTS_H_
