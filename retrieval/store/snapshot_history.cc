// Reads of the past: DatabaseSnapshot's share of history.h.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "retrieval/store/history.h"
#include "retrieval/store/records.h"
#include "retrieval/store/snapshot.h"

namespace braid::retrieval {
namespace {

absl::Status NoDocument(absl::string_view id, absl::string_view when) {
  return absl::NotFoundError(
      absl::StrCat("there ", when, " no document \"", id, "\""));
}

}  // namespace

absl::Status DatabaseSnapshot::CheckSequence(
    const braid::store::CollectionRecord& collection, Sequence sequence) const {
  auto counters = FindCounters(collection.number());
  if (!counters.ok()) return counters.status();
  if (sequence < counters->history_through()) {
    return absl::OutOfRangeError(
        absl::StrCat("sequence ", sequence, " of \"", collection.id(),
                     "\" is no longer kept: the oldest that can be read is ",
                     counters->history_through()));
  }
  const auto global = database_->GetRecord<braid::store::GlobalRecord>(
      snapshot_, kMeta, keys::Global());
  if (!global.ok()) return global.status();
  const Sequence last =
      global->has_value() ? (*global)->last_sequence() : Sequence{0};
  if (sequence > last) {
    return absl::OutOfRangeError(
        absl::StrCat("sequence ", sequence,
                     " has not been written yet: the newest is ", last));
  }
  return absl::OkStatus();
}

absl::StatusOr<DocumentInfo> DatabaseSnapshot::GetDocumentAt(
    absl::string_view collection, absl::string_view id,
    Sequence sequence) const {
  const auto record = Find(collection);
  if (!record.ok()) return record.status();
  if (absl::Status status = CheckSequence(*record, sequence); !status.ok()) {
    return status;
  }
  absl::StatusOr<std::optional<DocumentInfo>> current =
      Current(record->number(), id);
  if (!current.ok()) return current.status();
  if (current->has_value() && (*current)->state_sequence <= sequence) {
    return **std::move(current);
  }
  PastStateIterator past(*database_, snapshot_, record->number());
  past.Seek(id, sequence);
  if (!past.status().ok()) return past.status();
  if (past.valid() && past.id() == id) {
    absl::StatusOr<PastState> state = past.state();
    if (!state.ok()) return state.status();
    if (state->document.state_sequence <= sequence) {
      return std::move(state->document);
    }
  }
  return NoDocument(id, absl::StrCat("was at sequence ", sequence));
}

absl::StatusOr<DocumentInfo> DatabaseSnapshot::GetDocumentVersion(
    absl::string_view collection, absl::string_view id,
    uint64_t version) const {
  const auto record = Find(collection);
  if (!record.ok()) return record.status();
  const keys::CollectionNumber number = record->number();
  const auto counters = FindCounters(number);
  if (!counters.ok()) return counters.status();
  absl::StatusOr<std::optional<DocumentInfo>> current = Current(number, id);
  if (!current.ok()) return current.status();
  uint64_t newest = 0;
  if (current->has_value()) {
    newest = (*current)->version;
  } else {
    const auto retired = database_->GetRecord<braid::store::DocumentRecord>(
        snapshot_, kRetired, keys::Document(number, id));
    if (!retired.ok()) return retired.status();
    if (!retired->has_value()) return NoDocument(id, "is");
    newest = (*retired)->version();
  }
  if (current->has_value() && newest == version) return **std::move(current);
  if (version == 0 || version > newest) {
    return absl::NotFoundError(absl::StrCat("document \"", id,
                                            "\" has no version ", version,
                                            ": the newest is ", newest));
  }
  PastStateIterator past(*database_, snapshot_, number);
  for (past.Seek(id, counters->history_through());
       past.valid() && past.id() == id; past.Next()) {
    absl::StatusOr<PastState> state = past.state();
    if (!state.ok()) return state.status();
    if (state->document.version > version) break;
    if (state->document.version == version && state->ends_version) {
      return std::move(state->document);
    }
  }
  if (!past.status().ok()) return past.status();
  return absl::OutOfRangeError(absl::StrCat(
      "version ", version, " of document \"", id,
      "\" is no longer kept: the oldest sequence that can be read is ",
      counters->history_through()));
}

absl::StatusOr<DocumentsAt> DatabaseSnapshot::ListDocumentsAt(
    absl::string_view collection, Sequence sequence, absl::string_view after,
    size_t limit) const {
  const auto record = Find(collection);
  if (!record.ok()) return record.status();
  const keys::CollectionNumber number = record->number();
  if (absl::Status status = CheckSequence(*record, sequence); !status.ok()) {
    return status;
  }

  const std::string prefix = keys::Prefix(number);
  const std::string end = keys::Prefix(number + 1);
  const rocksdb::Slice upper_bound(end);
  rocksdb::ReadOptions options;
  options.snapshot = snapshot_;
  options.iterate_upper_bound = &upper_bound;
  const std::unique_ptr<rocksdb::Iterator> now(
      database_->db()->NewIterator(options, database_->family(kDocuments)));
  // Both in the order of ids, each id once in either.
  const std::string start = keys::Document(number, after);
  now->Seek(start);
  if (now->Valid() && now->key() == start) now->Next();
  PastStateIterator past(*database_, snapshot_, number);
  past.SeekPast(after);

  DocumentsAt page;
  for (page.last = std::string(after); page.seen < limit; ++page.seen) {
    const bool has_now = now->Valid();
    absl::string_view now_id;
    if (has_now) {
      now_id = absl::string_view(now->key().data(), now->key().size())
                   .substr(prefix.size());
    }
    if (!has_now && !past.valid()) break;
    const bool in_past =
        past.valid() && (!has_now || absl::string_view(past.id()) <= now_id);
    const bool in_now = has_now && (!past.valid() || now_id <= past.id());
    page.last = std::string(in_now ? now_id : absl::string_view(past.id()));
    bool found = false;
    if (in_now) {
      braid::store::DocumentRecord document;
      if (!document.ParseFromArray(now->value().data(),
                                   static_cast<int>(now->value().size()))) {
        return absl::DataLossError(absl::StrCat(
            "the store holds a broken record of document \"", page.last, "\""));
      }
      found = document.state_sequence() <= sequence;
      if (found) page.documents.push_back(FromRecord(page.last, document));
      now->Next();
    }
    if (!in_past) continue;
    if (!found) {
      past.Seek(page.last, sequence);
      if (past.valid() && past.id() == page.last) {
        absl::StatusOr<PastState> state = past.state();
        if (!state.ok()) return state.status();
        if (state->document.state_sequence <= sequence) {
          page.documents.push_back(std::move(state->document));
        }
      }
    }
    past.SeekPast(page.last);
  }
  if (!now->status().ok()) {
    return FromRocksDb(now->status(), "reading the store");
  }
  if (!past.status().ok()) return past.status();
  page.complete = !now->Valid() && !past.valid();
  return page;
}

}  // namespace braid::retrieval
