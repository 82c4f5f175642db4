// Every field of every request at its extremes: refused or in range, never a
// crash, an internal error, or memory.
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "generic_call.h"
#include "google/protobuf/message.h"
#include "services/telemetry/process_figures.h"
#include "test_service.h"

namespace braid::services {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Generous: the machine may be busy.
constexpr absl::Duration kMaxTime = absl::Seconds(2);
constexpr int64_t kMaxGrowth = int64_t{16} << 20;
constexpr int kMaxDepth = 3;

int64_t ResidentBytes() {
  return static_cast<int64_t>(telemetry::ResidentBytes());
}

struct Change {
  std::string what;
  std::function<void(Message*)> apply;
};

template <typename Value>
void AddAll(const std::string& path, const std::vector<Value>& values,
            const std::function<void(Message*, Value)>& set,
            std::vector<Change>* changes) {
  for (const Value& value : values) {
    changes->push_back({absl::StrCat(path, " = ", value),
                        [set, value](Message* m) { set(m, value); }});
  }
}

// The message below `root` that holds the last field of `path`.
Message* Reach(Message* root, const std::vector<const FieldDescriptor*>& path) {
  Message* message = root;
  for (const FieldDescriptor* field : path) {
    const auto* reflection = message->GetReflection();
    message = field->is_repeated() ? reflection->AddMessage(message, field)
                                   : reflection->MutableMessage(message, field);
  }
  return message;
}

// Every extreme of every field of `type`, which is reached by `path`.
void Collect(const Descriptor& type, std::vector<const FieldDescriptor*> path,
             const std::string& prefix, std::vector<Change>* changes) {
  for (int f = 0; f < type.field_count(); ++f) {
    const FieldDescriptor* const field = type.field(f);
    const std::string name = absl::StrCat(prefix, field->name());
    const auto with = [path, field](auto set) {
      return [path, field, set](Message* root, auto value) {
        Message* const message = Reach(root, path);
        set(message, message->GetReflection(), field, value);
      };
    };
    const bool many = field->is_repeated();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        AddAll<int32_t>(name,
                        {std::numeric_limits<int32_t>::min(), -1, 0, 1,
                         std::numeric_limits<int32_t>::max()},
                        with([many](Message* m, auto* r, auto* d, int32_t v) {
                          many ? r->AddInt32(m, d, v) : r->SetInt32(m, d, v);
                        }),
                        changes);
        break;
      case FieldDescriptor::CPPTYPE_UINT32:
        AddAll<uint32_t>(name, {0u, 1u, std::numeric_limits<uint32_t>::max()},
                         with([many](Message* m, auto* r, auto* d, uint32_t v) {
                           many ? r->AddUInt32(m, d, v) : r->SetUInt32(m, d, v);
                         }),
                         changes);
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        AddAll<int64_t>(name,
                        {std::numeric_limits<int64_t>::min(), -1, 0,
                         std::numeric_limits<int64_t>::max()},
                        with([many](Message* m, auto* r, auto* d, int64_t v) {
                          many ? r->AddInt64(m, d, v) : r->SetInt64(m, d, v);
                        }),
                        changes);
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        AddAll<uint64_t>(name, {0u, 1u, std::numeric_limits<uint64_t>::max()},
                         with([many](Message* m, auto* r, auto* d, uint64_t v) {
                           many ? r->AddUInt64(m, d, v) : r->SetUInt64(m, d, v);
                         }),
                         changes);
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        AddAll<double>(name,
                       {-std::numeric_limits<double>::max(), -1, 0,
                        std::numeric_limits<double>::denorm_min(),
                        std::numeric_limits<double>::max(),
                        std::numeric_limits<double>::infinity(),
                        -std::numeric_limits<double>::infinity(), std::nan("")},
                       with([many](Message* m, auto* r, auto* d, double v) {
                         many ? r->AddDouble(m, d, v) : r->SetDouble(m, d, v);
                       }),
                       changes);
        break;
      case FieldDescriptor::CPPTYPE_FLOAT:
        AddAll<float>(name,
                      {-std::numeric_limits<float>::max(), -1, 0,
                       std::numeric_limits<float>::max(),
                       std::numeric_limits<float>::infinity(), std::nanf("")},
                      with([many](Message* m, auto* r, auto* d, float v) {
                        many ? r->AddFloat(m, d, v) : r->SetFloat(m, d, v);
                      }),
                      changes);
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        AddAll<int>(name, {-1, 0, 1, 1000, std::numeric_limits<int>::max()},
                    with([many](Message* m, auto* r, auto* d, int v) {
                      many ? r->AddEnumValue(m, d, v)
                           : r->SetEnumValue(m, d, v);
                    }),
                    changes);
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        break;
      case FieldDescriptor::CPPTYPE_STRING:
        for (const auto& [what, text] :
             std::vector<std::pair<std::string, std::string>>{
                 {"nothing", ""},
                 {"a NUL", std::string("a\0b", 3)},
                 {"dots", "collections/../documents/../../x"},
                 {"64 KiB and one", std::string((64 << 10) + 1, 'a')},
                 {"10,000 parentheses", std::string(10000, '(')},
                 {"a control character", "a\x1b[2Jb"}}) {
          const auto set =
              with([many](Message* m, auto* r, auto* d, const std::string& v) {
                many ? r->AddString(m, d, v) : r->SetString(m, d, v);
              });
          changes->push_back(
              {absl::StrCat(name, " = ", what),
               [set, text = text](Message* m) { set(m, text); }});
        }
        break;
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (field->is_map() || path.size() >= kMaxDepth) break;
        auto deeper = path;
        deeper.push_back(field);
        Collect(*field->message_type(), deeper, name + ".", changes);
        break;
    }
  }
}

// A request that would be answered.
void FillIn(Message* message) {
  const Descriptor& type = *message->GetDescriptor();
  const auto set = [&](const char* field, const std::string& value) {
    const FieldDescriptor* descriptor = type.FindFieldByName(field);
    if (descriptor == nullptr) return;
    message->GetReflection()->SetString(message, descriptor, value);
  };
  set("collection", "collections/c");
  set("collection_id", "new");
  set("parent", "collections/c");
  set("query", "word");
  set("question", "word");
  set("name", type.name().find("Document") != std::string::npos
                  ? "collections/c/documents/d"
              : type.name().find("Operation") != std::string::npos
                  ? "operations/0"
                  : "collections/c");
}

TEST(HostileTest, EveryFieldOfEveryRequest) {
  TestService service;
  ASSERT_GT(service.Put("c", "d", "One word of text."), 0u);
  size_t calls = 0;
  int64_t before = 0;
  for (const int round : {0, 1}) {
    // The first round warms caches and pools.
    if (round == 1) before = ResidentBytes();
    for (const auto* method : AllMethods()) {
      const std::unique_ptr<Message> prototype(
          google::protobuf::MessageFactory::generated_factory()
              ->GetPrototype(method->input_type())
              ->New());
      // Deleting what the others ask for would make them trivial.
      if (method->name() == "DeleteCollection") continue;
      std::vector<Change> changes;
      Collect(*method->input_type(), {}, "", &changes);
      for (const Change& change : changes) {
        const std::unique_ptr<Message> request(prototype->New());
        FillIn(request.get());
        change.apply(request.get());
        std::string bytes;
        // Text that is not UTF-8 is not meant here: parsing refuses it.
        ASSERT_TRUE(request->SerializeToString(&bytes));
        const absl::Time start = absl::Now();
        const GenericOutcome outcome =
            CallMethod(service.channel(), *method, bytes);
        const absl::Duration elapsed = absl::Now() - start;
        ++calls;
        const std::string what =
            absl::StrCat(method->full_name(), " with ", change.what);
        const grpc::StatusCode code = outcome.status.error_code();
        EXPECT_TRUE(code != grpc::StatusCode::INTERNAL &&
                    code != grpc::StatusCode::UNKNOWN &&
                    code != grpc::StatusCode::DATA_LOSS &&
                    code != grpc::StatusCode::UNAVAILABLE &&
                    code != grpc::StatusCode::DEADLINE_EXCEEDED)
            << what << ": " << code << ' ' << outcome.status.error_message();
        EXPECT_LT(elapsed, kMaxTime) << what;
      }
    }
  }
  EXPECT_LT(ResidentBytes() - before, kMaxGrowth);
  EXPECT_GT(calls, 500u);
  // And it still serves.
  grpc::ClientContext context;
  v1::SearchRequest request;
  request.set_collection("collections/c");
  request.set_query("word");
  v1::SearchResponse response;
  EXPECT_TRUE(service.retrieval().Search(&context, request, &response).ok());
}

}  // namespace
}  // namespace braid::services
