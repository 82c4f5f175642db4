// --kv-cache, of the verbs that run a model or say what it costs.
#ifndef BRAID_SERVICES_CLI_KV_CACHE_FLAG_H_
#define BRAID_SERVICES_CLI_KV_CACHE_FLAG_H_

#include "kernels/kv_type.h"

namespace CLI {
class App;
}

namespace braid::services::cli {

// What `kv` holds now is the default.
void AddKvCacheFlag(CLI::App* verb, kernels::KvType* kv);

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_KV_CACHE_FLAG_H_
