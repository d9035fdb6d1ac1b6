// Any bytes at all: no crash, ids that the embedding has, and no time that grows with the square of
// the length.
#include <chrono>
#include <random>

#include "base/error.h"
#include "io/utf8.h"
#include "models/clip/tokenizer.h"
#include "models/t5/tokenizer.h"
#include "models/tokens/unicode.h"
#include "tokenizer_files.h"

namespace icedit {
namespace {

constexpr const char* kPieces[] = {"<|startoftext|>", "<|endoftext|>", "</s>",   "<extra_id_5>",
                                   "<unk>",           "\u2581",        "'s",     "cat",
                                   "\u0301",          "\U0001f468",    "\u200d", " "};

// Bytes, code points (surrogates and beyond the last one among them) and whole tokens, mixed.
std::string random_text(std::mt19937& random) {
  std::string text;
  const auto below = [&](uint32_t n) { return random() % n; };
  for (uint32_t i = below(40); i > 0; --i) {
    const uint32_t kind = below(4);
    if (kind == 0) text.push_back(static_cast<char>(below(256)));
    if (kind == 1) append_utf8(static_cast<char32_t>(below(0x110000)), text);
    if (kind == 2) append_utf8(static_cast<char32_t>(below(0x3000)), text);
    if (kind == 3) text += kPieces[below(std::size(kPieces))];
  }
  return text;
}

template <class Tokenizer>
void expect_ids_in_range(const Tokenizer& tokenizer, const std::string& text) {
  const Ids ids = tokenizer.encode(text);
  const auto in_range = [&](int32_t id) { return id >= 0 && id < tokenizer.vocab_size(); };
  EXPECT_TRUE(std::all_of(ids.begin(), ids.end(), in_range)) << Json(text).dump();
  const Ids padded = tokenizer.encode(text, 16);
  EXPECT_EQ(padded.size(), 16u);
  EXPECT_TRUE(std::all_of(padded.begin(), padded.end(), in_range));
  const std::string decoded = tokenizer.decode(ids);
  EXPECT_EQ(decoded, valid_utf8(decoded));
}

TEST(AnyBytes, IdsAreInRange) {
  const ClipTokenizer clip(nano("tokenizer"));
  const T5Tokenizer t5(tiny("tokenizer_2"));
  std::mt19937 random(4);
  for (int i = 0; i < 3000; ++i) {
    const std::string text = random_text(random);
    expect_ids_in_range(clip, text);
    expect_ids_in_range(t5, text);
  }
}

TEST(AnyBytes, MalformedUtf8IsReplacementCharacters) {
  const ClipTokenizer clip(nano("tokenizer"));
  const T5Tokenizer t5(tiny("tokenizer_2"));
  for (const auto& [bad, good] : std::vector<std::pair<std::string, std::string>>{
           {"a\xff z", "a\uFFFD z"},
           {"\xc3", "\uFFFD"},
           {"\xe2\x96", "\uFFFD"},
           {"\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD"},
           {"\xf4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
           {"\xc0\xaf", "\uFFFD\uFFFD"}}) {
    EXPECT_EQ(valid_utf8(bad), good);
    EXPECT_EQ(clip.encode(bad), clip.encode(good));
    EXPECT_EQ(t5.encode(bad), t5.encode(good));
  }
}

// Each takes some 20 ms with the full-size vocabularies; with a quadratic step it would be minutes.
TEST(AnyBytes, LongTextsTakeLinearTime) {
  const ClipTokenizer clip(tiny("tokenizer"));
  const T5Tokenizer t5(tiny("tokenizer_2"));
  const auto start = std::chrono::steady_clock::now();
  for (const char* unit : {"x", "the", "a ", "<", "<|endoftext|>", " <extra_id_0>", "\u732b",
                           "\u2581", "e\u0301", "\u0301", " "}) {
    std::string text;
    while (text.size() < 100000) text += unit;
    expect_ids_in_range(clip, text);
    expect_ids_in_range(t5, text);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

TEST(AnyBytes, ATextBeyondTheLimitIsAnError) {
  const T5Tokenizer t5(tiny("tokenizer_2"));
  const std::string message =
      message_of<UsageError>([&] { t5.encode(std::string((size_t{1} << 20) + 1, 'a')); });
  EXPECT_NE(message.find("1048577"), std::string::npos) << message;
}

TEST(AnyBytes, LengthsThatHoldNoText) {
  const ClipTokenizer clip(nano("tokenizer"));
  const T5Tokenizer t5(nano("tokenizer_2"));
  EXPECT_EQ(clip.encode("a cat", 2), (Ids{758, 759}));
  EXPECT_EQ(t5.encode("a cat", 1), (Ids{1}));
  for (const int64_t length : {INT64_MIN, int64_t{-1}, int64_t{0}, INT64_MAX}) {
    EXPECT_THROW(clip.encode("a", length), UsageError);
    EXPECT_THROW(t5.encode("a", length), UsageError);
  }
  EXPECT_THROW(clip.encode("a", 1), UsageError);
}

TEST(AnyBytes, IdsThatAreNoneAreLeftOutOfTheText) {
  const ClipTokenizer clip(nano("tokenizer"));
  const T5Tokenizer t5(nano("tokenizer_2"));
  for (const Ids& ids : {Ids{-1}, Ids{INT32_MAX}, Ids{INT32_MIN}, Ids{}}) {
    EXPECT_EQ(clip.decode(ids), "");
    EXPECT_EQ(t5.decode(ids), "");
  }
}

}  // namespace
}  // namespace icedit
