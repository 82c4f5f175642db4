#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "generation/checkpoint/families/family.h"

namespace braid::model {
namespace {

constexpr std::pair<absl::string_view, FamilyFunction> kFamilies[] = {
    {"granitemoehybrid", &GraniteMoeHybrid},
};

}  // namespace

FamilyFunction FindFamily(absl::string_view model_type) {
  for (const auto& [name, function] : kFamilies) {
    if (name == model_type) return function;
  }
  return nullptr;
}

std::string KnownFamilies() {
  std::string names;
  for (const auto& [name, function] : kFamilies) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", name);
  }
  return names;
}

}  // namespace braid::model
