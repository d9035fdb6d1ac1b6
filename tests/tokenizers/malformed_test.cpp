// Folders that lack files and files that are broken: an error that names them, never a crash.
#include "base/error.h"
#include "models/clip/tokenizer.h"
#include "models/t5/tokenizer.h"
#include "models/tokens/spiece.h"
#include "tokenizer_files.h"

namespace icedit {
namespace {

bool mentions(const std::string& message, const std::string& part) {
  return message.find(part) != std::string::npos;
}

TEST(MissingFiles, ClipNamesThem) {
  const TempFolder folder;
  const auto open = [&] { ClipTokenizer tokenizer(folder.path()); };
  std::string message = message_of<ModelUnavailable>(open);
  for (const char* part : {"vocab.json", "merges.txt", "tokenizer.json"})
    EXPECT_PRED2(mentions, message, part);
  EXPECT_PRED2(mentions, message, folder.path().string());

  folder.copy(nano("tokenizer"), "vocab.json");
  message = message_of<ModelUnavailable>(open);
  EXPECT_PRED2(mentions, message, "has no merges.txt");
  std::filesystem::remove(folder.path() / "vocab.json");
  folder.copy(nano("tokenizer"), "merges.txt");
  EXPECT_PRED2(mentions, message_of<ModelUnavailable>(open), "has no vocab.json");
}

TEST(MissingFiles, T5NamesThem) {
  const TempFolder folder;
  const std::string message = message_of<ModelUnavailable>([&] { T5Tokenizer t5(folder.path()); });
  EXPECT_PRED2(mentions, message, "spiece.model");
  EXPECT_PRED2(mentions, message, "tokenizer.json");
}

TEST(MissingFiles, NoFolder) {
  const Path none = nano("no such folder"), file = nano("icedit.json");
  EXPECT_PRED2(mentions, message_of<ModelUnavailable>([&] { ClipTokenizer t(none); }),
               "does not exist");
  EXPECT_PRED2(mentions, message_of<ModelUnavailable>([&] { T5Tokenizer t(none); }),
               "does not exist");
  EXPECT_PRED2(mentions, message_of<ModelUnavailable>([&] { T5Tokenizer t(file); }),
               "not a folder");
}

// A folder of nano's files, one of them with other content.
template <class Tokenizer>
void expect_broken(const std::vector<std::string>& kept, const Path& from, const std::string& name,
                   const std::string& content) {
  const TempFolder folder;
  for (const std::string& file : kept)
    if (file != name) folder.copy(from, file);
  folder.write(name, content);
  const std::string message =
      message_of<CheckpointError>([&] { Tokenizer tokenizer(folder.path()); });
  EXPECT_PRED2(mentions, message, folder.path().string()) << content.substr(0, 80);
}

TEST(BrokenFiles, VocabJson) {
  for (const char* content : {"",
                              "{",
                              "[]",
                              "3",
                              "null",
                              "\"a\"",
                              "{}",
                              "{\"a\": }",
                              "{\"a\": -1}",
                              "{\"a\": 1.5}",
                              "{\"a\": \"1\"}",
                              "{\"a\": [1]}",
                              "{\"a\": {\"b\": 1}}",
                              "{\"a\": 99999999999}",
                              "{\"a\": 4194304}",
                              "{\"a\": 1}",
                              "{\"a\": true}",
                              "{\"\xff\": 1}",
                              "{\"a\": 1} x",
                              "\x1f\x8b\x08"})
    expect_broken<ClipTokenizer>({"merges.txt"}, nano("tokenizer"), "vocab.json", content);
}

TEST(BrokenFiles, DeeplyNestedJson) {
  const std::string deep(200000, '[');
  expect_broken<ClipTokenizer>({"merges.txt"}, nano("tokenizer"), "vocab.json", deep);
  expect_broken<ClipTokenizer>({}, nano("tokenizer"), "tokenizer.json", deep);
  expect_broken<T5Tokenizer>({}, nano("tokenizer_2"), "tokenizer.json",
                             deep + std::string(200000, ']'));
}

TEST(BrokenFiles, MergesTxt) {
  for (const char* content :
       {"a", "#version: 0.2\nt h\nth", "t h e", "t  h", "t h\nq qq", "\xff \xfe",
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1"})
    expect_broken<ClipTokenizer>({"vocab.json"}, nano("tokenizer"), "merges.txt", content);
}

TEST(BrokenFiles, MergesTxtOfWindows) {
  const TempFolder folder;
  folder.copy(nano("tokenizer"), "vocab.json");
  std::string text;
  for (const char c : read_file(nano("tokenizer") / "merges.txt"))
    text += c == '\n' ? "\r\n" : std::string(1, c);
  folder.write("merges.txt", text + "\r\n");
  EXPECT_EQ(ClipTokenizer(folder.path()).encode("the picture"),
            ClipTokenizer(nano("tokenizer")).encode("the picture"));
}

TEST(BrokenFiles, ClipTokenizerJson) {
  const Json whole = read_json(nano("tokenizer") / "tokenizer.json");
  const auto expect = [&](const char* pointer, const Json& value) {
    Json json = whole;
    json[Json::json_pointer(pointer)] = value;
    expect_broken<ClipTokenizer>({}, nano("tokenizer"), "tokenizer.json", json.dump());
  };
  expect("/model", nullptr);
  expect("/model", Json::array());
  expect("/model/type", "Unigram");
  expect("/model/vocab", Json::array({"a"}));
  expect("/model/vocab/!", -3);
  expect("/model/merges", "a b");
  expect("/model/merges/0", Json::array({"t"}));
  expect("/model/merges/0", "t");
  expect("/model/merges/0", 5);
  expect("/added_tokens", 5);
  expect("/added_tokens/0", "a");
  expect("/added_tokens/0/content", 5);
  expect("/added_tokens/0/id", "5");
  expect_broken<ClipTokenizer>({}, nano("tokenizer"), "tokenizer.json", "[]");
}

TEST(BrokenFiles, T5TokenizerJson) {
  const Json whole = read_json(nano("tokenizer_2") / "tokenizer.json");
  const auto expect = [&](const char* pointer, const Json& value) {
    Json json = whole;
    json[Json::json_pointer(pointer)] = value;
    expect_broken<T5Tokenizer>({}, nano("tokenizer_2"), "tokenizer.json", json.dump());
  };
  expect("/model", 1);
  expect("/model/type", "BPE");
  expect("/model/vocab", Json::object());
  expect("/model/vocab", Json::array());
  expect("/model/vocab/0", Json::array({"a"}));
  expect("/model/vocab/0", Json::array({1, 2}));
  expect("/model/vocab/0", Json::array({"a", "b"}));
  expect("/normalizer", 5);
  expect("/normalizer/precompiled_charsmap", 5);
  expect("/normalizer/precompiled_charsmap", "***");
  expect("/normalizer/precompiled_charsmap", "AAAA");
  expect("/normalizer/precompiled_charsmap", "/////w==");
  expect("/normalizer/precompiled_charsmap", "BAAAAAAAAAD/");  // a trie of one unit, then no UTF-8
}

TEST(BrokenFiles, Settings) {
  for (const char* content :
       {"", "[]", "{\"eos_token\": {}}", "{\"pad_token\": \"\"}",
        "{\"eos_token\": {\"content\": 1}}", "{\"padding_side\": \"up\"}",
        "{\"added_tokens_decoder\": []}", "{\"added_tokens_decoder\": {\"x\": \"a\"}}",
        "{\"added_tokens_decoder\": {\"99999999999999999999\": \"a\"}}",
        "{\"added_tokens_decoder\": {\"5\": 5}}", "{\"extra_ids\": -1}", "{\"extra_ids\": 1e9}",
        "{\"extra_ids\": \"a\"}", "{\"extra_special_tokens\": 5}",
        "{\"additional_special_tokens\": [5]}", "{\"split_special_tokens\": 5}",
        "{\"eos_token\": {\"content\": \"a\", \"lstrip\": 5}}"}) {
    expect_broken<ClipTokenizer>({"vocab.json", "merges.txt"}, nano("tokenizer"),
                                 "tokenizer_config.json", content);
    expect_broken<T5Tokenizer>({"spiece.model"}, nano("tokenizer_2"), "tokenizer_config.json",
                               content);
  }
  for (const char* content :
       {"{", "[1]", "{\"pad_token\": {}}", "{\"additional_special_tokens\": 1}"})
    expect_broken<T5Tokenizer>({"spiece.model"}, nano("tokenizer_2"), "special_tokens_map.json",
                               content);
  for (const char* content : {"{", "[1]", "{\"a\": -1}", "{\"a\": \"b\"}", "{\"a\": 99999999999}"})
    expect_broken<T5Tokenizer>({"spiece.model"}, nano("tokenizer_2"), "added_tokens.json", content);
}

TEST(BrokenFiles, SpieceModel) {
  const auto expect = [](const std::string& bytes) {
    expect_broken<T5Tokenizer>({}, nano("tokenizer_2"), "spiece.model", bytes);
  };
  for (const char* content :
       {"", "version https://git-lfs.github.com/spec/v1\n", "{}", "\n", "\x0a\x7f"})
    expect(content);
  expect(std::string(64, '\xff'));
  expect(std::string("\x0a\x03\x0a\x01\x61", 5));          // one piece: none is the unknown one
  expect(std::string("\x0a\x05\x15\x00\x00\xc0\x7f", 7));  // a score that is NaN
  expect(std::string("\x0a\x00\x12\x02\x18\x02", 6));      // model_type 2, BPE
  expect(std::string("\x0a\x00\x0a\x00\x0a\x00\x1a\x04\x12\x02zz", 12));  // a table of two bytes
}

// Each cut and each changed byte either reads or is a CheckpointError.
TEST(BrokenFiles, EveryCutOfASpieceModel) {
  std::string whole = read_file(tiny("tokenizer_2") / "spiece.model");
  const SpieceModel model = SpieceModel::parse(whole, "whole");
  EXPECT_EQ(model.pieces.size(), 676u);
  EXPECT_EQ(model.pieces[0].type, SpieceModel::Type::kControl);
  EXPECT_EQ(model.pieces[2].type, SpieceModel::Type::kUnknown);
  EXPECT_GT(model.charsmap.size(), 100000u);
  const auto attempt = [](const std::string& bytes) {
    try {
      SpieceModel::parse(bytes, "changed");
    } catch (const CheckpointError& e) {
      EXPECT_PRED2(mentions, e.what(), "changed");
    }
  };
  for (size_t size = 0; size < 2000; ++size) attempt(whole.substr(0, size));
  for (size_t i = 0; i < 2000; ++i) {
    const char kept = whole[i];
    whole[i] = static_cast<char>(kept ^ (1 << (i % 8)));
    attempt(whole);
    whole[i] = kept;
  }
}

}  // namespace
}  // namespace icedit
