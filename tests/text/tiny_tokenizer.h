// A tokenizer.json that tests write themselves: byte-level BPE over all 256
// bytes with a few merges and the control tokens of ChatML.
#ifndef BRAID_TESTS_TEXT_TINY_TOKENIZER_H_
#define BRAID_TESTS_TEXT_TINY_TOKENIZER_H_

#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace braid::model {

// UTF-8 of a code point below 0x800.
inline std::string Utf8Below0x800(int code) {
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xC0 | code >> 6),
          static_cast<char>(0x80 | (code & 0x3F))};
}

// GPT-2's printable stand-ins for the bytes, indexed by byte.
inline std::vector<std::string> ByteLevelAlphabet() {
  std::vector<std::string> alphabet(256);
  int next = 256;
  for (int b = 0; b < 256; ++b) {
    const bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) ||
                           (b >= 0xAE && b <= 0xFF);
    alphabet[b] = Utf8Below0x800(printable ? b : next++);
  }
  return alphabet;
}

// Ids: 0 <pad>, 1 <s>, 2 </s>, 3 <|im_start|>, 4 <|im_end|>, 5 <think> (an
// added token that is not marked special), 6 + b for byte b, then the merges.
inline constexpr int kTinyFirstByteId = 6;
inline constexpr int kTinyFirstMergeId = kTinyFirstByteId + 256;

inline nlohmann::json TinyTokenizerJson() {
  nlohmann::json added = nlohmann::json::array();
  nlohmann::json vocab = nlohmann::json::object();
  const std::vector<std::string> specials = {
      "<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<think>"};
  for (size_t i = 0; i < specials.size(); ++i) {
    added.push_back({{"id", i},
                     {"content", specials[i]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", specials[i] != "<think>"}});
    vocab[specials[i]] = i;
  }
  const std::vector<std::string> alphabet = ByteLevelAlphabet();
  for (int b = 0; b < 256; ++b) vocab[alphabet[b]] = kTinyFirstByteId + b;
  const std::string space = alphabet[' '];
  const std::vector<std::pair<std::string, std::string>> pairs = {
      {"t", "h"}, {"th", "e"}, {space, "the"}, {"i", "n"}, {"e", "r"}};
  nlohmann::json merges = nlohmann::json::array();
  int id = kTinyFirstMergeId;
  for (const auto& [left, right] : pairs) {
    merges.push_back({left, right});
    vocab[left + right] = id++;
  }
  const nlohmann::json byte_level = {{"type", "ByteLevel"},
                                     {"add_prefix_space", false},
                                     {"trim_offsets", true},
                                     {"use_regex", true}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", nullptr},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", vocab},
            {"merges", merges}}}};
}

}  // namespace braid::model

#endif  // BRAID_TESTS_TEXT_TINY_TOKENIZER_H_
