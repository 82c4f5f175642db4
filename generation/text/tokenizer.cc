#include "generation/text/tokenizer.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "generation/checkpoint/json_file.h"
#include "generation/text/ffi/text_ffi.h"
#include "generation/text/ffi_result.h"

namespace braid::model {
namespace {

// The largest public tokenizers are about 35 MB.
constexpr uint64_t kMaxTokenizerBytes = 256'000'000;

BraidTextTokenizer* Handle(void* handle) {
  return static_cast<BraidTextTokenizer*>(handle);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::FromFile(
    const std::string& path) {
  absl::StatusOr<std::string> json = ReadSmallFile(path, kMaxTokenizerBytes);
  if (!json.ok()) return json.status();
  BraidTextTokenizer* handle = nullptr;
  BraidTextBuffer error{};
  const int code =
      braid_text_tokenizer_open(FfiBytes(*json), json->size(), &handle, &error);
  if (code != 0) {
    return FfiError(code, error, absl::StrCat(path, ": not a tokenizer"));
  }
  return std::unique_ptr<Tokenizer>(new Tokenizer(handle));
}

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::FromFile(
    const std::string& path, int64_t vocab_size) {
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = FromFile(path);
  if (!tokenizer.ok()) return tokenizer;
  if ((*tokenizer)->vocab_size() > static_cast<size_t>(vocab_size)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", (*tokenizer)->vocab_size(),
                     " tokens, but vocab_size in config.json is ", vocab_size));
  }
  return tokenizer;
}

Tokenizer::~Tokenizer() { braid_text_tokenizer_free(Handle(handle_)); }

absl::StatusOr<TokenEncoding> Tokenizer::Encode(
    absl::string_view text, const EncodeOptions& options) const {
  uint32_t flags = 0;
  if (options.add_special_tokens) flags |= BRAID_TEXT_ADD_SPECIAL;
  if (options.parse_special_tokens) flags |= BRAID_TEXT_PARSE_SPECIAL;
  if (options.with_spans) flags |= BRAID_TEXT_SPANS;
  BraidTextTokens tokens{};
  BraidTextBuffer error{};
  const int code =
      braid_text_encode(Handle(handle_), FfiBytes(text), text.size(), flags,
                        options.max_tokens, &tokens, &error);
  if (code != 0) return FfiError(code, error, "tokenizer");
  TokenEncoding encoding;
  encoding.ids.assign(tokens.ids, tokens.ids + tokens.len);
  if (tokens.spans != nullptr) {
    encoding.spans.reserve(tokens.len);
    for (size_t i = 0; i < tokens.len; ++i) {
      encoding.spans.push_back({tokens.spans[2 * i], tokens.spans[2 * i + 1]});
    }
  }
  braid_text_tokens_free(tokens);
  return encoding;
}

absl::StatusOr<size_t> Tokenizer::Count(absl::string_view text) const {
  BraidTextTokens tokens{};
  BraidTextBuffer error{};
  const int code = braid_text_encode(Handle(handle_), FfiBytes(text),
                                     text.size(), 0, 0, &tokens, &error);
  if (code != 0) return FfiError(code, error, "tokenizer");
  const size_t count = tokens.len;
  braid_text_tokens_free(tokens);
  return count;
}

absl::StatusOr<std::string> Tokenizer::Decode(absl::Span<const int32_t> ids,
                                              bool skip_special_tokens) const {
  for (const int32_t id : ids) {
    if (id < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("tokenizer: ", id, " is not a token id"));
    }
  }
  BraidTextBuffer text{};
  BraidTextBuffer error{};
  const int code = braid_text_decode(
      Handle(handle_), reinterpret_cast<const uint32_t*>(ids.data()),
      ids.size(), skip_special_tokens, &text, &error);
  if (code != 0) return FfiError(code, error, "tokenizer");
  return TakeFfiBuffer(text);
}

int32_t Tokenizer::TokenToId(absl::string_view token) const {
  return static_cast<int32_t>(
      braid_text_token_to_id(Handle(handle_), FfiBytes(token), token.size()));
}

size_t Tokenizer::vocab_size() const {
  return braid_text_vocab_size(Handle(handle_));
}

}  // namespace braid::model
