#include "services/telemetry/trace_context.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace braid::services::telemetry {
namespace {

// 00-{32 digits}-{16 digits}-{2 digits}
constexpr size_t kTraceAt = 3;
constexpr size_t kSpanAt = 36;
constexpr size_t kFlagsAt = 53;
constexpr size_t kTraceparentBytes = 55;
constexpr uint8_t kSampled = 1;

constexpr size_t kMaxStateBytes = 512;
constexpr size_t kMaxStateMembers = 32;
constexpr size_t kMaxKeyBytes = 256;
constexpr size_t kMaxTenantBytes = 241;
constexpr size_t kMaxSystemBytes = 14;
constexpr size_t kMaxValueBytes = 256;

// Upper case is not allowed.
int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

template <size_t N>
bool ParseHex(absl::string_view text, std::array<uint8_t, N>* bytes) {
  for (size_t i = 0; i < N; ++i) {
    const int high = HexValue(text[2 * i]);
    const int low = HexValue(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    (*bytes)[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

template <size_t N>
std::string Hex(const std::array<uint8_t, N>& bytes) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(bytes.data()), N));
}

template <typename Id>
Id NewId() {
  thread_local std::mt19937_64 random = [] {
    // One word would be too few: processes and threads must not meet.
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device(),
                       device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  Id id;
  while (id.IsZero()) {
    for (size_t i = 0; i < id.bytes.size(); i += sizeof(uint64_t)) {
      const uint64_t word = random();
      std::memcpy(id.bytes.data() + i, &word, sizeof(word));
    }
  }
  return id;
}

bool IsKeyPart(absl::string_view text, size_t max_bytes) {
  return !text.empty() && text.size() <= max_bytes &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) ||
                  absl::string_view("_-*/").find(c) != absl::string_view::npos;
         });
}

bool IsKey(absl::string_view key) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(key, absl::MaxSplits('@', 1));
  const auto& [tenant, system] = parts;
  if (key.find('@') == absl::string_view::npos) {
    return IsKeyPart(key, kMaxKeyBytes) && absl::ascii_islower(key.front());
  }
  return IsKeyPart(tenant, kMaxTenantBytes) &&
         IsKeyPart(system, kMaxSystemBytes) &&
         absl::ascii_islower(system.front());
}

bool IsValue(absl::string_view value) {
  return !value.empty() && value.size() <= kMaxValueBytes &&
         std::all_of(value.begin(), value.end(), [](char c) {
           return c >= ' ' && c <= '~' && c != ',' && c != '=';
         });
}

// Spaces and tabs may stand around a member.
absl::string_view Trim(absl::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == absl::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

}  // namespace

std::string ToHex(const TraceId& id) { return Hex(id.bytes); }
std::string ToHex(const SpanId& id) { return Hex(id.bytes); }

std::optional<TraceContext> ParseTraceparent(absl::string_view header) {
  if (header.size() < kTraceparentBytes || header[kTraceAt - 1] != '-' ||
      header[kSpanAt - 1] != '-' || header[kFlagsAt - 1] != '-') {
    return std::nullopt;
  }
  std::array<uint8_t, 1> version;
  std::array<uint8_t, 1> flags;
  TraceContext context;
  if (!ParseHex(header, &version) ||
      !ParseHex(header.substr(kTraceAt), &context.trace_id.bytes) ||
      !ParseHex(header.substr(kSpanAt), &context.span_id.bytes) ||
      !ParseHex(header.substr(kFlagsAt), &flags) || version[0] == 0xff ||
      context.trace_id.IsZero() || context.span_id.IsZero()) {
    return std::nullopt;
  }
  // Only later versions may have more, after another dash.
  if (header.size() > kTraceparentBytes &&
      (version[0] == 0 || header[kTraceparentBytes] != '-')) {
    return std::nullopt;
  }
  context.sampled = (flags[0] & kSampled) != 0;
  return context;
}

std::string FormatTraceparent(const TraceContext& context) {
  return absl::StrCat("00-", ToHex(context.trace_id), "-",
                      ToHex(context.span_id), context.sampled ? "-01" : "-00");
}

bool IsTracestate(absl::string_view header) {
  if (header.size() > kMaxStateBytes) return false;
  size_t members = 0;
  for (absl::string_view member : absl::StrSplit(header, ',')) {
    member = Trim(member);
    if (member.empty()) continue;
    const size_t equals = member.find('=');
    if (++members > kMaxStateMembers || equals == absl::string_view::npos ||
        !IsKey(member.substr(0, equals)) ||
        !IsValue(member.substr(equals + 1))) {
      return false;
    }
  }
  return members > 0;
}

TraceId NewTraceId() { return NewId<TraceId>(); }
SpanId NewSpanId() { return NewId<SpanId>(); }

}  // namespace braid::services::telemetry
