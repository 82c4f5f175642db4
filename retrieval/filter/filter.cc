#include "retrieval/filter/filter.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "retrieval/filter/filter_node.h"

namespace braid::retrieval {
namespace {

// A field's value without copying it.
using FieldView = std::variant<bool, double, absl::string_view,
                               const std::vector<std::string>*>;

FieldView ViewOf(const MetadataValue& value) {
  if (const bool* boolean = std::get_if<bool>(&value)) return *boolean;
  if (const double* number = std::get_if<double>(&value)) return *number;
  if (const std::string* text = std::get_if<std::string>(&value)) {
    return absl::string_view(*text);
  }
  return &std::get<std::vector<std::string>>(value);
}

std::optional<FieldView> FindField(const DocumentInfo& document,
                                   const std::string& name) {
  if (name == "document_id") return absl::string_view(document.id);
  if (name == "title") return absl::string_view(document.title);
  if (name == "media_type") return absl::string_view(document.media_type);
  auto found = document.metadata.find(name);
  if (found == document.metadata.end()) {
    absl::string_view rest = name;
    if (!absl::ConsumePrefix(&rest, "metadata.")) return std::nullopt;
    found = document.metadata.find(std::string(rest));
    if (found == document.metadata.end()) return std::nullopt;
  }
  return ViewOf(found->second);
}

bool MatchesPattern(absl::string_view text, const FilterValue& value) {
  if (!value.is_pattern()) return text == value.text;
  if (value.open_begin && value.open_end) {
    return absl::StrContains(text, value.pattern);
  }
  return value.open_begin ? absl::EndsWith(text, value.pattern)
                          : absl::StartsWith(text, value.pattern);
}

template <typename T>
bool Compare(const T& left, Comparator comparator, const T& right) {
  switch (comparator) {
    case Comparator::kEqual:
    case Comparator::kHas:
      return left == right;
    case Comparator::kNotEqual:
      return left != right;
    case Comparator::kLess:
      return left < right;
    case Comparator::kLessEqual:
      return left <= right;
    case Comparator::kGreater:
      return left > right;
    case Comparator::kGreaterEqual:
      return left >= right;
  }
  return false;
}

// One function per type a field may have.
struct Comparison {
  Comparator comparator;
  const FilterValue& value;

  bool operator()(bool field) const {
    const bool ordered = comparator != Comparator::kEqual &&
                         comparator != Comparator::kNotEqual &&
                         comparator != Comparator::kHas;
    if (!value.boolean.has_value() || ordered) return false;
    return Compare(field, comparator, *value.boolean);
  }
  bool operator()(double field) const {
    return value.number.has_value() &&
           Compare(field, comparator, *value.number);
  }
  bool operator()(absl::string_view field) const {
    switch (comparator) {
      case Comparator::kEqual:
        return MatchesPattern(field, value);
      case Comparator::kNotEqual:
        return !MatchesPattern(field, value);
      case Comparator::kHas:
        return value.is_pattern() ? MatchesPattern(field, value)
                                  : absl::StrContains(field, value.text);
      default:
        return Compare(field, comparator, absl::string_view(value.text));
    }
  }
  bool operator()(const std::vector<std::string>* field) const {
    return comparator == Comparator::kHas &&
           std::any_of(field->begin(), field->end(),
                       [this](const std::string& item) {
                         return MatchesPattern(item, value);
                       });
  }
};

bool Evaluate(const FilterNode& node, const DocumentInfo& document) {
  const auto holds = [&](const std::unique_ptr<FilterNode>& child) {
    return Evaluate(*child, document);
  };
  switch (node.kind) {
    case FilterNode::Kind::kAnd:
      return std::all_of(node.children.begin(), node.children.end(), holds);
    case FilterNode::Kind::kOr:
      return std::any_of(node.children.begin(), node.children.end(), holds);
    case FilterNode::Kind::kNot:
      return !holds(node.children[0]);
    case FilterNode::Kind::kComparison: {
      const std::optional<FieldView> field = FindField(document, node.field);
      if (!field.has_value()) return false;
      if (node.comparator == Comparator::kHas && node.value.is_anything()) {
        return true;
      }
      return std::visit(Comparison{node.comparator, node.value}, *field);
    }
    case FilterNode::Kind::kAnyField: {
      const Comparison has{Comparator::kHas, node.value};
      return has(absl::string_view(document.id)) ||
             has(absl::string_view(document.title)) ||
             has(absl::string_view(document.media_type)) ||
             std::any_of(document.metadata.begin(), document.metadata.end(),
                         [&](const auto& entry) {
                           return std::visit(has, ViewOf(entry.second));
                         });
    }
  }
  return false;
}

}  // namespace

Filter::Filter(std::unique_ptr<FilterNode> root) : root_(std::move(root)) {}
Filter::~Filter() = default;
Filter::Filter(Filter&&) noexcept = default;
Filter& Filter::operator=(Filter&&) noexcept = default;

absl::StatusOr<Filter> Filter::Parse(absl::string_view text) {
  absl::StatusOr<std::unique_ptr<FilterNode>> root = ParseFilter(text);
  if (!root.ok()) return root.status();
  return Filter(*std::move(root));
}

bool Filter::Matches(const DocumentInfo& document) const {
  return root_ == nullptr || Evaluate(*root_, document);
}

}  // namespace braid::retrieval
