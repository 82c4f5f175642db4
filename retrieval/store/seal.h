// A closed store knows whether it is whole.
//
// RocksDB takes a write-ahead log or a manifest that ends too early for one
// that a crash cut short, and goes on without what is missing. After an orderly
// close nothing may be missing: the seal lists the files as they were then. It
// is removed before a store is opened for writing, so after a crash there is
// none, and RocksDB's rules apply.
#ifndef BRAID_RETRIEVAL_STORE_SEAL_H_
#define BRAID_RETRIEVAL_STORE_SEAL_H_

#include <string>

#include "absl/status/status.h"

namespace rocksdb {
class Env;
}

namespace braid::retrieval {

// Lists the tables by size (each has checksums that `Store::Verify` compares)
// and the small files by SHA-256. Durable when it returns OK. Called when
// nothing has the store open.
absl::Status WriteSeal(rocksdb::Env* env, const std::string& directory);
// OK if there is none. DATA_LOSS naming the first file that is missing, or that
// is not what it was, or that does not belong there.
absl::Status CheckSeal(rocksdb::Env* env, const std::string& directory);
// Durable when it returns OK.
absl::Status RemoveSeal(rocksdb::Env* env, const std::string& directory);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_STORE_SEAL_H_
