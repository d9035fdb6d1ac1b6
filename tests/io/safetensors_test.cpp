#include "io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "temporary_folder.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const Path kGoldens = ICEDIT_GOLDENS;

Bytes bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// A file of this header and as many bytes of data.
std::string file_of(const std::string& header, size_t data) {
  std::string text;
  for (int i = 0; i < 8; ++i) text += static_cast<char>(header.size() >> (8 * i));
  return text + header + std::string(data, 'd');
}

std::string error_for(const std::string& file) {
  return error_of<CheckpointError>([&] { parse_safetensors_header(bytes_of(file), "f"); });
}

TEST(Safetensors, ReadsEveryGoldenAsItsManifestSays) {
  const std::map<Dtype, std::string> torch_names = {
      {Dtype::kBool, "bool"},   {Dtype::kU8, "uint8"},    {Dtype::kI32, "int32"},
      {Dtype::kI64, "int64"},   {Dtype::kF16, "float16"}, {Dtype::kBF16, "bfloat16"},
      {Dtype::kF32, "float32"}, {Dtype::kF64, "float64"}};
  const auto manifest = nlohmann::json::parse(read_file(kGoldens / "manifest.json"));
  int tensors = 0;
  for (const auto& [name, entry] : manifest.items()) {
    if (!name.ends_with(".safetensors")) continue;
    SCOPED_TRACE(name);
    const SafetensorsFile file(kGoldens / name);
    for (const auto& [tensor, info] : file.tensors()) {
      // Adapters stand there as patterns of names instead.
      if (!entry["tensors"].contains(tensor)) continue;
      ++tensors;
      const auto& expected = entry["tensors"][tensor];  // [shape, dtype]
      EXPECT_EQ(info.shape, expected[0].get<std::vector<int64_t>>()) << tensor;
      EXPECT_EQ(torch_names.at(info.dtype), expected[1]) << tensor;
      EXPECT_EQ(file.bytes(tensor).size(), dtype_size(info.dtype) * info.numel()) << tensor;
    }
  }
  EXPECT_GT(tensors, 500);
}

// The goldens were written by the reference: ours writes the same bytes.
TEST(Safetensors, WritesWhatTheReferenceWrites) {
  const TemporaryFolder folder;
  int files = 0;
  for (const auto& item : fs::recursive_directory_iterator(kGoldens)) {
    if (item.path().extension() != ".safetensors") continue;
    const SafetensorsFile file(item.path());
    if (file.metadata().size() > 1) continue;  // the reference's order of several keys is random
    std::vector<TensorBytes> tensors;
    for (const auto& [name, info] : file.tensors()) {
      tensors.push_back({name, info.dtype, info.shape, file.bytes(name)});
    }
    std::sort(tensors.begin(), tensors.end(), [&](const TensorBytes& a, const TensorBytes& b) {
      return std::pair(file.info(a.name).begin, file.info(a.name).end) <
             std::pair(file.info(b.name).begin, file.info(b.name).end);
    });
    write_safetensors(folder / "copy", tensors, file.metadata());
    EXPECT_TRUE(read_file(folder / "copy") == read_file(item.path())) << item.path();
    ++files;
  }
  EXPECT_GT(files, 50);
}

TEST(Safetensors, KeepsNamesMetadataScalarsAndEmptyTensors) {
  const TemporaryFolder folder;
  const std::string data = "abcdefgh";
  const std::map<std::string, std::string> metadata = {{"format", "pt"},
                                                       {"recipe", "{\"a\": \"\\\"\n\"} ü"}};
  write_safetensors(folder / "t.safetensors",
                    {{"scalar", Dtype::kF32, {}, bytes_of(data).first(4)},
                     {"nothing", Dtype::kBF16, {3, 0, 2}, {}},
                     {"name \"with\" ü", Dtype::kF8E4M3, {2, 2}, bytes_of(data).last(4)}},
                    metadata);
  const SafetensorsFile file(folder / "t.safetensors");
  EXPECT_EQ(file.metadata(), metadata);
  EXPECT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.info("scalar").numel(), 1);
  EXPECT_EQ(file.info("nothing").numel(), 0);
  EXPECT_TRUE(file.bytes("nothing").empty());
  EXPECT_EQ(std::to_integer<char>(file.bytes("name \"with\" ü")[0]), 'e');
  EXPECT_EQ(file.info("scalar").begin % 8, 0u);
  EXPECT_THAT(error_of<CheckpointError>([&] { file.info("x"); }),
              HasSubstr("t.safetensors has no tensor 'x' among its 3"));
}

TEST(Safetensors, AnEmptyFileOfNoTensorsIsFine) {
  const TemporaryFolder folder;
  write_safetensors(folder / "t.safetensors", {});
  EXPECT_TRUE(SafetensorsFile(folder / "t.safetensors").tensors().empty());
  EXPECT_EQ(error_for(file_of("{}", 0)), "");
  EXPECT_EQ(error_for(file_of(R"({"__metadata__":{}}      )", 0)), "");
}

TEST(Safetensors, RefusesToWriteWhatDoesNotFit) {
  const TemporaryFolder folder;
  const std::string data(8, 'x');
  const auto message = [&](const std::vector<TensorBytes>& tensors) {
    return error_of<IoError>([&] { write_safetensors(folder / "t", tensors); });
  };
  EXPECT_THAT(message({{"a", Dtype::kF32, {3}, bytes_of(data)}}), HasSubstr("expected 12"));
  EXPECT_THAT(
      message({{"a", Dtype::kF32, {2}, bytes_of(data)}, {"a", Dtype::kU8, {8}, bytes_of(data)}}),
      HasSubstr("name is taken"));
  EXPECT_THAT(message({{"__metadata__", Dtype::kF32, {2}, bytes_of(data)}}), HasSubstr("taken"));
  // More than any disk: told before the first byte is read or written.
  const Bytes endless(bytes_of(data).data(), size_t{1} << 55);
  EXPECT_THAT(message({{"a", Dtype::kU8, {int64_t{1} << 55}, endless}}),
              HasSubstr("t needs 32768.0 TiB, but"));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(SafetensorsMalformed, Length) {
  EXPECT_THAT(error_for(""), HasSubstr("f has 0 bytes"));
  EXPECT_THAT(error_for("1234567"), HasSubstr("f has 7 bytes"));
  EXPECT_THAT(error_for(std::string(8, '\0')), HasSubstr("not a JSON object"));
  EXPECT_THAT(error_for(std::string(8, '\xff')), HasSubstr("length is 18446744073709551615"));
  EXPECT_THAT(error_for(file_of("{}", 0).substr(0, 9)),
              HasSubstr("length is 2; expected at most 1"));
  EXPECT_THAT(error_for("GGUF\x03" + std::string(20, '\0')), HasSubstr("It is a GGUF file"));
  EXPECT_THAT(error_for("version https://git-lfs.github.com/spec/v1\n"), HasSubstr("git lfs pull"));
  EXPECT_THAT(error_for("<!doctype html><html></html>"), HasSubstr("web page"));
  EXPECT_THAT(error_for("PK\x03\x04pickle......"), HasSubstr("PyTorch pickle"));
}

TEST(SafetensorsMalformed, AHeaderAboveTheReferencesLimitIsRefused) {
  std::string header = "{}" + std::string(100'000'000, ' ');
  EXPECT_THAT(error_for(file_of(header, 0)), HasSubstr("expected at most 100000000"));
  header.resize(100'000'000);
  EXPECT_EQ(error_for(file_of(header, 0)), "");
}

struct Malformed {
  const char* header;
  size_t data;
  const char* message;
};

// Names, not the header's text, show in a failure.
void PrintTo(const Malformed& m, std::ostream* out) {
  *out << m.header;
}

class SafetensorsHeader : public ::testing::TestWithParam<Malformed> {};

TEST_P(SafetensorsHeader, IsRefusedByName) {
  const auto& [header, data, message] = GetParam();
  EXPECT_THAT(error_for(file_of(header, data)), HasSubstr(message));
}

#define TENSOR(fields) R"({"a":{)" fields "}}"
const Malformed kMalformed[] = {
    {"", 0, "not a JSON object"},
    {"[]", 0, "not a JSON object"},
    {" {}", 0, "not a JSON object"},
    {"\xef\xbb\xbf{}", 0, "not a JSON object"},
    {"{", 0, "not JSON at its byte"},
    {"{}x", 0, "not JSON at its byte"},
    {"{\"\xff\":1}", 0, "not JSON at its byte"},
    {R"({"a":1})", 0, "tensor 'a' is the number 1; expected an object"},
    {R"({"a":null})", 0, "tensor 'a' is null"},
    {R"({"a":[]})", 0, "tensor 'a' is a list"},
    {R"({"a":"x"})", 0, "tensor 'a' is a string"},
    {R"({"a":{}})", 0, "tensor 'a' has no 'dtype'"},
    {TENSOR(R"("dtype":"F32")"), 0, "has no 'shape'"},
    {TENSOR(R"("dtype":"F32","shape":[])"), 4, "has no 'data_offsets'"},
    {TENSOR(R"("dtype":"F31","shape":[],"data_offsets":[0,4])"), 4,
     "'dtype' is 'F31'; expected one of BOOL"},
    {TENSOR(R"("dtype":3,"shape":[],"data_offsets":[0,4])"), 4, "'dtype' is the number 3"},
    {TENSOR(R"("dtype":["F32"],"shape":[],"data_offsets":[0,4])"), 4, "'dtype' is a list"},
    {TENSOR(R"("dtype":"F32","shape":4,"data_offsets":[0,4])"), 4, "'shape' is the number 4"},
    {TENSOR(R"("dtype":"F32","shape":"1","data_offsets":[0,4])"), 4, "'shape' is a string"},
    {TENSOR(R"("dtype":"F32","shape":{},"data_offsets":[0,4])"), 4, "'shape' is an object"},
    {TENSOR(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), 4, "'shape' is the number -1"},
    {TENSOR(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])"), 4, "'shape' is the number 1.0"},
    {TENSOR(R"("dtype":"F32","shape":[[1]],"data_offsets":[0,4])"), 4, "'shape' is a list"},
    {TENSOR(R"("dtype":"F32","shape":[true],"data_offsets":[0,4])"), 4, "'shape' is true or false"},
    {TENSOR(R"("dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4])"), 4,
     "'shape' is the number 18446744073709551615"},
    {TENSOR(R"("dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4])"), 4,
     "'shape' is the number 99999999999999999999"},
    {TENSOR(R"("dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0])"), 0,
     "more elements than can be counted"},
    {TENSOR(R"("dtype":"F32","shape":[4611686018427387904,4,0],"data_offsets":[0,0])"), 0,
     "more elements than can be counted"},
    {TENSOR(
         R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,4])"),
     4, "at most 64"},
    {TENSOR(R"("dtype":"F32","shape":[1],"data_offsets":[0])"), 4, "'data_offsets' is [0]"},
    {TENSOR(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,8])"), 4,
     "'data_offsets' is more numbers"},
    {TENSOR(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), 4, "'data_offsets' is [4, 0]"},
    {TENSOR(R"("dtype":"F32","shape":[1],"data_offsets":[0,3])"), 3, "takes 4 bytes"},
    {TENSOR(
         R"("dtype":"F32","shape":[1],"data_offsets":[9223372036854775803,9223372036854775807])"),
     4, "expected to begin at 0"},
    {TENSOR(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), 4,
     "ends at byte 8 of the data, but the file holds 4"},
    {TENSOR(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), 5,
     "describes 4 bytes of data, but the file holds 5"},
    {TENSOR(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), 8,
     "expected to begin at 0, the start of the data (bytes between"},
    {TENSOR(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"scale":[])"), 4,
     "'scale' is unknown"},
    {TENSOR(R"("dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4])"), 4,
     "'dtype' stands there twice"},
    {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
     2, "has 'a' twice"},
    {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
     3, "'b': 'data_offsets' is [1, 3]; expected to begin at 2, where 'a' ends (they overlap)"},
    {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
     3, "'b': 'data_offsets' is [2, 3]; expected to begin at 1, where 'a' ends (bytes between"},
    {R"({"__metadata__":{"a":1}})", 0, "__metadata__: 'a' is the number 1; expected a string"},
    {R"({"__metadata__":{"a":{}}})", 0, "__metadata__: 'a' is an object"},
    {R"({"__metadata__":{"a":["b"]}})", 0, "__metadata__: 'a' is a list"},
    {R"({"__metadata__":[]})", 0, "__metadata__ is a list"},
    {R"({"__metadata__":{"a":"b","a":"c"}})", 0, "'a' stands there twice"},
    {R"({"__metadata__":{},"__metadata__":{}})", 0, "has '__metadata__' twice"},
};
#undef TENSOR
INSTANTIATE_TEST_SUITE_P(Malformed, SafetensorsHeader, ::testing::ValuesIn(kMalformed));

TEST(SafetensorsMalformed, AZeroByteDoesNotEndTheHeader) {
  EXPECT_THAT(error_for(file_of(std::string("{}\0garbage", 10), 0)),
              HasSubstr("not a JSON object"));
}

TEST(SafetensorsMalformed, DeepNestingAndLongNamesAreBearable) {
  EXPECT_THAT(error_for(file_of(R"({"a":{"shape":)" + std::string(1'000'000, '['), 0)),
              HasSubstr("'shape' is a list"));
  const std::string message =
      error_for(file_of("{\"" + std::string(1'000'000, 'n') + "\\u001b\":1}", 0));
  EXPECT_LT(message.size(), 400u);
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
}

TEST(Dtype, NamesAndSizesGoBothWays) {
  const std::pair<const char*, size_t> expected[] = {
      {"BOOL", 1}, {"U8", 1},   {"I8", 1},  {"I16", 2}, {"I32", 4},     {"I64", 8},
      {"F16", 2},  {"BF16", 2}, {"F32", 4}, {"F64", 8}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
  for (const auto& [name, size] : expected) {
    const auto dtype = dtype_from_name(name);
    ASSERT_TRUE(dtype.has_value()) << name;
    EXPECT_EQ(dtype_name(*dtype), name);
    EXPECT_EQ(dtype_size(*dtype), size) << name;
    EXPECT_EQ(dtype_block(*dtype), 1) << name;
  }
  EXPECT_FALSE(dtype_from_name(dtype_name(Dtype::kQ8_0)).has_value());  // GGUF's
  EXPECT_FALSE(dtype_from_name("f32").has_value());
  EXPECT_FALSE(dtype_from_name("").has_value());
}

}  // namespace
}  // namespace icedit
