// google.protobuf.Struct outside, retrieval::Metadata inside.
#ifndef BRAID_SERVICES_SERVER_METADATA_H_
#define BRAID_SERVICES_SERVER_METADATA_H_

#include <string>
#include <vector>

#include "google/protobuf/struct.pb.h"
#include "retrieval/types.h"
#include "services/limits.h"
#include "services/server/errors.h"

namespace braid::services {

// Strings, finite numbers, booleans and lists of strings. Anything else (null,
// nested structures, mixed lists, empty or over-long keys) adds a violation
// under `field`, such as `document.metadata.author`, and is left out.
retrieval::Metadata ToMetadata(const google::protobuf::Struct& proto,
                               const std::string& field, const Limits& limits,
                               std::vector<FieldViolation>* violations);

void ToProto(const retrieval::Metadata& metadata,
             google::protobuf::Struct* proto);

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_METADATA_H_
