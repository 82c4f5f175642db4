// The worker that parses, what becomes of one that misbehaves, and what is
// believed of its replies.
#include "retrieval/ingest/worker/parser_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <random>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "retrieval/ingest/worker/message.h"
#include "retrieval/ingest/worker/sandbox.h"
#include "tests/ingest/test_util.h"

namespace braid::retrieval {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::unique_ptr<ParserPool> Pool(ParserPoolOptions options = {}) {
  if (options.executable.empty()) options.executable = BRAID_PARSER;
  auto pool = ParserPool::Create(options);
  EXPECT_TRUE(pool.ok()) << pool.status();
  return *std::move(pool);
}

// A program in the place of the worker, as a shell script.
class FakeWorker {
 public:
  explicit FakeWorker(const std::string& script)
      : path_(::testing::TempDir() + "/fake_worker_XXXXXX") {
    const int file = mkstemp(path_.data());
    const std::string text = "#!/bin/sh\n" + script + "\n";
    EXPECT_EQ(write(file, text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
    fchmod(file, 0700);
    close(file);
  }
  ~FakeWorker() { unlink(path_.c_str()); }

  absl::Status Parse(const std::string& content = "words") const {
    ParserPoolOptions options;
    options.executable = path_;
    options.max_cpu_time = absl::Milliseconds(300);
    options.max_wall_time = absl::Seconds(2);
    return Pool(options)->Parse(Source("a.txt", content)).status();
  }

 private:
  std::string path_;
};

// Bytes as printf of the shell takes them.
std::string Octal(absl::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    absl::StrAppendFormat(&text, "\\%03o", static_cast<unsigned char>(c));
  }
  return text;
}

// A worker that reads the request's header and answers with `reply`.
std::string Answering(absl::string_view reply) {
  return "head -c 8 >/dev/null\nprintf '" + Octal(MessageHeader(reply.size())) +
         Octal(reply) + "' >&0\nsleep 5";
}

// Processes whose parent is this one.
std::vector<pid_t> Children() {
  std::vector<pid_t> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    const std::string stat = ReadAll(entry.path().string() + "/stat");
    pid_t parent = 0;
    const size_t name_end = stat.rfind(')');
    if (name_end == std::string::npos) continue;
    if (sscanf(stat.c_str() + name_end + 1, " %*c %d", &parent) == 1 &&
        parent == getpid()) {
      children.push_back(pid);
    }
  }
  return children;
}

TEST(ParserPool, GivesWhatTheParserGives) {
  auto pool = Pool();
  for (const auto& [name, content] :
       std::vector<std::pair<std::string, std::string>>{
           {"dir/notes.txt", "\xEF\xBB\xBFone\n\ntwo \u65e5\u672c\n"},
           {"a.md", "---\nauthor: x\ntags: [a, b]\n---\n# H\n\ntext\n"},
           {"a.html", "<title>T</title><h2>H</h2><p>a &amp; b</p>"},
           {"empty.txt", " "},
           {"a.xyz", std::string("\0\0", 2)}}) {
    SourceFile source = Source(name, content);
    source.metadata["mine"] = 1.0;
    source.metadata["author"] = "me";
    const auto here = ParseSource(source);
    const auto there = pool->Parse(source);
    ASSERT_EQ(here.status(), there.status());
    if (!here.ok()) continue;
    EXPECT_EQ(there->title, here->title);
    EXPECT_EQ(there->text, here->text);
    EXPECT_EQ(there->media_type, here->media_type);
    EXPECT_EQ(there->metadata, here->metadata);
    ASSERT_EQ(there->blocks.size(), here->blocks.size());
    for (size_t i = 0; i < here->blocks.size(); ++i) {
      EXPECT_EQ(there->blocks[i].kind, here->blocks[i].kind);
      EXPECT_EQ(there->blocks[i].level, here->blocks[i].level);
      EXPECT_EQ(there->blocks[i].text_range, here->blocks[i].text_range);
      EXPECT_EQ(there->blocks[i].source_range, here->blocks[i].source_range);
      EXPECT_EQ(there->blocks[i].heading, here->blocks[i].heading);
    }
    ASSERT_EQ(there->source_map.size(), here->source_map.size());
    CheckBlocks(*there, content);
  }
}

TEST(ParserPool, UsesAWorkerAgainAndReplacesItInTime) {
  ParserPoolOptions options;
  options.max_documents_per_worker = 3;
  auto pool = Pool(options);
  std::vector<pid_t> workers;
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(pool->Parse(Source("a.txt", "words")).ok());
    const std::vector<pid_t> children = Children();
    ASSERT_LE(children.size(), 1u);
    workers.push_back(children.empty() ? 0 : children[0]);
  }
  EXPECT_EQ(workers[0], workers[1]);
  EXPECT_EQ(workers[2], 0);  // its third document was its last
  EXPECT_NE(workers[3], workers[0]);
  EXPECT_EQ(workers[3], workers[4]);
}

TEST(ParserPool, AWorkerThatWasKilledIsReplacedUnnoticed) {
  auto pool = Pool();
  ASSERT_TRUE(pool->Parse(Source("a.txt", "words")).ok());
  const std::vector<pid_t> children = Children();
  ASSERT_EQ(children.size(), 1u);
  kill(children[0], SIGKILL);
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_TRUE(pool->Parse(Source("b.txt", "words")).ok());
  pool.reset();
  EXPECT_THAT(Children(), ::testing::IsEmpty());
}

TEST(ParserPool, TheWorkerIsLockedIn) {
  if (!kSandboxed) GTEST_SKIP() << "a build with sanitizers has no sandbox";
  auto pool = Pool();
  ASSERT_TRUE(pool->Parse(Source("a.txt", "words")).ok());
  const std::vector<pid_t> children = Children();
  ASSERT_EQ(children.size(), 1u);
  const std::string worker = absl::StrCat("/proc/", children[0]);
  const std::string status = ReadAll(worker + "/status");
  EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(status, HasSubstr("Seccomp:\t2"));
  const std::string limits = ReadAll(worker + "/limits");
  EXPECT_THAT(limits, ::testing::ContainsRegex("Max file size +0 +0"));
  EXPECT_THAT(limits, ::testing::ContainsRegex("Max core file size +0 +0"));
  EXPECT_THAT(limits,
              ::testing::ContainsRegex("Max address space +2147483648"));
  // Nothing of this process but standard error.
  size_t descriptors = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(worker + "/fd")) {
    EXPECT_THAT(entry.path().filename().string(),
                ::testing::AnyOf("0", "1", "2"));
    ++descriptors;
  }
  EXPECT_EQ(descriptors, 3u);
  EXPECT_THAT(ReadAll(worker + "/environ"), ::testing::Not(HasSubstr("HOME=")));
}

TEST(ParserPool, ManyThreadsShareFewWorkers) {
  ParserPoolOptions options;
  options.max_workers = 2;
  auto pool = Pool(options);
  std::atomic<int> read = 0;
  std::atomic<size_t> most = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const std::string text = absl::StrCat("document ", t, " ", i);
        auto document = pool->Parse(Source("a.txt", text));
        read += document.ok() && document->text == text;
        if (t == 0) most = std::max<size_t>(most, Children().size());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(read, 6 * 20);
  EXPECT_LE(most, 2u);
}

TEST(ParserPool, AMissingWorkerIsSaid) {
  ParserPoolOptions options;
  options.executable = "/nowhere/braid-parse";
  const absl::Status status = ParserPool::Create(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nowhere/braid-parse"));
}

TEST(ParserPool, HangsCrashesAndLiesCostOneDocument) {
  struct Case {
    const char* what;
    std::string script;
    absl::StatusCode code;
    const char* says;
  };
  const Case cases[] = {
      {"computes for ever", "while :; do :; done",
       absl::StatusCode::kResourceExhausted, "300ms of processor time"},
      {"sleeps for ever", "exec sleep 60", absl::StatusCode::kResourceExhausted,
       "more than 2s"},
      {"crashes", "kill -SEGV $$", absl::StatusCode::kInvalidArgument,
       "signal 11"},
      {"ends", "exit 3", absl::StatusCode::kInvalidArgument, "exit status 3"},
      {"has no memory", "exit 66", absl::StatusCode::kResourceExhausted,
       "MiB of memory"},
      {"has no sandbox", "exit 67", absl::StatusCode::kUnavailable,
       "does not run"},
      {"cannot be loaded", "exit 127", absl::StatusCode::kUnavailable,
       "does not run"},
      {"announces too much",
       "printf '" + Octal(MessageHeader(uint64_t{1} << 40)) + "' >&0; sleep 5",
       absl::StatusCode::kResourceExhausted, "over the limit"},
      {"answers with noise", Answering("\x01\x02\x03"),
       absl::StatusCode::kInternal, "not valid"},
      {"answers with nothing", Answering(""), absl::StatusCode::kInternal,
       "not valid"},
  };
  for (const Case& test : cases) {
    const absl::Status status = FakeWorker(test.script).Parse();
    EXPECT_EQ(status.code(), test.code) << test.what << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(test.says))
        << test.what;
    EXPECT_THAT(std::string(status.message()), StartsWith("a.txt: "))
        << test.what;
  }
}

TEST(ParserPool, OverMemoryIsAnErrorAndTheNextDocumentIsRead) {
  if (!kSandboxed) GTEST_SKIP() << "a build with sanitizers has no sandbox";
  ParserPoolOptions options;
  options.max_memory_bytes = size_t{200} << 20;
  auto pool = Pool(options);
  std::string large;
  for (int i = 0; i < 3'000'000; ++i) large += "<p>word";
  const absl::Status status = pool->Parse(Source("large.html", large)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_TRUE(pool->Parse(Source("small.html", "<p>word")).ok());
}

// What DecodeReply makes of a reply to a source of 20 bytes.
absl::Status Decode(absl::string_view reply,
                    absl::StatusOr<ParsedDocument>* parsed) {
  return DecodeReply(reply, "a", 20, parsed);
}

ParsedDocument Document() {
  ParsedDocument document;
  document.title = "title";
  document.text = "h\u00e9ading\n\nand words";
  document.media_type = "text/plain";
  document.metadata = {{"flag", true},
                       {"list", std::vector<std::string>{"a", "b"}},
                       {"number", 2.5},
                       {"text", std::string("t")}};
  Block heading;
  heading.kind = BlockKind::kHeading;
  heading.level = 2;
  heading.text_range = {0, 8};
  heading.source_range = {0, 20};
  heading.heading = "h\u00e9ading";
  Block words;
  words.text_range = {10, 19};
  words.source_range = {3, 20};
  words.page = 7;
  document.blocks = {heading, words};
  document.source_map = {{{0, 8}, {0, 20}}, {{10, 19}, {3, 20}}};
  return document;
}

TEST(Reply, ComesBackAsItWasSent) {
  absl::StatusOr<ParsedDocument> parsed = absl::InternalError("");
  ASSERT_TRUE(Decode(EncodeReply(Document()), &parsed).ok());
  ASSERT_TRUE(parsed.ok());
  const ParsedDocument sent = Document();
  EXPECT_EQ(parsed->text, sent.text);
  EXPECT_EQ(parsed->metadata, sent.metadata);
  ASSERT_EQ(parsed->blocks.size(), 2u);
  EXPECT_EQ(parsed->blocks[0].heading, sent.blocks[0].heading);
  EXPECT_EQ(parsed->blocks[0].level, 2);
  EXPECT_EQ(parsed->blocks[1].page, 7u);
  EXPECT_EQ(parsed->blocks[1].source_range, sent.blocks[1].source_range);
  ASSERT_EQ(parsed->source_map.size(), 2u);
  EXPECT_EQ(parsed->source_map[1].source, sent.source_map[1].source);

  const absl::Status error = absl::ResourceExhaustedError("a: too much");
  ASSERT_TRUE(Decode(EncodeReply(error), &parsed).ok());
  EXPECT_EQ(parsed.status(), error);
  ASSERT_TRUE(Decode(EncodeReply(absl::InternalError("odd")), &parsed).ok());
  EXPECT_EQ(parsed.status().message(), "a: odd");
}

TEST(Reply, WhatLeavesItsBoundsIsRefused) {
  using Change = void (*)(ParsedDocument*);
  const Change changes[] = {
      [](ParsedDocument* d) { d->text[1] = '\xFF'; },
      [](ParsedDocument* d) { d->text[0] = '\0'; },
      [](ParsedDocument* d) { d->title = "\xC3"; },
      [](ParsedDocument* d) { d->title.assign(5000, 'x'); },
      [](ParsedDocument* d) { d->media_type = std::string("a\0", 2); },
      [](ParsedDocument* d) { d->metadata["x"] = std::string("\xFF"); },
      [](ParsedDocument* d) { d->metadata[""] = true; },
      [](ParsedDocument* d) { d->blocks.clear(); },
      [](ParsedDocument* d) { d->blocks[0].level = 0; },
      [](ParsedDocument* d) { d->blocks[0].level = 7; },
      [](ParsedDocument* d) { d->blocks[1].level = 1; },
      [](ParsedDocument* d) { d->blocks[0].kind = static_cast<BlockKind>(9); },
      [](ParsedDocument* d) { d->blocks[0].text_range.end = 0; },
      [](ParsedDocument* d) { d->blocks[0].text_range.end = 2; },   // in a char
      [](ParsedDocument* d) { d->blocks[0].text_range.end = 11; },  // overlap
      [](ParsedDocument* d) { d->blocks[1].text_range.end = 20; },
      [](ParsedDocument* d) {
        d->blocks[1].source_range = {0, 21};
      },
      [](ParsedDocument* d) {
        d->blocks[1].source_range = {21, 21};
      },
      [](ParsedDocument* d) {
        d->blocks[1].source_range = {9, 3};
      },
      [](ParsedDocument* d) { d->blocks[0].heading = "\xFF"; },
      [](ParsedDocument* d) { d->source_map[0].text.end = 11; },
      [](ParsedDocument* d) { d->source_map[1].source.end = 21; },
  };
  for (size_t i = 0; i < std::size(changes); ++i) {
    ParsedDocument document = Document();
    changes[i](&document);
    absl::StatusOr<ParsedDocument> parsed = absl::InternalError("");
    EXPECT_EQ(Decode(EncodeReply(document), &parsed).code(),
              absl::StatusCode::kInternal)
        << "change " << i;
  }
}

TEST(Reply, NoBytesCrashItOrLeaveItsBounds) {
  const std::string sound = EncodeReply(Document());
  for (size_t size = 0; size < sound.size(); ++size) {
    absl::StatusOr<ParsedDocument> parsed = absl::InternalError("");
    EXPECT_FALSE(Decode(sound.substr(0, size), &parsed).ok());
  }
  std::mt19937 random(20260726);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = sound;
    for (int k = 0; k < 1 + i % 4; ++k) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    absl::StatusOr<ParsedDocument> parsed = absl::InternalError("");
    if (!Decode(bytes, &parsed).ok() || !parsed.ok()) continue;
    uint64_t last = 0;
    for (const Block& block : parsed->blocks) {
      ASSERT_GE(block.text_range.begin, last);
      last = block.text_range.end;
      ASSERT_LE(last, parsed->text.size());
      ASSERT_LE(block.source_range.end, 20u);
      ASSERT_LE(block.source_range.begin, block.source_range.end);
    }
    ASSERT_TRUE(CheckText("", parsed->text).ok());
  }
}

}  // namespace
}  // namespace braid::retrieval
