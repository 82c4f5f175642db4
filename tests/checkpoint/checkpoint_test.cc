#include "generation/checkpoint/checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "generation/checkpoint/json_file.h"
#include "tests/checkpoint/safetensors_writer.h"
#include "tests/checkpoint/test_directory.h"

namespace braid::model {
namespace {

namespace fs = std::filesystem;

// Expects that a file with this header is refused with `what` in the message,
// which also names the file.
void ExpectRefused(const std::string& header, const std::string& data,
                   const std::string& what) {
  const std::string path = TestPath("hostile.safetensors");
  WriteRawSafetensors(path, header.size(), header, data);
  const absl::Status status = SafetensorsFile::Open(path).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << header;
  EXPECT_TRUE(absl::StrContains(status.message(), what)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), path)) << status;
}

TEST(SafetensorsTest, ReadsTensors) {
  const std::string path = TestPath("good.safetensors");
  WriteSafetensors(path, {{"b", {{2, 3}, {1, 2, 3, 4, 5, 6}}},
                          {"a", {{1}, {-0.5f}}},
                          {"empty", {{0, 7}, {}}},
                          {"scalar", {{}, {9}}}});
  auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ((*file)->tensors().size(), 4u);
  for (const TensorView& tensor : (*file)->tensors()) {
    std::vector<float> values(tensor.elements);
    WidenToF32(tensor.dtype, tensor.data, tensor.elements, values.data());
    if (tensor.name == "b") {
      EXPECT_EQ(tensor.shape, (std::vector<int64_t>{2, 3}));
      EXPECT_EQ(values, (std::vector<float>{1, 2, 3, 4, 5, 6}));
    } else if (tensor.name == "scalar") {
      EXPECT_EQ(values, std::vector<float>{9});
    }
  }
}

TEST(SafetensorsTest, WidensHalvesExactly) {
  const uint16_t half[] = {0x0000, 0x8000, 0x3C00, 0xC000, 0x0001, 0x03FF,
                           0x0400, 0x7BFF, 0x7C00, 0xFC00, 0x3555, 0x7E00};
  float out[12];
  WidenToF32(DType::kF16, reinterpret_cast<const uint8_t*>(half), 12, out);
  EXPECT_EQ(out[0], 0.0f);
  EXPECT_TRUE(std::signbit(out[1]));
  EXPECT_EQ(out[2], 1.0f);
  EXPECT_EQ(out[3], -2.0f);
  EXPECT_EQ(out[4], std::ldexp(1.0f, -24));
  EXPECT_EQ(out[5], std::ldexp(1023.0f, -24));
  EXPECT_EQ(out[6], std::ldexp(1.0f, -14));
  EXPECT_EQ(out[7], 65504.0f);
  EXPECT_EQ(out[8], std::numeric_limits<float>::infinity());
  EXPECT_EQ(out[9], -std::numeric_limits<float>::infinity());
  EXPECT_EQ(out[10], 0.333251953125f);
  EXPECT_TRUE(std::isnan(out[11]));
  const uint16_t brain[] = {0x3F80, 0xC049, 0x7F80};
  // An odd address: mapped tensors need not be aligned.
  uint8_t bytes[7];
  std::memcpy(bytes + 1, brain, 6);
  WidenToF32(DType::kBf16, bytes + 1, 3, out);
  EXPECT_EQ(out[0], 1.0f);
  EXPECT_EQ(out[1], -3.140625f);
  EXPECT_EQ(out[2], std::numeric_limits<float>::infinity());
}

TEST(SafetensorsTest, RefusesBrokenFiles) {
  const std::string path = TestPath("broken.safetensors");
  std::ofstream(path) << "abc";
  EXPECT_EQ(SafetensorsFile::Open(path).status().code(),
            absl::StatusCode::kInvalidArgument);
  WriteRawSafetensors(path, uint64_t{1} << 60, "{}", "");
  EXPECT_TRUE(absl::StrContains(SafetensorsFile::Open(path).status().message(),
                                "more than the limit"));
  WriteRawSafetensors(path, 5000, "{}", "");
  EXPECT_TRUE(absl::StrContains(SafetensorsFile::Open(path).status().message(),
                                "but the file has only"));
  EXPECT_EQ(SafetensorsFile::Open("/nonexistent").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(SafetensorsFile::Open(TestRoot().string()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(SafetensorsTest, RefusesBrokenHeaders) {
  ExpectRefused("", "", "header");
  ExpectRefused("[]", "", "header");
  ExpectRefused("{", "", "malformed JSON");
  ExpectRefused(std::string(100000, '['), "", "header");
  ExpectRefused(R"({"a":3})", "", "header");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1]}})", "1234", "needs dtype");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})",
                "1234", "two numbers");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})",
                "1234", "negative");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})",
                "1234", "not a whole number");
  ExpectRefused(
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", "1234",
      "unknown field");
  ExpectRefused(
      R"({"a":{"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,4]}})",
      "1234", "repeated");
  ExpectRefused(R"({"a":{"dtype":"Q7","shape":[1],"data_offsets":[0,4]}})",
                "1234", "unknown dtype");
}

TEST(SafetensorsTest, RefusesSizesThatLie) {
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],)"
                R"("data_offsets":[0,0]}})",
                "", "overflows");
  ExpectRefused(R"({"a":{"dtype":"F64","shape":[2305843009213693952],)"
                R"("data_offsets":[0,0]}})",
                "", "overflows");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[18446744073709551615],)"
                R"("data_offsets":[0,0]}})",
                "", "overflows");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})",
                "1234", "needs 8");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})",
                "1234", "outside");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                "12", "outside");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                "12345678", "hole");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                R"("b":{"dtype":"F16","shape":[2],"data_offsets":[2,6]}})",
                "123456", "overlapping");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                "12345678", "end at byte 4");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                "12345678", "repeated");
}

// Every prefix of a good file is refused, and none crashes.
TEST(SafetensorsTest, RefusesEveryTruncation) {
  const std::string path = TestPath("whole.safetensors");
  WriteSafetensors(path, {{"a", {{3}, {1, 2, 3}}}, {"b", {{1}, {4}}}});
  ASSERT_TRUE(SafetensorsFile::Open(path).ok());
  for (size_t n = fs::file_size(path); n-- > 0;) {
    fs::resize_file(path, n);
    EXPECT_FALSE(SafetensorsFile::Open(path).ok()) << n;
  }
}

TEST(CheckpointTest, ReadsASingleFile) {
  const std::string directory = NewDirectory("single");
  WriteSafetensors(directory + "/model.safetensors",
                   {{"w", {{2, 2}, {1, 2, 3, 4}}}, {"b", {{2}, {5, 6}}}});
  auto checkpoint = Checkpoint::Open(directory);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ((*checkpoint)->TensorNames(), (std::vector<std::string>{"b", "w"}));
  EXPECT_EQ((*checkpoint)->Find("none"), nullptr);
  EXPECT_EQ(*(*checkpoint)->ReadF32("w", {2, 2}),
            (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ((*checkpoint)->ReadF32("none", {1}).status().code(),
            absl::StatusCode::kNotFound);
  const absl::Status shape = (*checkpoint)->ReadF32("w", {4}).status();
  EXPECT_EQ(shape.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(shape.message(), "[2, 2], not [4]")) << shape;
}

TEST(CheckpointTest, RefusesOtherDTypesWhenRead) {
  const std::string directory = NewDirectory("other");
  const std::string header =
      R"({"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}})";
  WriteRawSafetensors(directory + "/model.safetensors", header.size(), header,
                      "12345678");
  auto checkpoint = Checkpoint::Open(directory);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const absl::Status status = (*checkpoint)->ReadF32("a", {1}).status();
  EXPECT_TRUE(absl::StrContains(status.message(), "I64")) << status;
}

TEST(CheckpointTest, ReadsShards) {
  const std::string directory = NewDirectory("shards");
  WriteSafetensors(directory + "/m-1.safetensors", {{"a", {{1}, {1}}}});
  WriteSafetensors(directory + "/m-2.safetensors", {{"b", {{1}, {2}}}});
  const std::string index = directory + "/model.safetensors.index.json";
  std::ofstream(index)
      << R"({"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}})";
  auto checkpoint = Checkpoint::Open(directory);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(*(*checkpoint)->ReadF32("b", {1}), std::vector<float>{2});

  const auto refused = [&](const std::string& map, const std::string& what) {
    std::ofstream(index) << map;
    const absl::Status status = Checkpoint::Open(directory).status();
    EXPECT_FALSE(status.ok()) << map;
    EXPECT_TRUE(absl::StrContains(status.message(), what)) << status;
  };
  refused(R"({"weight_map":{"a":"../shards/m-1.safetensors"}})",
          "same directory");
  refused(R"({"weight_map":{"a":"/etc/passwd"}})", "same directory");
  refused(R"({"weight_map":{"a":""}})", "same directory");
  refused(R"({"weight_map":{"a":7}})", "same directory");
  refused(R"({"weight_map":{"a":"m-3.safetensors"}})", "cannot be opened");
  refused(R"({"weight_map":{"a":"m-2.safetensors"}})", "is not in");
  refused(R"({"weight_map":{"a":"m-2.safetensors","b":"m-1.safetensors"}})",
          "not in");
  refused(R"({"weight_map":{"a":"m-1.safetensors","a":"m-2.safetensors"}})",
          "repeated");
  refused(R"({"weight_map":[]})", "weight_map");
  refused("{", "not a JSON object");
}

TEST(CheckpointTest, RefusesTheSameTensorInTwoShards) {
  const std::string directory = NewDirectory("twice");
  WriteSafetensors(directory + "/m-1.safetensors", {{"a", {{1}, {1}}}});
  WriteSafetensors(directory + "/m-2.safetensors",
                   {{"a", {{1}, {2}}}, {"b", {{1}, {2}}}});
  std::ofstream(directory + "/model.safetensors.index.json")
      << R"({"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}})";
  EXPECT_TRUE(absl::StrContains(Checkpoint::Open(directory).status().message(),
                                "in another shard too"));
}

TEST(CheckpointTest, NeedsACheckpoint) {
  EXPECT_EQ(Checkpoint::Open(NewDirectory("nothing")).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(JsonFileTest, ReadsPythonsNonFiniteNumbers) {
  auto json = ParseJsonObject(
      R"({"a":[0.0,Infinity],"b":-Infinity,"c":NaN,"d":"Infinity \" NaN"})",
      "config.json");
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ((*json)["a"][1]["__float__"], "Infinity");
  EXPECT_EQ((*json)["b"]["__float__"], "-Infinity");
  EXPECT_EQ((*json)["c"]["__float__"], "NaN");
  EXPECT_EQ((*json)["d"], "Infinity \" NaN");
}

TEST(JsonFileTest, RefusesRepeatedKeysAndDepth) {
  EXPECT_TRUE(absl::StrContains(
      ParseJsonObject(R"({"x":{"a":1,"b":{"a":2},"a":3}})", "f")
          .status()
          .message(),
      "\"a\" is repeated"));
  EXPECT_TRUE(
      ParseJsonObject(R"({"x":[{"a":1},{"a":1}],"a":{"a":1}})", "f").ok());
  const std::string deep =
      "{\"a\":" + std::string(200000, '[') + std::string(200000, ']') + "}";
  EXPECT_TRUE(absl::StrContains(ParseJsonObject(deep, "f").status().message(),
                                "nested deeper"));
}

}  // namespace
}  // namespace braid::model
