// Small JSON files of a checkpoint directory (config.json and its like).
#ifndef BRAID_GENERATION_CHECKPOINT_JSON_FILE_H_
#define BRAID_GENERATION_CHECKPOINT_JSON_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace braid::model {

// The whole file. NOT_FOUND if it does not exist, INVALID_ARGUMENT if it is not
// a regular file or larger than `max_bytes`.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path,
                                          uint64_t max_bytes);

// Parses a JSON object. Python writes bare `Infinity` and `NaN`, which are not
// JSON: they come back as {"__float__": "Infinity"}, the spelling that newer
// writers use. INVALID_ARGUMENT naming `path` for malformed text, repeated keys
// or a root that is no object.
absl::StatusOr<nlohmann::json> ParseJsonObject(const std::string& text,
                                               const std::string& path);

// ReadSmallFile and ParseJsonObject.
absl::StatusOr<nlohmann::json> ReadJsonObject(const std::string& path,
                                              uint64_t max_bytes);

}  // namespace braid::model

#endif  // BRAID_GENERATION_CHECKPOINT_JSON_FILE_H_
