// The questions of a dataset.
#ifndef BRAID_SERVICES_BENCH_BENCH_QUERIES_H_
#define BRAID_SERVICES_BENCH_BENCH_QUERIES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace braid::services {

// The texts of the first `max` queries in `path`. INVALID_ARGUMENT if it has
// none; otherwise errors as ReadQueries.
absl::StatusOr<std::vector<std::string>> ReadQueryTexts(const std::string& path,
                                                        size_t max);

}  // namespace braid::services

#endif  // BRAID_SERVICES_BENCH_BENCH_QUERIES_H_
