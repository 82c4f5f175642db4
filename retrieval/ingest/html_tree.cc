#include "retrieval/ingest/html_tree.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <bit>
#include <csetjmp>
#include <cstdlib>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace braid::retrieval {
namespace {

// gumbo's tree is 5 to 10 times its source for real pages.
constexpr size_t kArenaBaseBytes = 16 << 20;
constexpr size_t kArenaBytesPerSourceByte = 24;
constexpr size_t kArenaMaxBytes = size_t{768} << 20;
// The PostgreSQL manual's largest page takes 20 ms.
constexpr int64_t kMaxCpuNanos = 20'000'000'000;
constexpr int kAllocationsPerClockRead = 1024;

int64_t ThreadCpuNanos() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

bool EndTagOptional(absl::string_view name) {
  static constexpr absl::string_view kNames[] = {
      "p",     "li",     "dt",     "dd",   "tr",   "td",   "th",  "thead",
      "tbody", "tfoot",  "option", "html", "head", "body", "br",  "hr",
      "img",   "input",  "meta",   "link", "area", "base", "col", "embed",
      "param", "source", "track",  "wbr",  "frame"};
  return std::find(std::begin(kNames), std::end(kNames), name) !=
         std::end(kNames);
}

bool HasRawText(absl::string_view name) {
  return name == "script" || name == "style" || name == "title" ||
         name == "textarea";
}

// Offset behind the end tag of raw text that begins at `at`.
size_t SkipRawText(absl::string_view html, size_t at, absl::string_view name) {
  while (true) {
    at = html.find("</", at);
    if (at == absl::string_view::npos) return html.size();
    if (absl::EqualsIgnoreCase(html.substr(at + 2, name.size()), name)) {
      return at;
    }
    at += 2;
  }
}

}  // namespace

// An allocator for one parse: hands out pieces of large blocks, keeps what is
// freed on a list per size for the next request, and gives up (by longjmp over
// gumbo's C frames, which check no allocation) when a limit is reached.
class HtmlArena {
 public:
  enum GiveUp { kNone = 0, kMemory = 1, kTime = 2 };

  explicit HtmlArena(size_t limit)
      : limit_(limit), cpu_limit_(ThreadCpuNanos() + kMaxCpuNanos) {}
  ~HtmlArena() {
    for (void* block : blocks_) std::free(block);
  }
  HtmlArena(const HtmlArena&) = delete;
  HtmlArena& operator=(const HtmlArena&) = delete;

  static void* Allocate(void* arena, size_t size) {
    return static_cast<HtmlArena*>(arena)->Allocate(size);
  }
  static void Free(void* arena, void* piece) {
    static_cast<HtmlArena*>(arena)->Free(piece);
  }

  std::jmp_buf& bail_out() { return bail_out_; }

 private:
  static constexpr size_t kHeader = 16;  // keeps what follows aligned
  static constexpr size_t kBlockBytes = 256 << 10;

  // Sizes are rounded up to four steps per power of two.
  static size_t ClassOf(size_t size) {
    if (size <= 64) return (size + 15) / 16;
    const int bits = std::bit_width(size - 1);  // size <= 2^bits
    const size_t step = size_t{1} << (bits - 3);
    const size_t base = size_t{1} << (bits - 1);
    return 5 + (bits - 7) * 4 + (size - base + step - 1) / step - 1;
  }
  static size_t SizeOf(size_t size_class) {
    if (size_class <= 4) return size_class * 16;
    const size_t k = size_class - 5;
    const size_t base = size_t{64} << (k / 4);
    return base + (k % 4 + 1) * (base / 4);
  }

  void* Allocate(size_t size) {
    if (++allocations_ % kAllocationsPerClockRead == 0 &&
        ThreadCpuNanos() > cpu_limit_) {
      std::longjmp(bail_out_, kTime);
    }
    if (size > limit_) std::longjmp(bail_out_, kMemory);
    const size_t size_class = ClassOf(std::max<size_t>(size, 1));
    if (FreePiece* piece = free_[size_class]) {
      free_[size_class] = piece->next;
      return piece;
    }
    const size_t bytes = kHeader + SizeOf(size_class);
    if (bytes > left_) NewBlock(bytes);
    char* piece = next_;
    next_ += bytes;
    left_ -= bytes;
    *reinterpret_cast<size_t*>(piece) = size_class;
    return piece + kHeader;
  }

  void Free(void* piece) {
    if (piece == nullptr) return;
    const size_t size_class =
        *reinterpret_cast<size_t*>(static_cast<char*>(piece) - kHeader);
    auto* freed = static_cast<FreePiece*>(piece);
    freed->next = free_[size_class];
    free_[size_class] = freed;
  }

  void NewBlock(size_t at_least) {
    const size_t bytes = std::max(kBlockBytes, at_least);
    if (used_ + bytes > limit_) std::longjmp(bail_out_, kMemory);
    void* block = std::malloc(bytes);
    if (block == nullptr) std::longjmp(bail_out_, kMemory);
    blocks_.push_back(block);
    used_ += bytes;
    next_ = static_cast<char*>(block);
    left_ = bytes;
  }

  struct FreePiece {
    FreePiece* next;
  };

  const size_t limit_;
  const int64_t cpu_limit_;
  std::jmp_buf bail_out_;
  std::vector<void*> blocks_;
  std::array<FreePiece*, 256> free_{};
  char* next_ = nullptr;
  size_t left_ = 0;
  size_t used_ = 0;
  uint64_t allocations_ = 0;
};

namespace {

// Apart, so that no object with a destructor lives in the frame that longjmp
// comes back to. Returns null after giving up, with the reason in *give_up.
const GumboNode* ParseInto(HtmlArena* arena, absl::string_view html,
                           int* give_up) {
  GumboOptions options = kGumboDefaultOptions;
  options.allocator = &HtmlArena::Allocate;
  options.deallocator = &HtmlArena::Free;
  options.userdata = arena;
  options.max_errors = 0;
  *give_up = setjmp(arena->bail_out());
  if (*give_up != HtmlArena::kNone) return nullptr;
  return gumbo_parse_with_options(&options, html.data(), html.size())->root;
}

}  // namespace

size_t EstimateHtmlDepth(absl::string_view html) {
  std::unordered_map<std::string, size_t> open;
  size_t depth = 0;
  size_t deepest = 0;
  // Inside SVG and MathML every element nests, and no text is raw.
  bool foreign = false;
  size_t at = 0;
  while ((at = html.find('<', at)) != absl::string_view::npos) {
    if (html.substr(at, 4) == "<!--" && !foreign) {
      const size_t close = html.find("-->", at + 2);
      if (close == absl::string_view::npos) break;
      at = close + 3;
      continue;
    }
    const bool end_tag = at + 1 < html.size() && html[at + 1] == '/';
    const size_t name_at = at + 1 + end_tag;
    size_t name_end = name_at;
    while (name_end < html.size() && name_end - name_at < 64 &&
           (absl::ascii_isalnum(html[name_end]) || html[name_end] == '-' ||
            html[name_end] == ':')) {
      ++name_end;
    }
    at = std::max(name_end, at + 1);
    if (name_end == name_at || !absl::ascii_isalpha(html[name_at])) continue;
    std::string name =
        absl::AsciiStrToLower(html.substr(name_at, name_end - name_at));
    if (!foreign && EndTagOptional(name)) continue;
    if (end_tag) {
      auto found = open.find(name);
      if (found == open.end() || found->second == 0) continue;
      --found->second;
      --depth;
      continue;
    }
    foreign = foreign || name == "svg" || name == "math";
    if (!foreign && HasRawText(name)) {
      at = SkipRawText(html, at, name);
      continue;
    }
    if (foreign) {
      const size_t close = html.find('>', at);
      if (close != absl::string_view::npos && html[close - 1] == '/') continue;
    }
    ++open[std::move(name)];
    deepest = std::max(deepest, ++depth);
  }
  return deepest;
}

HtmlTree::HtmlTree(std::unique_ptr<HtmlArena> arena, const GumboNode* root)
    : arena_(std::move(arena)), root_(root) {}
HtmlTree::HtmlTree(HtmlTree&&) noexcept = default;
HtmlTree& HtmlTree::operator=(HtmlTree&&) noexcept = default;
HtmlTree::~HtmlTree() = default;

absl::StatusOr<HtmlTree> HtmlTree::Parse(absl::string_view name,
                                         absl::string_view html) {
  const size_t depth = EstimateHtmlDepth(html);
  if (depth > kMaxDepth) {
    return absl::ResourceExhaustedError(
        absl::StrCat(name, ": HTML elements nest ", depth,
                     " deep; the limit is ", kMaxDepth));
  }
  auto arena = std::make_unique<HtmlArena>(
      std::min(kArenaMaxBytes,
               kArenaBaseBytes + kArenaBytesPerSourceByte * html.size()));
  int give_up = HtmlArena::kNone;
  const GumboNode* root = ParseInto(arena.get(), html, &give_up);
  if (root == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat(
        name, ": the HTML is malformed in a way that makes its tree too ",
        give_up == HtmlArena::kTime ? "slow to build" : "large"));
  }
  return HtmlTree(std::move(arena), root);
}

}  // namespace braid::retrieval
