// The shared sample files, each held to what its manifest expects.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "retrieval/ingest/worker/parser_pool.h"
#include "tests/ingest/test_util.h"

namespace braid::retrieval {
namespace {

using Json = nlohmann::json;

// Words, but Asian characters one by one: no blanks separate them, and readers
// differ in where they break lines.
std::map<std::string, int> Words(std::string text) {
  // What pdfminer writes for a character it cannot read.
  for (size_t at = text.find("(cid:"); at != std::string::npos;
       at = text.find("(cid:", at)) {
    text.erase(at, text.find(')', at) + 1 - at);
  }
  std::map<std::string, int> words;
  std::string word;
  auto flush = [&] {
    if (!word.empty()) ++words[word];
    word.clear();
  };
  for (size_t i = 0; i < text.size();) {
    size_t next = i + 1;
    while (next < text.size() && (text[next] & 0xC0) == 0x80) ++next;
    const std::string character = text.substr(i, next - i);
    i = next;
    if (character.size() == 1 && (absl::ascii_isspace(character[0]) ||
                                  absl::ascii_ispunct(character[0]))) {
      flush();
    } else if (character.size() >= 3) {
      flush();
      // Punctuation (U+2000 to U+2FFF, U+3000 to U+303F, full and half width)
      // is no word.
      if (!absl::StartsWith(character, "\xE2") &&
          !absl::StartsWith(character, "\xE3\x80") &&
          !absl::StartsWith(character, "\xEF")) {
        ++words[character];
      }
    } else {
      word += character;
    }
  }
  flush();
  return words;
}

// Part of the reference's words that the text has.
double Recall(const std::string& reference, const std::string& text) {
  const auto expected = Words(reference);
  const auto actual = Words(text);
  double all = 0;
  double found = 0;
  for (const auto& [word, count] : expected) {
    const auto it = actual.find(word);
    all += count;
    found += it == actual.end() ? 0 : std::min(count, it->second);
  }
  return all == 0 ? 1 : found / all;
}

class Samples : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(Directory() + "/manifest.jsonl")) {
      GTEST_SKIP() << "no samples in " << Directory();
    }
    ParserPoolOptions options;
    options.executable = BRAID_PARSER;
    pool_ = *ParserPool::Create(options);
  }
  static std::string Directory() {
    return std::string(BRAID_SHARED_DIR) + "/data/ingest";
  }

  std::unique_ptr<ParserPool> pool_;
};

// Where the reference is the head of what other readers got of the whole.
std::string Reference(const Json& entry) {
  for (const char* reader : {"pdfminer", "python_docx"}) {
    if (entry.contains(reader)) {
      std::string head = entry[reader]["head"].get<std::string>();
      // Its last word may be cut off.
      if (entry[reader]["chars"].get<size_t>() > head.size()) {
        head.resize(head.rfind(' ') + 1);
      }
      return head;
    }
  }
  return "";
}

TEST_F(Samples, BehaveAsTheManifestExpects) {
  // A drawing: pdfminer tears its vertical texts to single characters.
  const std::string torn = "pdfminer__issue_495_pdfobjref.pdf";
  // Text that a sample certainly has, for those without a reference.
  const std::map<std::string, std::string> known = {
      {"mammoth__strict-format.docx", "Test"},
      {"mammoth__text-box.docx", "Datum plane"},
      {"mammoth__footnotes.docx", "A tachyon walks into a bar."},
      {"mammoth__endnotes.docx", "A tachyon walks into a bar."},
      {"mammoth__comments.docx", "A tachyon walks into a bar."},
      {"mammoth__tables.docx", "Top left: Bottom left"},
      {"r2r__sample.csv", "Product: Laptop Pro X | Quantity: 2"},
      {"r2r__sample.json", "dashboard.metrics.revenue.currency: USD"},
      {"r2r__sample.odt", "Lorem ipsum dolor sit amet"},
      {"r2r__sample.rtf", "deserunt mollit anim id est laborum."},
      {"r2r__sample.xlsx", "First Name: Dulce | Last Name: Abril"},
      {"r2r__sample.eml", "Revenue targets increased by 15%"},
      {"r2r__sample.epub", "ISBN-13: 978-0-446-51107-0"},
      {"r2r__sample.org", "styled by =org-modern="},
      {"r2r__sample.rst", "The UTF-8 quote character"},
      {"r2r__sample.doc", "Vestibulum neque massa"},
      {torn, "Arretierungshilfe"},
  };
  std::ifstream manifest(Directory() + "/manifest.jsonl");
  std::string line;
  size_t files = 0;
  double lowest = 1;
  while (std::getline(manifest, line)) {
    const Json entry = Json::parse(line);
    const std::string name = entry["file"];
    const std::string expect = entry["expect"];
    SCOPED_TRACE(name);
    const std::string content = ReadAll(Directory() + "/" + name);
    const auto document = pool_->Parse(Source(name, content));
    ++files;
    if (!document.ok()) {
      EXPECT_THAT(std::string(document.status().message()),
                  ::testing::StartsWith(name));
    } else {
      CheckAllProperties(*document, content);
      if (HasFatalFailure()) return;
    }
    const std::string message(document.status().message());
    if (expect == "encrypted") {
      EXPECT_EQ(document.status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(message, ::testing::HasSubstr("encrypted"));
    } else if (expect == "empty") {
      EXPECT_THAT(message, ::testing::HasSubstr("no text"));
    } else if (expect == "malformed") {
      // An error or a part of it.
      if (!document.ok()) {
        EXPECT_EQ(document.status().code(), absl::StatusCode::kInvalidArgument)
            << document.status();
      }
    } else if (name == "pdfminer__simple2.pdf") {
      // Lines and curves; the reference has no text either.
      EXPECT_THAT(message, ::testing::HasSubstr("no text on any"));
    } else {
      ASSERT_TRUE(document.ok()) << document.status();
      const std::string reference = Reference(entry);
      if (name != torn) {
        const double recall = Recall(reference, document->text);
        EXPECT_GE(recall, 0.98) << document->text;
        lowest = std::min(lowest, recall);
      }
      if (const auto it = known.find(name); it != known.end()) {
        EXPECT_THAT(absl::StrReplaceAll(document->text, {{"\n", " "}}),
                    ::testing::HasSubstr(it->second));
      } else {
        EXPECT_FALSE(reference.empty() && entry["kind"] != "md" &&
                     entry["kind"] != "html" && entry["kind"] != "txt")
            << "nothing is known of what it holds";
      }
    }
  }
  EXPECT_GT(files, 60u);
  std::printf("%zu files, lowest recall %.3f\n", files, lowest);
}

}  // namespace
}  // namespace braid::retrieval
