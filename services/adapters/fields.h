// Fields of messages by their paths.
#ifndef BRAID_SERVICES_ADAPTERS_FIELDS_H_
#define BRAID_SERVICES_ADAPTERS_FIELDS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace braid::services::adapters {

// Sets the field at a path such as `fusion.rrf_k` or `fusion.rrfK` from text;
// adds to it if it is repeated. Numbers, booleans, texts and enums (by name or
// number). INVALID_ARGUMENT for no such field, one of another kind, and text
// that is no such value.
absl::Status SetField(absl::string_view path, absl::string_view text,
                      google::protobuf::Message* message);

}  // namespace braid::services::adapters

#endif  // BRAID_SERVICES_ADAPTERS_FIELDS_H_
