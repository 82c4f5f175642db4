// Names, page tokens, text hygiene, metadata and rich errors.
#include <cmath>
#include <string>

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"
#include "services/server/errors.h"
#include "services/server/log.h"
#include "services/server/metadata.h"
#include "services/server/page_token.h"
#include "services/server/resource_names.h"
#include "services/text.h"

namespace braid::services {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ResourceNames, Collections) {
  EXPECT_EQ(*ParseCollectionName("collections/a"), "a");
  EXPECT_EQ(*ParseCollectionName("collections/pg-15"), "pg-15");
  EXPECT_TRUE(ParseCollectionName("collections/" + std::string(63, 'a')).ok());
  for (const std::string& bad :
       {std::string(), std::string("collections/"), std::string("a"),
        std::string("collections/A"), std::string("collections/1a"),
        std::string("collections/-a"), std::string("collections/a/b"),
        std::string("collections/a_b"), std::string("/collections/a"),
        std::string("collections/a\0", 14), std::string("collections/é"),
        "collections/" + std::string(64, 'a')}) {
    EXPECT_FALSE(ParseCollectionName(bad).ok()) << bad;
  }
}

TEST(ResourceNames, Documents) {
  const auto name = ParseDocumentName("collections/a/documents/x/y.html", 512);
  ASSERT_TRUE(name.ok());
  EXPECT_EQ(name->collection, "a");
  EXPECT_EQ(name->document, "x/y.html");
  EXPECT_EQ(
      ParseDocumentName("collections/a/documents/b/documents/c", 512)->document,
      "b/documents/c");
  EXPECT_EQ(FormatDocumentName("a", "x/y.html"),
            "collections/a/documents/x/y.html");
  for (const std::string& bad :
       {std::string("collections/a"), std::string("collections/a/documents/"),
        std::string("collections//documents/x"), std::string("documents/x"),
        std::string("collections/a/documents/a\nb"),
        std::string("collections/a/documents/\xC3\x28"),
        std::string("collections/a/documents/\xC2\x85"),
        "collections/a/documents/" + std::string(513, 'x')}) {
    EXPECT_FALSE(ParseDocumentName(bad, 512).ok()) << bad;
  }
}

TEST(ResourceNames, Operations) {
  EXPECT_EQ(*ParseOperationName("operations/19a0c-17"), "19a0c-17");
  EXPECT_EQ(FormatOperationName("19a0c-17"), "operations/19a0c-17");
  for (const std::string& bad :
       {std::string(), std::string("operations/"), std::string("19a0c-17"),
        std::string("operations/A"), std::string("operations/a/b"),
        std::string("operations/a\0", 13),
        "operations/" + std::string(65, 'a')}) {
    EXPECT_FALSE(ParseOperationName(bad).ok()) << bad;
  }
}

TEST(PageToken, RoundTripsAndRefusesForeignOnes) {
  const std::string token = MakePageToken("scope", "last/é");
  EXPECT_EQ(*ParsePageToken("scope", token), "last/é");
  EXPECT_FALSE(ParsePageToken("other", token).ok());
  for (const std::string& bad :
       {std::string(" "), std::string("AAAA"), token + "A", token.substr(1),
        std::string("not base64 !"), std::string(2000, 'A')}) {
    EXPECT_FALSE(ParsePageToken("scope", bad).ok()) << bad;
  }
  for (size_t i = 0; i < token.size(); ++i) {
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(ParsePageToken("scope", changed).ok()) << i;
  }
}

// The rows of the Unicode standard's table of well-formed sequences (3-7).
TEST(Text, Utf8) {
  for (const char* good : {"a", "é", "€", "😀", "\xED\x9F\xBF", "\xEE\x80\x80",
                           "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(IsUtf8(good)) << good;
  }
  for (const char* bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82",
        "\xC3", "\xFF"}) {
    EXPECT_FALSE(IsUtf8(bad));
  }
  EXPECT_EQ(ToPrintable("a\nb\xFF"
                        "c",
                        10),
            "a b c");
  EXPECT_EQ(ToPrintable("ééé", 5), "éé");
}

TEST(Metadata, RoundTrips) {
  retrieval::Metadata metadata = {{"flag", true},
                                  {"year", 1990.5},
                                  {"author", std::string("Ada")},
                                  {"tags", std::vector<std::string>{"a", "b"}}};
  google::protobuf::Struct proto;
  ToProto(metadata, &proto);
  std::vector<FieldViolation> violations;
  EXPECT_EQ(ToMetadata(proto, "m", Limits(), &violations), metadata);
  EXPECT_TRUE(violations.empty());
}

TEST(Metadata, RefusesWhatFiltersCannotSee) {
  google::protobuf::Struct proto;
  auto& fields = *proto.mutable_fields();
  fields["null"].set_null_value(google::protobuf::NULL_VALUE);
  fields["unset"];
  fields["nested"].mutable_struct_value();
  fields["nan"].set_number_value(std::nan(""));
  fields["infinite"].set_number_value(INFINITY);
  fields["mixed"].mutable_list_value()->add_values()->set_number_value(1);
  fields[std::string(129, 'k')].set_bool_value(true);
  fields[""].set_bool_value(true);
  for (int i = 0; i < 1025; ++i) {
    fields["long"].mutable_list_value()->add_values()->set_string_value("x");
  }
  fields["good"].set_bool_value(true);
  std::vector<FieldViolation> violations;
  const retrieval::Metadata metadata =
      ToMetadata(proto, "document.metadata", Limits(), &violations);
  EXPECT_EQ(metadata.size(), 1u);
  EXPECT_EQ(violations.size(), 9u);
  bool named = false;
  for (const auto& v : violations) {
    named = named || v.field == "document.metadata.nested";
  }
  EXPECT_TRUE(named);
}

TEST(Errors, CarryDetails) {
  const grpc::Status status = ToGrpcStatus(
      InvalidFields({{"query", "must not be empty"}, {"top_k", "too large"}}));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("query: must not be empty"));
  google::rpc::Status proto;
  ASSERT_TRUE(proto.ParseFromString(status.error_details()));
  EXPECT_EQ(proto.code(), 3);
  google::rpc::BadRequest bad_request;
  google::rpc::ErrorInfo info;
  ASSERT_EQ(proto.details_size(), 2);
  for (const auto& detail : proto.details()) {
    detail.UnpackTo(&bad_request);
    detail.UnpackTo(&info);
  }
  ASSERT_EQ(bad_request.field_violations_size(), 2);
  EXPECT_EQ(bad_request.field_violations(1).field(), "top_k");
  EXPECT_EQ(info.domain(), "braid");
  EXPECT_EQ(info.reason(), "INVALID_REQUEST");
}

TEST(Errors, OverloadSaysWhenToRetry) {
  const absl::Status status = Overloaded("busy", absl::Milliseconds(1250));
  EXPECT_EQ(*RetryDelay(status), absl::Milliseconds(1250));
  google::rpc::Status proto;
  ToProto(status, &proto);
  EXPECT_EQ(proto.code(), 8);
  google::rpc::RetryInfo retry;
  for (const auto& detail : proto.details()) detail.UnpackTo(&retry);
  EXPECT_EQ(retry.retry_delay().seconds(), 1);
  EXPECT_EQ(retry.retry_delay().nanos(), 250000000);
}

// Headers over 8 KiB never arrive at a client with the default settings.
TEST(Errors, StayUnderTheMetadataLimit) {
  std::vector<FieldViolation> violations;
  for (int i = 0; i < 1000; ++i) {
    violations.push_back({std::string(5000, 'f'), std::string(5000, '\xFF')});
  }
  const grpc::Status status = ToGrpcStatus(InvalidFields(violations));
  const size_t details_base64 = status.error_details().size() * 4 / 3;
  EXPECT_LT(details_base64 + 3 * status.error_message().size(), 8192u);
}

TEST(Errors, PlainStatusGetsAReason) {
  google::rpc::Status proto;
  ToProto(absl::NotFoundError("gone\nfor good"), &proto);
  EXPECT_EQ(proto.message(), "gone for good");
  google::rpc::ErrorInfo info;
  ASSERT_EQ(proto.details_size(), 1);
  ASSERT_TRUE(proto.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "NOT_FOUND");
}

TEST(Log, OneLinePerEventWhateverTheValueHolds) {
  std::FILE* file = std::tmpfile();
  const Logger log(LogLevel::kInfo, file);
  log.Write(LogLevel::kDebug, "hidden", {});
  log.Write(LogLevel::kInfo, "rpc",
            {{"peer", "a\nINFO forged"}, {"x", "a\"b"}, {"y", "plain-1.5"}});
  std::rewind(file);
  char buffer[1024] = {};
  const size_t size = std::fread(buffer, 1, sizeof(buffer) - 1, file);
  std::fclose(file);
  const std::string text(buffer, size);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_THAT(text, HasSubstr(R"(peer="a INFO forged" x="a\"b" y=plain-1.5)"));
  EXPECT_THAT(text, Not(HasSubstr("hidden")));
}

}  // namespace
}  // namespace braid::services
