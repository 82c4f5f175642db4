#include "services/cli/kv_cache_flag.h"

#include <CLI/CLI.hpp>
#include <string>

namespace braid::services::cli {

void AddKvCacheFlag(CLI::App* verb, kernels::KvType* kv) {
  verb->add_option_function<std::string>(
          "--kv-cache",
          [kv](const std::string& name) { *kv = *kernels::ParseKvType(name); },
          "How attention keeps keys and values")
      ->type_name("TYPE")
      ->default_str(kernels::KvTypeName(*kv))
      ->check(CLI::IsMember({"f32", "f16", "int8"}));
}

}  // namespace braid::services::cli
