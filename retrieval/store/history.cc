#include "retrieval/store/history.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "retrieval/store/records.h"

namespace braid::retrieval {
namespace {

absl::string_view View(const rocksdb::Slice& slice) {
  return absl::string_view(slice.data(), slice.size());
}

absl::Status Broken() {
  return absl::DataLossError("the store holds a broken record of the past");
}

}  // namespace

uint64_t WritePastState(const Database& database,
                        keys::CollectionNumber collection,
                        const PastState& state,
                        rocksdb::WriteBatchBase* batch) {
  braid::store::PastStateRecord record;
  *record.mutable_document() = ToRecord(state.document);
  record.set_end_time_nanos(absl::ToUnixNanos(state.end_time));
  record.set_ends_version(state.ends_version);
  const std::string value = record.SerializeAsString();
  braid::store::PastEndRecord end;
  end.set_document_id(state.document.id);
  end.set_end_time_nanos(record.end_time_nanos());
  end.set_bytes(value.size() +
                (state.ends_version ? state.document.text_bytes : 0));
  rocksdb::ColumnFamilyHandle* const family = database.family(kHistory);
  batch->Put(family,
             keys::PastState(collection, state.document.id, state.until),
             value);
  batch->Put(family, keys::PastEnd(collection, state.until),
             end.SerializeAsString());
  return end.bytes();
}

void DeleteText(const Database& database, keys::CollectionNumber collection,
                const DocumentInfo& document, rocksdb::WriteBatchBase* batch) {
  for (uint64_t begin = 0; begin < document.text_bytes;
       begin += kTextPieceBytes) {
    batch->Delete(
        database.family(kTexts),
        keys::TextPiece(collection, document.sequence,
                        static_cast<uint32_t>(begin / kTextPieceBytes)));
  }
}

PastStateIterator::PastStateIterator(const Database& database,
                                     const rocksdb::Snapshot* snapshot,
                                     keys::CollectionNumber collection)
    : collection_(collection),
      upper_bound_(keys::PastEnds(collection)),
      upper_slice_(upper_bound_) {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  options.iterate_upper_bound = &upper_slice_;
  iterator_.reset(
      database.db()->NewIterator(options, database.family(kHistory)));
}

void PastStateIterator::Seek(absl::string_view id, Sequence sequence) {
  iterator_->Seek(keys::PastState(collection_, id, sequence + 1));
  Read();
}

void PastStateIterator::SeekPast(absl::string_view id) {
  // No end is as late as this.
  Seek(id, std::numeric_limits<Sequence>::max() - 1);
}

void PastStateIterator::SeekToFirst() {
  iterator_->Seek(keys::PastStates(collection_));
  Read();
}

void PastStateIterator::Next() {
  iterator_->Next();
  Read();
}

void PastStateIterator::Read() {
  valid_ = iterator_->Valid();
  if (!valid_) {
    status_ = FromRocksDb(iterator_->status(), "reading the past");
    return;
  }
  const auto parsed = keys::ParsePastState(View(iterator_->key()));
  if (!parsed.has_value()) {
    valid_ = false;
    status_ = Broken();
    return;
  }
  id_ = parsed->id;
  until_ = parsed->until;
}

absl::StatusOr<PastState> PastStateIterator::state() const {
  braid::store::PastStateRecord record;
  if (!record.ParseFromArray(iterator_->value().data(),
                             static_cast<int>(iterator_->value().size()))) {
    return Broken();
  }
  PastState state;
  state.document = FromRecord(id_, record.document());
  state.until = until_;
  state.end_time = absl::FromUnixNanos(record.end_time_nanos());
  state.ends_version = record.ends_version();
  return state;
}

absl::StatusOr<size_t> ForgetPastStates(
    const Database& database, const braid::store::CollectionRecord& collection,
    const HistoryLimits& limits, size_t limit, Sequence* after) {
  const keys::CollectionNumber number = collection.number();
  const std::string counters_key = keys::Counters(number);
  auto stored = database.GetRecord<braid::store::CountersRecord>(nullptr, kMeta,
                                                                 counters_key);
  if (!stored.ok()) return stored.status();
  if (!stored->has_value()) return size_t{0};
  braid::store::CountersRecord& counters = **stored;

  rocksdb::WriteBatch batch;
  const std::string upper_bound = keys::Prefix(number + 1);
  const rocksdb::Slice upper_slice(upper_bound);
  rocksdb::ReadOptions options;
  options.iterate_upper_bound = &upper_slice;
  const std::unique_ptr<rocksdb::Iterator> ends(
      database.db()->NewIterator(options, database.family(kHistory)));
  size_t forgotten = 0;
  Sequence last = *after;
  // By sequence, which is the order of their ends: a text goes after all other
  // states that share it.
  for (ends->Seek(keys::PastEnd(number, last + 1));
       ends->Valid() && forgotten < limit; ends->Next()) {
    const std::optional<Sequence> until = keys::ParsePastEnd(View(ends->key()));
    braid::store::PastEndRecord end;
    if (!until.has_value() ||
        !end.ParseFromArray(ends->value().data(),
                            static_cast<int>(ends->value().size()))) {
      return Broken();
    }
    if (absl::FromUnixNanos(end.end_time_nanos()) > limits.ended_before &&
        counters.history_bytes() <= limits.max_bytes) {
      break;
    }
    const std::string key = keys::PastState(number, end.document_id(), *until);
    auto state = database.GetRecord<braid::store::PastStateRecord>(
        nullptr, kHistory, key);
    if (!state.ok()) return state.status();
    if (!state->has_value()) return Broken();
    if ((*state)->ends_version()) {
      DeleteText(database, number,
                 FromRecord(end.document_id(), (*state)->document()), &batch);
    }
    batch.Delete(database.family(kHistory), key);
    batch.Delete(database.family(kHistory), ends->key());
    counters.set_history_through(
        std::max<uint64_t>(counters.history_through(), *until));
    counters.set_history_bytes(
        counters.history_bytes() -
        std::min<uint64_t>(counters.history_bytes(), end.bytes()));
    last = *until;
    ++forgotten;
  }
  if (!ends->status().ok()) {
    return FromRocksDb(ends->status(), "reading the past");
  }
  if (forgotten == 0) return size_t{0};
  batch.Put(database.family(kMeta), counters_key, counters.SerializeAsString());
  // Not synced: what comes back after a power cut is forgotten again.
  if (absl::Status status =
          database.Write(&batch, /*sync=*/false, "forgetting the past");
      !status.ok()) {
    return status;
  }
  *after = last;
  return forgotten;
}

}  // namespace braid::retrieval
