// ComfyUI's descriptions of quantised matrices: what is read, and what is refused in one sentence.
#include "io/comfy_quant_json.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

ComfyQuant parse(const std::string& text, int64_t inputs = 512) {
  return parse_comfy_quant(as_bytes(text), inputs, "a.safetensors: tensor 'm.comfy_quant'");
}
std::string error(const std::string& text) {
  return error_of<CheckpointError>([&] { parse(text); });
}
std::string header_error(const std::string& text) {
  return error_of<CheckpointError>([&] { parse_quantisation(text, "a.safetensors"); });
}

TEST(ComfyQuantJson, Formats) {
  const ComfyQuant plain = parse(R"({"format": "int8_tensorwise"})");
  EXPECT_EQ(plain.format, kInt8Format);
  EXPECT_EQ(plain.group, 0);
  EXPECT_EQ(parse(R"({"format": "int8_tensorwise", "convrot": true})").group, 256);
  // Older files have the keys one level deeper; 4 bits are always rotated unless it is denied.
  const char* deeper = R"({"format": "asym_w4a8_int8", "params": {"group_size": 16}})";
  EXPECT_EQ(parse(deeper).group, 256);
  EXPECT_EQ(parse(deeper).run, 16);
  EXPECT_EQ(parse(R"({"format": "asym_w4a8_int8", "convrot": false})").group, 0);
  EXPECT_EQ(
      parse(R"({"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": 64})").group,
      64);
}

TEST(ComfyQuantJson, WhatIsWrongIsSaid) {
  const std::string int8 = R"({"format": "int8_tensorwise", "convrot": true, )";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "is not a JSON object with a \"format\"; the file is damaged"},
      {"[1]", "is not a JSON object with a \"format\"; the file is damaged"},
      {R"({"format": 8})", "is not a JSON object with a \"format\"; the file is damaged"},
      {R"({"format": "nv\nfp4"})",
       "says format \"nv\\nfp4\", expected 'int8_tensorwise' or 'asym_w4a8_int8'; of ComfyUI's "
       "quantised formats these and fp8 are read"},
      {int8 + R"("convrot_groupsize": 100})",
       "says convrot_groupsize 100, expected a power of 4 from 16 on"},
      {int8 + R"("convrot_groupsize": 1e400})",
       "is not a JSON object with a \"format\"; the file is damaged"},
      {int8 + R"("convrot_groupsize": 18446744073709551632})",
       "says convrot_groupsize 1.8446744073709552e+19, expected a power of 4 from 16 on"},
      {int8 + R"("convrot_groupsize": 1024})",
       "says groups of 1024 inputs, which do not divide the matrix's 512"},
      {R"({"format": "asym_w4a8_int8", "group_size": "16"})",
       "says group_size \"16\", expected a whole number"},
      {std::string((64 << 10) + 1, ' '), "has 65537 bytes, expected at most 64 KiB of JSON"},
  };
  for (const auto& [text, what] : cases)
    EXPECT_EQ(error(text), "a.safetensors: tensor 'm.comfy_quant' " + what);
  const std::string many = R"({"format": "int8)" + std::string(60000, '8') + "\"}";
  EXPECT_LT(error(many).size(), 400u);  // not all of it in the sentence
}

TEST(ComfyQuantJson, Headers) {
  const auto found = parse_quantisation(
      R"({"layers": {"a.b": {"format": "int8_tensorwise"}, "c": {"params": {"x": 1}}}})", "a");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found.at("a.b"), R"({"format":"int8_tensorwise"})");
  const std::string begin = "a.safetensors: '_quantization_metadata' in the header ";
  for (const std::string text : {"", "[1]", "{}", R"({"layers": 3})"}) {
    EXPECT_EQ(header_error(text),
              begin + "is not JSON with \"layers\"; the file is damaged, get it again");
  }
  const std::string deep =
      R"({"layers": {"a\n": )" + std::string(100000, '[') + std::string(100000, ']') + "}}";
  EXPECT_EQ(header_error(deep),
            begin + R"(nests "a\n" too deeply; the file is damaged, get it again)");
  EXPECT_EQ(header_error(std::string((2 << 20) + 1, ' ')),
            begin + "has 2097153 bytes, expected at most 2 MiB of JSON; the file is damaged");
}

}  // namespace
}  // namespace icedit
