#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "retrieval/filter/filter_node.h"

namespace braid::retrieval {
namespace {

constexpr size_t kMaxBytes = 16 << 10;
constexpr int kMaxTerms = 1000;
constexpr int kMaxNesting = 50;

using NodePointer = std::unique_ptr<FilterNode>;

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Bytes that end a bare text.
bool IsSyntax(char c) {
  return absl::ascii_iscntrl(c) || IsSpace(c) ||
         absl::string_view("()\"'=<>!:,").find(c) != absl::string_view::npos;
}

// Only plain decimal numbers: the library would also read "nan" and "0x1".
std::optional<double> ReadNumber(absl::string_view text) {
  if (text.empty() ||
      text.find_first_not_of("0123456789+-.eE") != absl::string_view::npos ||
      text.find_first_of("0123456789") == absl::string_view::npos) {
    return std::nullopt;
  }
  double number = 0;
  if (!absl::SimpleAtod(text, &number)) return std::nullopt;
  return number;
}

// Recursive descent over the grammar of AIP-160:
//   expression: sequence {AND sequence}
//   sequence:   factor {factor}
//   factor:     term {OR term}
//   term:       [NOT | -] (restriction | "(" expression ")")
class Parser {
 public:
  explicit Parser(absl::string_view text) : text_(text) {}

  absl::StatusOr<NodePointer> Parse() {
    if (text_.size() > kMaxBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("filter: has ", text_.size(), " bytes, at most ",
                       kMaxBytes, " are allowed"));
    }
    SkipSpace();
    if (AtEnd()) return NodePointer();
    absl::StatusOr<NodePointer> root = Expression();
    if (!root.ok()) return root;
    if (!AtEnd()) {
      return Error(text_[at_] == ')' ? "there is no ( to this )"
                                     : "expected AND, OR or a term");
    }
    return root;
  }

 private:
  // A piece of text as it is written.
  struct Text {
    std::string text;
    bool quoted = false;
    bool open_begin = false;  // begins with a star that is not escaped
    bool open_end = false;    // ends with one that is not the same
  };

  bool AtEnd() const { return at_ == text_.size(); }
  void SkipSpace() {
    while (!AtEnd() && IsSpace(text_[at_])) ++at_;
  }
  absl::Status ErrorAt(size_t position, absl::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat("filter: ", what, " at byte ", position));
  }
  absl::Status Error(absl::string_view what) const {
    return ErrorAt(at_,
                   AtEnd() ? absl::StrCat(what, ", found the end,") : what);
  }

  // Whether `keyword` stands here as a word of its own.
  bool IsKeyword(absl::string_view keyword) const {
    if (text_.substr(at_, keyword.size()) != keyword) return false;
    const size_t end = at_ + keyword.size();
    return end == text_.size() || IsSpace(text_[end]) || text_[end] == '(';
  }
  bool TakeKeyword(absl::string_view keyword) {
    if (!IsKeyword(keyword)) return false;
    at_ += keyword.size();
    SkipSpace();
    return true;
  }

  static NodePointer Join(FilterNode::Kind kind,
                          std::vector<NodePointer> children) {
    if (children.size() == 1) return std::move(children[0]);
    auto node = std::make_unique<FilterNode>();
    node->kind = kind;
    node->children = std::move(children);
    return node;
  }

  absl::StatusOr<NodePointer> Expression() {
    std::vector<NodePointer> children;
    do {
      // A sequence: factors side by side mean AND as well.
      do {
        absl::StatusOr<NodePointer> factor = Factor();
        if (!factor.ok()) return factor;
        children.push_back(*std::move(factor));
      } while (!AtEnd() && text_[at_] != ')' && !IsKeyword("AND"));
    } while (TakeKeyword("AND"));
    return Join(FilterNode::Kind::kAnd, std::move(children));
  }

  absl::StatusOr<NodePointer> Factor() {
    std::vector<NodePointer> children;
    do {
      absl::StatusOr<NodePointer> term = Term();
      if (!term.ok()) return term;
      children.push_back(*std::move(term));
    } while (TakeKeyword("OR"));
    return Join(FilterNode::Kind::kOr, std::move(children));
  }

  absl::StatusOr<NodePointer> Term() {
    bool negated = TakeKeyword("NOT");
    if (!negated && !AtEnd() && text_[at_] == '-') {
      negated = true;
      ++at_;
    }
    absl::StatusOr<NodePointer> simple =
        !AtEnd() && text_[at_] == '(' ? Composite() : Restriction();
    if (!simple.ok() || !negated) return simple;
    auto node = std::make_unique<FilterNode>();
    node->kind = FilterNode::Kind::kNot;
    node->children.push_back(*std::move(simple));
    return node;
  }

  absl::StatusOr<NodePointer> Composite() {
    if (++nesting_ > kMaxNesting) {
      return Error(
          absl::StrCat("more than ", kMaxNesting, " levels of parentheses"));
    }
    const size_t open = at_++;
    SkipSpace();
    absl::StatusOr<NodePointer> inside = Expression();
    if (!inside.ok()) return inside;
    if (AtEnd() || text_[at_] != ')') {
      return ErrorAt(open, "there is no ) to the (");
    }
    ++at_;
    SkipSpace();
    --nesting_;
    return inside;
  }

  absl::StatusOr<NodePointer> Restriction() {
    if (++terms_ > kMaxTerms) {
      return Error(absl::StrCat("more than ", kMaxTerms, " terms"));
    }
    if (IsKeyword("AND") || IsKeyword("OR") || IsKeyword("NOT")) {
      return Error("expected a field or a value, found a keyword");
    }
    if (!AtEnd() && text_[at_] == '-') {
      return Error("expected a field or a value, found -");
    }
    absl::StatusOr<Text> left = ReadText("expected a field or a value");
    if (!left.ok()) return left.status();
    if (!AtEnd() && text_[at_] == '(') {
      return Error("functions are not supported");
    }
    // A quoted name may go on: a."b c".d
    std::string field = left->text;
    while (!AtEnd() &&
           (left->quoted ? text_[at_] == '.'
                         : field.back() == '.' &&
                               (text_[at_] == '"' || text_[at_] == '\''))) {
      if (left->quoted) field.push_back(text_[at_++]);
      left = ReadText("expected the rest of the field's name");
      if (!left.ok()) return left.status();
      field += left->text;
      left->open_begin = left->open_end = false;
    }
    SkipSpace();
    auto node = std::make_unique<FilterNode>();
    const std::optional<Comparator> comparator = TakeComparator();
    if (!comparator.has_value()) {
      node->kind = FilterNode::Kind::kAnyField;
      left->text = std::move(field);
      node->value = ToValue(*std::move(left));
      return node;
    }
    if (field.empty()) return Error("the field before this has no name");
    node->kind = FilterNode::Kind::kComparison;
    node->field = std::move(field);
    node->comparator = *comparator;
    SkipSpace();
    absl::StatusOr<Text> right = ReadText("expected a value");
    if (!right.ok()) return right.status();
    node->value = ToValue(*std::move(right));
    SkipSpace();
    return node;
  }

  std::optional<Comparator> TakeComparator() {
    static constexpr std::pair<absl::string_view, Comparator> kComparators[] = {
        {"<=", Comparator::kLessEqual}, {">=", Comparator::kGreaterEqual},
        {"!=", Comparator::kNotEqual},  {"<", Comparator::kLess},
        {">", Comparator::kGreater},    {"=", Comparator::kEqual},
        {":", Comparator::kHas}};
    for (const auto& [name, comparator] : kComparators) {
      if (text_.substr(at_, name.size()) == name) {
        at_ += name.size();
        return comparator;
      }
    }
    return std::nullopt;
  }

  absl::StatusOr<Text> ReadText(absl::string_view expected) {
    Text read;
    if (!AtEnd() && (text_[at_] == '"' || text_[at_] == '\'')) {
      return ReadQuoted();
    }
    const size_t begin = at_;
    while (!AtEnd() && !IsSyntax(text_[at_])) ++at_;
    if (at_ == begin) return Error(expected);
    read.text = std::string(text_.substr(begin, at_ - begin));
    read.open_begin = read.text.front() == '*';
    read.open_end =
        read.text.back() == '*' && (read.text.size() > 1 || !read.open_begin);
    return read;
  }

  absl::StatusOr<Text> ReadQuoted() {
    const size_t begin = at_;
    const char quote = text_[at_++];
    Text read;
    read.quoted = true;
    bool last_is_star = false;
    for (; !AtEnd() && text_[at_] != quote; ++at_) {
      char c = text_[at_];
      last_is_star = c == '*';
      if (last_is_star && read.text.empty()) read.open_begin = true;
      if (c == '\\') {
        ++at_;
        if (AtEnd()) break;
        c = text_[at_];
        if (c == 'n') {
          c = '\n';
        } else if (c == 't') {
          c = '\t';
        } else if (c != '\\' && c != '"' && c != '\'' && c != '*') {
          return ErrorAt(at_ - 1,
                         "unknown escape (\\\\, \\\", \\', \\*, \\n "
                         "and \\t are known)");
        }
      }
      read.text.push_back(c);
    }
    if (AtEnd()) return ErrorAt(begin, "there is no end to the quote");
    ++at_;
    read.open_end = last_is_star && (read.text.size() > 1 || !read.open_begin);
    return read;
  }

  static FilterValue ToValue(Text read) {
    FilterValue value;
    value.open_begin = read.open_begin;
    value.open_end = read.open_end;
    absl::string_view pattern = read.text;
    if (read.open_begin) pattern.remove_prefix(1);
    if (read.open_end) pattern.remove_suffix(1);
    value.pattern = std::string(pattern);
    if (!read.quoted) {
      value.number = ReadNumber(read.text);
      if (read.text == "true") value.boolean = true;
      if (read.text == "false") value.boolean = false;
    }
    value.text = std::move(read.text);
    return value;
  }

  const absl::string_view text_;
  size_t at_ = 0;
  int terms_ = 0;
  int nesting_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<FilterNode>> ParseFilter(
    absl::string_view text) {
  return Parser(text).Parse();
}

}  // namespace braid::retrieval
