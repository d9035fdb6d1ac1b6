// Every id of the reference data: transformers' CLIPTokenizer and T5TokenizerFast.
#include "base/error.h"
#include "models/clip/tokenizer.h"
#include "models/t5/tokenizer.h"
#include "tokenizer_files.h"

namespace icedit {
namespace {

TEST(TokenizerGoldens, PaddedIdsOfTheTinyModel) {
  const Json cases = read_json(golden("tokenizer/cases.json"));
  const SafetensorsFile ids(golden("tokenizer/cases.safetensors"));
  const ClipTokenizer clip(tiny("tokenizer"));
  const T5Tokenizer t5(tiny("tokenizer_2"));
  const auto clip_77 = rows(ids, "clip_77.input_ids");
  const auto t5_128 = rows(ids, "t5_128.input_ids"), t5_512 = rows(ids, "t5_512.input_ids");
  ASSERT_EQ(cases.size(), clip_77.size());
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto text = cases[i]["text"].get<std::string>();
    EXPECT_EQ(clip.encode(text, 77), clip_77[i]) << text;
    EXPECT_EQ(t5.encode(text, 128), t5_128[i]) << text;
    EXPECT_EQ(t5.encode(text, 512), t5_512[i]) << text;
    EXPECT_EQ(clip.encode(text).size(), cases[i]["clip_untruncated_length"].get<size_t>()) << text;
    EXPECT_EQ(t5.encode(text).size(), cases[i]["t5_untruncated_length"].get<size_t>()) << text;
  }
}

TEST(TokenizerGoldens, WholeIdsOfTheTinyModel) {
  const Json cases = read_json(golden("tokenizer/cases.json"));
  const Json whole = read_json(golden("tokenizer/untruncated.json"));
  const ClipTokenizer clip(tiny("tokenizer"));
  const T5Tokenizer t5(tiny("tokenizer_2"));
  ASSERT_GT(whole.size(), 50u);
  for (const auto& [number, ids] : whole.items()) {
    const auto text = cases.at(std::stoul(number))["text"].get<std::string>();
    EXPECT_EQ(clip.encode(text), ids["clip"].get<Ids>()) << text;
    EXPECT_EQ(t5.encode(text), ids["t5"].get<Ids>()) << text;
  }
}

TEST(TokenizerGoldens, PromptsOfTheTextEncoders) {
  const Json prompts = read_json(golden("text/prompts.json"));
  const SafetensorsFile file(golden("text/text.safetensors"));
  const auto clip_ids = rows(file, "clip.input_ids"), t5_ids = rows(file, "t5.input_ids");
  const ClipTokenizer clip(tiny("tokenizer"));
  const T5Tokenizer t5(tiny("tokenizer_2"));
  ASSERT_EQ(prompts.size(), clip_ids.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto text = prompts[i].get<std::string>();
    EXPECT_EQ(clip.encode(text, 77), clip_ids[i]) << text;
    EXPECT_EQ(t5.encode(text, static_cast<int64_t>(t5_ids[i].size())), t5_ids[i]) << text;
  }
}

TEST(TokenizerGoldens, NanoWholePaddedAndDecoded) {
  const Json cases = read_json(golden("tokenizer/nano_cases.json"))["cases"];
  const ClipTokenizer clip(nano("tokenizer"));
  const T5Tokenizer t5(nano("tokenizer_2"));
  ASSERT_GT(cases.size(), 150u);
  for (const Json& c : cases) {
    const auto text = c["text"].get<std::string>();
    const Ids clip_ids = clip.encode(text), t5_ids = t5.encode(text);
    EXPECT_EQ(clip_ids, c["clip"].get<Ids>()) << text;
    EXPECT_EQ(t5_ids, c["t5"].get<Ids>()) << text;
    EXPECT_EQ(clip.encode(text, 12), c["clip_12"].get<Ids>()) << text;
    EXPECT_EQ(t5.encode(text, 12), c["t5_12"].get<Ids>()) << text;
    EXPECT_EQ(clip.decode(clip_ids), c["clip_text"].get<std::string>()) << text;
    EXPECT_EQ(t5.decode(t5_ids), c["t5_text"].get<std::string>()) << text;
  }
}

// What some publishers' folders have and FLUX.1's have not, by the golden case that does: an error
// names it.
const std::map<std::string, std::string> kUnknown = {
    {"clip_new_pad", "image_token"},     {"clip_left", "padding_side"},
    {"t5_left", "padding_side"},         {"clip_added", "added_tokens.json"},
    {"clip_single_word", "single_word"}, {"clip_split_special", "split_special_tokens"}};

// Folders as other publishers write them: with other settings, of older versions, with one file
// only.
TEST(TokenizerGoldens, FoldersWithOtherFiles) {
  const Json variants = read_json(golden("tokenizer/nano_cases.json"))["variants"];
  ASSERT_GE(variants.size(), 15u);
  for (const auto& [name, variant] : variants.items()) {
    SCOPED_TRACE(name);
    const bool is_clip = variant["tokenizer"] == "clip";
    const TempFolder folder;
    for (const Json& file : variant["kept"])
      folder.copy(nano(is_clip ? "tokenizer" : "tokenizer_2"), file.get<std::string>());
    for (const auto& [file, content] : variant["written"].items())
      folder.write(file, content.dump());
    if (const auto unknown = kUnknown.find(name); unknown != kUnknown.end()) {
      const std::string message = message_of<CheckpointError>([&] {
        if (is_clip)
          ClipTokenizer(folder.path());
        else
          T5Tokenizer(folder.path());
      });
      EXPECT_NE(message.find(unknown->second), std::string::npos) << message;
      continue;
    }
    const auto compare = [&](const auto& tokenizer) {
      for (const Json& c : variant["cases"]) {
        const auto text = c["text"].get<std::string>();
        EXPECT_EQ(tokenizer.encode(text), c["ids"].get<Ids>()) << text;
        EXPECT_EQ(tokenizer.encode(text, 12), c["ids_12"].get<Ids>()) << text;
      }
    };
    if (is_clip)
      compare(ClipTokenizer(folder.path()));
    else
      compare(T5Tokenizer(folder.path()));
  }
}

TEST(TokenizerGoldens, VocabularySizes) {
  EXPECT_EQ(ClipTokenizer(tiny("tokenizer")).vocab_size(), 1214);
  EXPECT_EQ(T5Tokenizer(tiny("tokenizer_2")).vocab_size(), 776);
  EXPECT_EQ(ClipTokenizer(nano("tokenizer")).vocab_size(), 760);
  EXPECT_EQ(T5Tokenizer(nano("tokenizer_2")).vocab_size(), 295);
}

}  // namespace
}  // namespace icedit
