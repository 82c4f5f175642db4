#include "retrieval/store/verify_history.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "retrieval/store/history.h"
#include "retrieval/store/keys.h"

namespace braid::retrieval {
namespace {

class HistoryChecker {
 public:
  HistoryChecker(const Database& database, const DatabaseSnapshot& snapshot,
                 const braid::store::CollectionRecord& collection,
                 std::vector<Sequence> texts, const std::stop_token& stop,
                 const DamageSink& damage)
      : database_(database),
        snapshot_(snapshot),
        collection_(collection),
        stop_(stop),
        damage_(damage),
        owned_(std::move(texts)) {}

  void Run() {
    const auto counters = database_.GetRecord<braid::store::CountersRecord>(
        snapshot_.moment(), kMeta, keys::Counters(collection_.number()));
    // Told by the check of the collection.
    if (!counters.ok() || !counters->has_value()) return;
    counters_ = **counters;
    CheckStates();
    if (stop_.stop_requested()) return;
    CheckEnds();
    CheckTexts();
  }

 private:
  void CheckStates() {
    PastStateIterator past(database_, snapshot_.moment(), collection_.number());
    for (past.SeekToFirst(); past.valid(); past.Next()) {
      if (stop_.stop_requested()) return;
      ++states_;
      const absl::StatusOr<PastState> state = past.state();
      const std::string what = state.ok()
                                   ? CheckState(*state)
                                   : std::string(state.status().message());
      if (!what.empty()) {
        damage_(past.id(), absl::StrCat("its state until sequence ",
                                        past.until(), ": ", what));
      }
    }
    if (!past.status().ok()) damage_("", past.status().message());
  }

  std::string CheckState(const PastState& state) {
    const DocumentInfo& document = state.document;
    if (state.until > counters_.last_sequence() ||
        document.state_sequence >= state.until ||
        document.sequence > document.state_sequence) {
      return "is not of this log";
    }
    const auto end = database_.GetRecord<braid::store::PastEndRecord>(
        snapshot_.moment(), kHistory,
        keys::PastEnd(collection_.number(), state.until));
    if (!end.ok()) return std::string(end.status().message());
    if (!end->has_value() || (*end)->document_id() != document.id) {
      return "would never be forgotten";
    }
    if (document.text_bytes == 0) return "";
    // What ended before can no longer be read: its text may be gone.
    const bool readable = state.until > counters_.history_through();
    if (!state.ends_version) {
      if (readable) shared_.emplace_back(document.sequence, document.id);
      return "";
    }
    owned_.push_back(document.sequence);
    if (!readable) return "";
    return std::string(
        snapshot_
            .GetTextRange(collection_.id(), document, {0, document.text_bytes})
            .status()
            .message());
  }

  // Visits a family from `prefix` to `end`.
  template <typename Visit>
  void Scan(Family family, const std::string& prefix, const std::string& end,
            Visit visit) {
    const rocksdb::Slice upper_bound(end);
    rocksdb::ReadOptions options;
    options.snapshot = snapshot_.moment();
    options.iterate_upper_bound = &upper_bound;
    options.fill_cache = false;
    const std::unique_ptr<rocksdb::Iterator> iterator(
        database_.db()->NewIterator(options, database_.family(family)));
    for (iterator->Seek(prefix); iterator->Valid(); iterator->Next()) {
      if (stop_.stop_requested()) return;
      visit(iterator->key(), iterator->value());
    }
    if (!iterator->status().ok()) damage_("", iterator->status().ToString());
  }

  void CheckEnds() {
    uint64_t ends = 0;
    uint64_t bytes = 0;
    Scan(kHistory, keys::PastEnds(collection_.number()),
         keys::Prefix(collection_.number() + 1),
         [&](const rocksdb::Slice&, const rocksdb::Slice& value) {
           ++ends;
           braid::store::PastEndRecord end;
           if (end.ParseFromArray(value.data(),
                                  static_cast<int>(value.size()))) {
             bytes += end.bytes();
           }
         });
    if (stop_.stop_requested()) return;
    if (ends != states_ || bytes != counters_.history_bytes()) {
      damage_("", absl::StrCat("keeps ", states_,
                               " past states, and an order "
                               "to forget ",
                               ends, " of ", bytes, " bytes (",
                               counters_.history_bytes(), ")"));
    }
  }

  void CheckTexts() {
    std::sort(owned_.begin(), owned_.end());
    const auto owned = [&](Sequence sequence) {
      return std::binary_search(owned_.begin(), owned_.end(), sequence);
    };
    for (const auto& [sequence, id] : shared_) {
      if (!owned(sequence)) damage_(id, "a past state has lost its text");
    }
    Sequence last = 0;
    Scan(kTexts, keys::Prefix(collection_.number()),
         keys::Prefix(collection_.number() + 1),
         [&](const rocksdb::Slice& key, const rocksdb::Slice&) {
           const std::optional<uint64_t> sequence = keys::ParseNumber(
               absl::string_view(key.data(), std::min<size_t>(key.size(), 12)));
           if (sequence.has_value() && *sequence == last) return;
           if (!sequence.has_value() || !owned(*sequence)) {
             damage_("",
                     absl::StrCat("the text of sequence ", sequence.value_or(0),
                                  " belongs to no document"));
           }
           last = sequence.value_or(0);
         });
  }

  const Database& database_;
  const DatabaseSnapshot& snapshot_;
  const braid::store::CollectionRecord& collection_;
  const std::stop_token stop_;
  const DamageSink& damage_;
  braid::store::CountersRecord counters_;
  uint64_t states_ = 0;
  std::vector<Sequence> owned_;  // texts that a version has
  // Texts that a state shares with the version that it was of.
  std::vector<std::pair<Sequence, std::string>> shared_;
};

}  // namespace

void CheckHistory(const Database& database, const DatabaseSnapshot& snapshot,
                  const braid::store::CollectionRecord& collection,
                  std::vector<Sequence> texts, const std::stop_token& stop,
                  const DamageSink& damage) {
  HistoryChecker(database, snapshot, collection, std::move(texts), stop, damage)
      .Run();
}

}  // namespace braid::retrieval
