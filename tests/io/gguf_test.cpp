// GGUF headers: what llama.cpp's tools write is read, what is damaged is named.
#include "io/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"

namespace icedit {
namespace {

using ::testing::HasSubstr;

const Path kGguf = Path(ICEDIT_GOLDENS) / "gguf";

// A file as the format describes it, field by field.
class Writer {
 public:
  Writer(uint32_t version, uint64_t tensors, uint64_t keys) {
    out_ = "GGUF";
    number(version).number(tensors).number(keys);
  }
  template <class T>
  Writer& number(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Writer& text(const std::string& value) {
    number<uint64_t>(value.size());
    out_ += value;
    return *this;
  }
  Writer& key(const std::string& name, uint32_t type) { return text(name).number(type); }
  Writer& tensor(const std::string& name, std::vector<uint64_t> columns_first, uint32_t type,
                 uint64_t offset) {
    text(name).number(static_cast<uint32_t>(columns_first.size()));
    for (const uint64_t side : columns_first) number(side);
    return number(type).number(offset);
  }
  // With the data behind it.
  std::string file(size_t data_bytes, size_t alignment = 32) const {
    std::string whole = out_;
    whole.resize((whole.size() + alignment - 1) / alignment * alignment);
    return whole + std::string(data_bytes, 'x');
  }

 private:
  std::string out_;
};

std::map<std::string, TensorInfo> parsed(const std::string& file) {
  return parse_gguf_header(as_bytes(file), "m.gguf");
}

std::string error_for(const std::string& file) {
  try {
    parsed(file);
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return "no error";
}

constexpr uint32_t kF32 = 0, kQ80 = 8;

TEST(Gguf, EveryTypeOfTheGoldenIsFoundInItsPlace) {
  const std::string file = read_file(kGguf / "types.gguf");
  const auto tensors = parsed(file);
  ASSERT_EQ(tensors.size(), 13u);
  for (const auto& [name, info] : tensors) {
    EXPECT_EQ(name, "t." + std::string(dtype_name(info.dtype)));
    ASSERT_EQ(info.shape.size(), 2u);
    EXPECT_EQ(info.bytes(),
              size_t(info.numel() / dtype_block(info.dtype)) * dtype_size(info.dtype));
    EXPECT_LE(info.end, file.size());
  }
  EXPECT_EQ(tensors.at("t.Q8_0").shape, (std::vector<int64_t>{6, 64}));
}

TEST(Gguf, ShapesAlignmentAndMetadata) {
  Writer w(3, 2, 4);
  w.key("general.alignment", 4).number<uint32_t>(64);
  w.key("general.name", 8).text("a name");
  w.key("tokens", 9).number<uint32_t>(8).number<uint64_t>(2).text("a").text("b");
  w.key("scores", 9).number<uint32_t>(6).number<uint64_t>(3).number(1.f).number(2.f).number(3.f);
  w.tensor("a.weight", {64, 2}, kQ80, 192).tensor("a.bias", {5}, kF32, 0);
  const auto tensors = parsed(w.file(192 + 136, 64));
  EXPECT_EQ(tensors.at("a.weight").shape, (std::vector<int64_t>{2, 64}));
  EXPECT_EQ(tensors.at("a.weight").bytes(), 2u * 2 * 34);
  EXPECT_EQ(tensors.at("a.bias").begin % 64, 0u);
  EXPECT_EQ(tensors.at("a.weight").begin, tensors.at("a.bias").begin + 192);
}

TEST(Gguf, DamagedFilesAreNamedByWhatIsWrong) {
  EXPECT_THAT(error_for("GGUF"), HasSubstr("m.gguf: this GGUF file is damaged"));
  EXPECT_THAT(error_for("GGML\3\0\0\0"), HasSubstr("does not begin with 'GGUF'"));
  EXPECT_THAT(error_for(Writer(1, 0, 0).file(0)), HasSubstr("its version is 1"));
  EXPECT_THAT(error_for(Writer(0x03000000, 0, 0).file(0)), HasSubstr("big-endian"));
  EXPECT_THAT(error_for(Writer(3, uint64_t{1} << 60, 0).file(0)), HasSubstr("tensors"));
  EXPECT_THAT(error_for(Writer(3, 0, uint64_t{1} << 60).file(0)), HasSubstr("keys"));
  EXPECT_THAT(error_for(Writer(3, 1, 0).file(0)), HasSubstr("ends within"));
  EXPECT_THAT(error_for(Writer(3, 0, 1).number(~uint64_t{0}).file(0)), HasSubstr("are left"));
  EXPECT_THAT(error_for(Writer(3, 0, 1).key("k", 77).file(0)), HasSubstr("unknown type 77"));
  EXPECT_THAT(
      error_for(Writer(3, 0, 1).key("k", 9).number<uint32_t>(6).number(~uint64_t{0} / 2).file(0)),
      HasSubstr("no room"));
  EXPECT_THAT(
      error_for(
          Writer(3, 0, 2).key("k", 0).number<uint8_t>(1).key("k", 0).number<uint8_t>(1).file(0)),
      HasSubstr("'k' stands in it twice"));
  EXPECT_THAT(error_for(Writer(3, 0, 1).key("general.alignment", 4).number<uint32_t>(12).file(0)),
              HasSubstr("alignment is 12"));
  EXPECT_THAT(error_for(Writer(3, 0, 1).key("split.count", 2).number<uint16_t>(3).file(0)),
              HasSubstr("one of 3 parts"));
}

TEST(Gguf, DamagedTensorsAreNamed) {
  const auto of = [](std::vector<uint64_t> shape, uint32_t type, uint64_t offset, size_t data) {
    return error_for(Writer(3, 1, 0).tensor("t", std::move(shape), type, offset).file(data));
  };
  EXPECT_THAT(of({0, 2}, kF32, 0, 64), HasSubstr("a side of 0"));
  EXPECT_THAT(of({uint64_t{1} << 40, uint64_t{1} << 40}, kF32, 0, 64), HasSubstr("a side of"));
  EXPECT_THAT(of({1, 1, 1, 1, 1}, kF32, 0, 64), HasSubstr("5 dimensions"));
  EXPECT_THAT(of({31}, kQ80, 0, 64), HasSubstr("wants a multiple of 32"));
  EXPECT_THAT(of({4}, kF32, 8, 64), HasSubstr("no multiple of 32"));
  EXPECT_THAT(of({4}, kF32, 64, 64), HasSubstr("ends behind the end"));
  EXPECT_THAT(of({17}, kF32, 0, 64), HasSubstr("ends behind the end"));
  EXPECT_THAT(of({4}, kF32, ~uint64_t{31}, 64), HasSubstr("ends behind the end"));
  EXPECT_THAT(of({256}, 16, 0, 64), HasSubstr("is stored as IQ2_XXS, which is not read"));
  EXPECT_THAT(of({256}, 99, 0, 64), HasSubstr("unknown type 99"));
  EXPECT_THAT(error_for(Writer(3, 2, 0).tensor("t", {4}, 0, 0).tensor("t", {4}, 0, 0).file(64)),
              HasSubstr("'t' stands in it twice"));
}

TEST(Gguf, NoBeginningOfAFileIsTakenForAll) {
  const std::string file = read_file(kGguf / "types.gguf");
  for (size_t size = 0; size < file.size(); size += size < 2000 ? 1 : 97)
    EXPECT_NE(error_for(file.substr(0, size)), "no error") << size;
}

TEST(Gguf, WhatIsWrittenIsRead) {
  const Path file = Path(testing::TempDir()) / "icedit_written.gguf";
  const std::vector<TensorPlan> plans = {{"a.bias", Dtype::kF32, {5}},
                                         {"a.weight", Dtype::kQ8_0, {2, 64}}};
  write_gguf(file, {{"general.architecture", "flux"}, {"general.file_type", uint32_t{7}}}, plans,
             [&](size_t i, const PutBytes& put) {
               put(as_bytes(std::string(plans[i].size() - 1, char('a' + i))));
               put(as_bytes("."));
             });
  const std::string written = read_file(file);
  const auto tensors = parsed(written);
  ASSERT_EQ(tensors.size(), 2u);
  for (const TensorPlan& plan : plans) {
    const TensorInfo& info = tensors.at(plan.name);
    EXPECT_EQ(info.dtype, plan.dtype);
    EXPECT_EQ(info.shape, plan.shape);
    EXPECT_EQ(info.begin % 32, 0u);
    const std::string bytes = written.substr(info.begin, info.bytes());
    EXPECT_EQ(bytes, std::string(plan.size() - 1, plan.name == "a.bias" ? 'a' : 'b') + ".");
  }
  EXPECT_EQ(written.size() % 32, 0u);
  const auto fails = [&](const std::vector<TensorPlan>& wrong) {
    write_gguf(file, {}, wrong, [](size_t, const PutBytes& put) { put(as_bytes("x")); });
  };
  EXPECT_THROW(fails({{"a", Dtype::kF8E4M3, {1}}}), CheckpointError);  // GGUF has no such type
  EXPECT_THROW(fails({{"a", Dtype::kF32, {1}}}), IoError);             // another size than planned
  EXPECT_THROW(fails({{"a", Dtype::kI8, {1}}, {"a", Dtype::kI8, {1}}}), IoError);
  EXPECT_EQ(read_file(file), written);  // nothing of these is left
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace icedit
