#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "gmock/gmock.h"
#include "tests/lexical/lexical_testing.h"

namespace braid::retrieval {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

class LexicalIndexTest : public testing::Test {
 protected:
  void SetUp() override {
    index_ = OpenIndex(directory_.path());
    ASSERT_NE(index_, nullptr);
  }
  void Commit(Sequence sequence = 1) {
    const absl::Status status = index_->Commit(sequence);
    ASSERT_TRUE(status.ok()) << status;
  }

  TestDirectory directory_;
  std::unique_ptr<LexicalIndex> index_;
};

// Robertson's BM25 as Lucene writes it, over texts that are lists of words.
double Bm25(const std::vector<std::vector<std::string>>& texts, size_t text,
            const std::vector<std::string>& query) {
  const double k1 = 1.2;
  const double b = 0.75;
  double total = 0;
  for (const auto& words : texts) total += static_cast<double>(words.size());
  const double mean = total / static_cast<double>(texts.size());
  double score = 0;
  for (const std::string& term : query) {
    double with = 0;
    for (const auto& words : texts) {
      with += std::count(words.begin(), words.end(), term) > 0 ? 1 : 0;
    }
    const auto frequency = static_cast<double>(
        std::count(texts[text].begin(), texts[text].end(), term));
    const double n = static_cast<double>(texts.size());
    const double idf = std::log(1 + (n - with + 0.5) / (with + 0.5));
    const double length = static_cast<double>(texts[text].size());
    score += idf * (k1 + 1) * frequency /
             (frequency + k1 * (1 - b + b * length / mean));
  }
  return score;
}

// Texts of up to 40 words: so far Tantivy stores lengths exactly.
TEST_F(LexicalIndexTest, ScoresAreThePublishedFormula) {
  std::mt19937 random(1);
  const std::vector<std::string> vocabulary = {"red", "tin", "sun", "map",
                                               "bog", "ox",  "7",   "fig"};
  std::vector<std::vector<std::string>> texts;
  for (ChunkId id = 1; id <= 50; ++id) {
    std::vector<std::string> words;
    std::string text;
    for (int i = static_cast<int>(1 + random() % 40); i > 0; --i) {
      words.push_back(vocabulary[random() % (1 + random() % 8)]);
      text += words.back() + ", ";
    }
    texts.push_back(words);
    AddText(*index_, id, text);
    // The same statistics whatever the segments.
    if (id % 20 == 0) Commit(id);
  }
  Commit(50);
  for (const std::vector<std::string>& query :
       std::vector<std::vector<std::string>>{
           {"red"}, {"fig", "sun"}, {"ox", "7", "map", "absent"}}) {
    // No two words of the query are neighbours that documents hold.
    std::string text;
    for (const std::string& word : query) text += word + " absent ";
    const std::vector<ScoredChunk> found = SearchAll(*index_, text);
    size_t matching = 0;
    for (size_t i = 0; i < texts.size(); ++i) {
      matching += Bm25(texts, i, query) > 0 ? 1 : 0;
    }
    EXPECT_EQ(found.size(), matching);
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_NEAR(found[i].score, Bm25(texts, found[i].chunk - 1, query), 1e-4);
      if (i > 0) {
        EXPECT_LE(found[i].score, found[i - 1].score);
      }
    }
  }
}

// Pruning must not lose anything: more documents than a posting block, uneven
// segments, every limit.
TEST_F(LexicalIndexTest, TopIsThatOfAllScores) {
  std::mt19937 random(2);
  ChunkId id = 0;
  for (const int count : {700, 40, 300}) {
    const int longest = count == 40 ? 120 : 12;
    for (int i = 0; i < count; ++i) {
      std::string text;
      for (int w = static_cast<int>(1 + random() % longest); w > 0; --w) {
        text += "w" + std::to_string(random() % (1 + random() % 30)) + " ";
      }
      AddText(*index_, ++id, text);
    }
    Commit(id);
  }
  for (ChunkId gone = 5; gone < id; gone += 9) {
    ASSERT_TRUE(index_->Delete(gone).ok());
  }
  Commit(id + 1);
  ChunkBitmap even;
  for (ChunkId chunk = 2; chunk <= id; chunk += 2) even.Add(chunk);
  // Without pairs: those count among the first fifty only.
  for (const char* query : {"w1", "w0 none w25", "w29 w29 none w1",
                            "w3 none w7 none w9 none w28 none w29"}) {
    const std::vector<ScoredChunk> all = SearchAll(*index_, query, 5000);
    std::vector<ScoredChunk> allowed;
    std::copy_if(all.begin(), all.end(), std::back_inserter(allowed),
                 [](const ScoredChunk& hit) { return hit.chunk % 2 == 0; });
    for (const size_t limit : {1, 2, 10, 100, 600}) {
      const std::vector<ScoredChunk> top = SearchAll(*index_, query, limit);
      ASSERT_EQ(top.size(), std::min(limit, all.size()));
      const auto filtered = index_->snapshot()->Search(query, limit, &even);
      ASSERT_TRUE(filtered.ok());
      ASSERT_EQ(filtered->size(), std::min(limit, allowed.size()));
      // The sums of some terms differ in the last digit with their order.
      for (size_t i = 0; i < top.size(); ++i) {
        EXPECT_NEAR(top[i].score, all[i].score, 1e-5) << query << " " << i;
      }
      for (size_t i = 0; i < filtered->size(); ++i) {
        EXPECT_EQ((*filtered)[i].chunk % 2, 0u);
        EXPECT_NEAR((*filtered)[i].score, allowed[i].score, 1e-5);
      }
    }
  }
}

TEST_F(LexicalIndexTest, NamedChunksScoreAsWhenTheyAreFound) {
  std::mt19937 random(3);
  ChunkId id = 0;
  for (const int count : {300, 20, 150}) {
    for (int i = 0; i < count; ++i) {
      std::string text;
      for (int w = static_cast<int>(1 + random() % 30); w > 0; --w) {
        text += "w" + std::to_string(random() % (1 + random() % 30)) +
                (random() % 8 == 0 ? "_part " : " ");
      }
      AddText(*index_, ++id, text);
    }
    Commit(id);
  }
  for (ChunkId old = 3; old < id; old += 7) {
    AddText(*index_, old, "w1 and another text");
    if (old % 2 == 0) {
      ASSERT_TRUE(index_->Delete(old).ok());
    }
  }
  Commit(id + 1);
  // In no order, some twice, some that never were.
  std::vector<ChunkId> chunks = {0, id + 1, 1ull << 60};
  for (ChunkId chunk = id; chunk > 0; --chunk) chunks.push_back(chunk);
  chunks.insert(chunks.end(), {5, 5, 9});
  // "none" is in no text. Only the last has a pair of words.
  for (const char* query :
       {"w1", "w0 none w25", "part", "w3 w7 w1_part none w28_part"}) {
    const std::vector<ScoredChunk> found = SearchAll(*index_, query, 5000);
    ASSERT_GT(found.size(), 50u) << query;
    std::map<ChunkId, double> expected;
    std::set<ChunkId> compared;  // to their scores pairs are added
    for (size_t i = 0; i < found.size(); ++i) {
      expected[found[i].chunk] = found[i].score;
      if (i < 50) compared.insert(found[i].chunk);
    }
    const auto scored = index_->snapshot()->Score(query, chunks);
    ASSERT_TRUE(scored.ok()) << scored.status();
    ASSERT_EQ(scored->size(), expected.size()) << query;
    ChunkId last = 0;
    for (const ScoredChunk& hit : *scored) {
      EXPECT_GT(hit.chunk, last);
      last = hit.chunk;
      ASSERT_TRUE(expected.contains(hit.chunk));
      if (compared.contains(hit.chunk)) {
        EXPECT_LE(hit.score, expected[hit.chunk] + 1e-4) << query;
      } else {
        EXPECT_NEAR(hit.score, expected[hit.chunk], 1e-4) << query;
      }
    }
  }
  EXPECT_THAT(*index_->snapshot()->Score("absent", chunks), IsEmpty());
  EXPECT_THAT(*index_->snapshot()->Score("w1", {}), IsEmpty());
  EXPECT_THAT(*index_->snapshot()->Score("", chunks), IsEmpty());
}

// The published formula for the words; for each pair of neighbours of the query
// the same with how often the pair is in the text, 0.15 of the sum of the two
// words' inverse document frequencies, and the length of the text.
TEST_F(LexicalIndexTest, NeighboursInTheQueryCountWhereTheyAreNeighbours) {
  const std::vector<std::vector<std::string>> texts = {
      {"red", "sun", "map", "red", "sun"},
      {"sun", "red", "map"},
      {"red", "map", "sun", "bog", "bog", "bog"},
      {"sun", "map"},
      {"ox", "ox"}};
  for (size_t i = 0; i < texts.size(); ++i) {
    std::string text;
    for (const std::string& word : texts[i]) text += word + " ";
    AddText(*index_, i + 1, text);
    if (i == 2) Commit(i);
  }
  Commit(texts.size());
  // Of 5 texts "red" is in 3, "sun" in 4, "map" in 4; mean length 18 / 5.
  const auto idf = [](double with) {
    return std::log(1 + (5 - with + 0.5) / (with + 0.5));
  };
  const auto pair = [](double idf_sum, double count, double length) {
    return 0.15 * idf_sum * 2.2 * count /
           (count + 1.2 * (0.25 + 0.75 * length / 3.6));
  };
  // The query's pairs: red sun, sun red, red map.
  const std::map<ChunkId, double> pairs = {
      {1, pair(idf(3) + idf(4), 2, 5)},
      {2, pair(idf(4) + idf(3), 1, 3) + pair(idf(3) + idf(4), 1, 3)},
      {3, pair(idf(3) + idf(4), 1, 6)},
      {4, 0}};
  const std::vector<ScoredChunk> found =
      SearchAll(*index_, "red sun red sun? red map");
  ASSERT_EQ(found.size(), pairs.size());
  for (const ScoredChunk& hit : found) {
    const double words = Bm25(texts, hit.chunk - 1, {"red", "sun", "map"});
    double expected = words + pairs.at(hit.chunk);
    // "map red" is in the first text, "sun map" in the fourth, but in the query
    // they are not neighbours: "sun? red" are.
    EXPECT_NEAR(hit.score, expected, 1e-4) << hit.chunk;
  }
  for (size_t i = 1; i < found.size(); ++i) {
    EXPECT_LE(found[i].score, found[i - 1].score);
  }
  EXPECT_THAT(Ids(SearchAll(*index_, "red sun red sun? red map", 2)),
              ElementsAre(found[0].chunk, found[1].chunk));
}

TEST_F(LexicalIndexTest, TheBetterPairComesFirstWhateverTheLimit) {
  // Equal by their words; the pair is in the one with the greatest id.
  for (ChunkId id = 1; id < 40; ++id)
    AddText(*index_, id, "sun of the red map");
  AddText(*index_, 40, "the map of red sun");
  Commit();
  for (const size_t limit : {1, 5, 100}) {
    EXPECT_EQ(SearchAll(*index_, "red sun", limit)[0].chunk, 40u) << limit;
    EXPECT_EQ(SearchAll(*index_, "red sun", limit).size(),
              std::min<size_t>(limit, 40));
  }
}

TEST_F(LexicalIndexTest, TitlesCanBeSearchedAlone) {
  for (ChunkId id = 1; id <= 300; ++id) {
    AddText(*index_, id, "a text on fritz and lang",
            "Title " + std::to_string(id));
    if (id == 150) Commit(id);
  }
  AddText(*index_, 301, "nothing", "Fritz Lang");
  AddText(*index_, 302, "nothing", "Fritz Lang the elder, and his heirs");
  AddText(*index_, 303, "nothing", "Lang");
  Commit(400);
  const auto find = [&](const std::string& words, size_t limit,
                        const ChunkBitmap* allowed) {
    const auto found = index_->snapshot()->SearchTitles(words, limit, allowed);
    EXPECT_TRUE(found.ok()) << found.status();
    return Ids(*found);
  };
  EXPECT_THAT(find("fritz and lang", 10, nullptr), ElementsAre(301, 302, 303));
  EXPECT_THAT(find("lang", 1, nullptr), ElementsAre(303));
  EXPECT_THAT(find("title", 5, nullptr), ElementsAre(1, 2, 3, 4, 5));
  ChunkBitmap allowed;
  allowed.Add(302);
  EXPECT_THAT(find("title fritz", 5, &allowed), ElementsAre(302));
  EXPECT_THAT(find("", 5, nullptr), IsEmpty());
  EXPECT_THAT(find("text", 5, nullptr), IsEmpty());
  EXPECT_THAT(find("lang", 0, nullptr), IsEmpty());
}

TEST_F(LexicalIndexTest, IdentifiersAreFoundWholeAndByPart) {
  const std::map<std::string, std::vector<std::string>> identifiers = {
      {"40P01", {"40p01", "40", "P01"}},
      {"max_wal_size", {"MAX_WAL_SIZE", "wal", "wal_size", "sizes"}},
      {"libpq-fe.h", {"libpq", "fe", "libpq-fe"}},
      {"E0502", {"e0502", "0502"}},
      {"SKU-1234/B", {"sku-1234/b", "1234", "SKU", "SKU-1234"}},
      {"std::vector", {"vector", "std", "Vectors"}},
      {"getUserName", {"getusername", "user", "username", "names"}}};
  ChunkId id = 0;
  std::map<std::string, ChunkId> chunks;
  for (const auto& [identifier, parts] : identifiers) {
    chunks[identifier] = ++id;
    AddText(*index_, id, "Here (" + identifier + "), is written among others.");
  }
  for (int i = 0; i < 200; ++i) {
    AddText(*index_, ++id, "Nothing here is written but plain prose, others.");
  }
  Commit();
  for (const auto& [identifier, parts] : identifiers) {
    EXPECT_THAT(Ids(SearchAll(*index_, "what is " + identifier + "?", 1)),
                ElementsAre(chunks[identifier]));
    for (const std::string& part : parts) {
      EXPECT_THAT(Ids(SearchAll(*index_, part)), Contains(chunks[identifier]))
          << part;
    }
  }
}

TEST_F(LexicalIndexTest, AWholeIdentifierBeatsItsWords) {
  AddText(*index_, 1, "The size of the wal has a max; max size, wal size.");
  AddText(*index_, 2, "Set max_wal_size in the file that lists the settings.");
  AddText(*index_, 3, "wal max size max wal");
  for (ChunkId id = 4; id < 40; ++id) AddText(*index_, id, "other words");
  Commit();
  EXPECT_THAT(Ids(SearchAll(*index_, "max_wal_size", 1)), ElementsAre(2));
  EXPECT_THAT(Ids(SearchAll(*index_, "max_wal_size")), ElementsAre(2, 3, 1));
}

TEST_F(LexicalIndexTest, EachDistinctTermCountsOnce) {
  AddText(*index_, 1, "running dogs");
  AddText(*index_, 2, "one cat");
  AddText(*index_, 3, "a bird");
  Commit();
  const float once = SearchAll(*index_, "run")[0].score;
  EXPECT_FLOAT_EQ(SearchAll(*index_, "run Running RUNS runs")[0].score, once);
}

TEST_F(LexicalIndexTest, TitleAndTextAreOneFieldAndTheTitleCountsAgain) {
  AddText(*index_, 1, "alpha beta gamma");
  AddText(*index_, 2, "beta gamma", "alpha");
  AddText(*index_, 3, "gamma", "delta epsilon");
  Commit();
  const std::vector<ScoredChunk> found = SearchAll(*index_, "alpha");
  ASSERT_THAT(Ids(found), ElementsAre(2, 1));
  // A twentieth of BM25 over the titles: of 3 one holds it; lengths 0, 1 and 2.
  const double idf = std::log(1 + 2.5 / 1.5);
  EXPECT_NEAR(found[0].score - found[1].score, 0.05 * idf * 2.2 / (1 + 1.2),
              1e-5);
}

TEST_F(LexicalIndexTest, EqualScoresBySmallerIdAcrossSegments) {
  for (const ChunkId id : {40, 30, 10, 20, 50}) {
    AddText(*index_, id, "same");
    Commit(id);
  }
  EXPECT_THAT(Ids(SearchAll(*index_, "same")), ElementsAre(10, 20, 30, 40, 50));
  EXPECT_THAT(Ids(SearchAll(*index_, "same", 2)), ElementsAre(10, 20));
}

TEST_F(LexicalIndexTest, DeletesAndReplaces) {
  AddText(*index_, 1, "apple");
  AddText(*index_, 2, "apple pear");
  Commit(1);
  ASSERT_TRUE(index_->Delete(1).ok());
  ASSERT_TRUE(index_->Delete(99).ok());
  EXPECT_THAT(ChunksOf(*index_), ElementsAre(1, 2)) << "not yet committed";
  Commit(2);
  EXPECT_THAT(Ids(SearchAll(*index_, "apple")), ElementsAre(2));
  EXPECT_THAT(ChunksOf(*index_), ElementsAre(2));
  // Once committed and once not: the last text counts.
  AddText(*index_, 2, "plum");
  AddText(*index_, 3, "fig");
  AddText(*index_, 3, "date");
  Commit(3);
  EXPECT_THAT(ChunksOf(*index_), ElementsAre(2, 3));
  EXPECT_THAT(SearchAll(*index_, "apple pear fig"), IsEmpty());
  EXPECT_THAT(Ids(SearchAll(*index_, "plum date")), ElementsAre(2, 3));
}

TEST_F(LexicalIndexTest, SnapshotsDoNotChange) {
  AddText(*index_, 1, "apple");
  Commit(1);
  const std::shared_ptr<const LexicalSnapshot> before = index_->snapshot();
  // Enough commits that segments are merged and their files removed.
  for (ChunkId id = 2; id < 12; ++id) {
    AddText(*index_, id, "apple");
    ASSERT_TRUE(index_->Delete(1).ok());
    Commit(id);
  }
  EXPECT_EQ(ChunksOf(*index_).size(), 10u);
  index_.reset();
  std::filesystem::remove_all(directory_.path());
  const auto found = before->Search("apple", 10, nullptr);
  ASSERT_TRUE(found.ok());
  EXPECT_THAT(Ids(*found), ElementsAre(1));
  EXPECT_THAT(*before->Chunks(), ElementsAre(1));
}

TEST_F(LexicalIndexTest, FiltersFailClosed) {
  for (ChunkId id = 1; id <= 200; ++id) AddText(*index_, id, "apple");
  Commit();
  const auto search = [this](const ChunkBitmap& allowed) {
    return Ids(*index_->snapshot()->Search("apple", 10, &allowed));
  };
  ChunkBitmap allowed;
  EXPECT_THAT(search(allowed), IsEmpty());
  allowed.Add(5000);
  EXPECT_THAT(search(allowed), IsEmpty());
  allowed.Add(63);
  allowed.Add(64);
  allowed.Add(200);
  EXPECT_THAT(search(allowed), ElementsAre(63, 64, 200));
}

TEST_F(LexicalIndexTest, AnyTextIsAQuery) {
  AddText(*index_, 1, std::string("apple\x00pie\xff caf\xc3\xa9", 16), "t\xfe");
  AddText(*index_, 2, std::string(200000, 'x'));
  AddText(*index_, 3, "");
  Commit();
  EXPECT_THAT(ChunksOf(*index_), ElementsAre(1, 2, 3));
  std::string long_query;
  for (int i = 0; long_query.size() < 8192; ++i) {
    long_query += "term" + std::to_string(i) + "_x ";
  }
  const std::string bytes = [] {
    std::string all;
    for (int c = 0; c < 256; ++c) all.push_back(static_cast<char>(c));
    return all;
  }();
  for (const std::string& query :
       {std::string(), std::string("?!.,;:-_/\\\"'()[]{}*~^"), long_query,
        bytes, std::string(8192, 'a'), std::string(8192, '_'),
        std::string(4096, '\0'), std::string("\xff\xfe\xed\xa0\x80"),
        std::string("a AND (b OR"), std::string("field:value^2 \"unclosed"),
        std::string("\u202e\ufeff")}) {
    EXPECT_TRUE(index_->snapshot()->Search(query, 10, nullptr).ok());
  }
  EXPECT_THAT(SearchAll(*index_, "?! ... --"), IsEmpty());
  EXPECT_THAT(Ids(SearchAll(*index_,
                            "\xff"
                            "apple\xff")),
              ElementsAre(1));
  EXPECT_THAT(Ids(SearchAll(*index_, "café")), ElementsAre(1));
  EXPECT_THAT(SearchAll(*index_, "apple", 0), IsEmpty());
  EXPECT_THAT(Ids(SearchAll(*index_, "apple", SIZE_MAX)), ElementsAre(1));
}

TEST_F(LexicalIndexTest, SearchesWhileWriting) {
  std::atomic<bool> done = false;
  std::atomic<int> searches = 0;
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&] {
      size_t last = 0;
      while (!done) {
        const auto snapshot = index_->snapshot();
        const auto chunks = snapshot->Chunks();
        const auto found = snapshot->Search("apple", 100000, nullptr);
        ASSERT_TRUE(chunks.ok() && found.ok());
        // A snapshot agrees with itself, and commits only add here.
        ASSERT_EQ(found->size(), chunks->size());
        ASSERT_GE(found->size(), last);
        ASSERT_EQ(found->size() % 10, 0u) << "half a commit";
        last = found->size();
        ++searches;
      }
    });
  }
  ChunkId id = 0;
  for (int commit = 1; commit <= 12; ++commit) {
    for (int i = 0; i < 10; ++i) AddText(*index_, ++id, "apple");
    Commit(commit);
    EXPECT_EQ(ChunksOf(*index_).size(), id);
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_GT(searches, 0);
}

TEST(LexicalLanguageTest, TheStemmerIsThatOfTheLanguage) {
  TestDirectory directory;
  const auto german = OpenIndex(directory.path("de"), "de");
  AddText(*german, 1, "Die Häuser der Stadt");
  ASSERT_TRUE(german->Commit(1).ok());
  EXPECT_THAT(Ids(SearchAll(*german, "Haus")), ElementsAre(1));
  const auto missing = LexicalIndex::Open(directory.path("xx"), "xx");
  ASSERT_EQ(missing.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(missing.status().message()),
              ::testing::AllOf(::testing::HasSubstr("\"xx\""),
                               ::testing::HasSubstr("de, el, en")));
}

}  // namespace
}  // namespace braid::retrieval
