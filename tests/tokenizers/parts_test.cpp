// The tokenizers' parts, on vocabularies small enough to follow by hand.
#include "base/error.h"
#include "models/tokens/added_tokens.h"
#include "models/tokens/bpe.h"
#include "models/tokens/charsmap.h"
#include "models/tokens/unicode.h"
#include "models/tokens/unigram.h"
#include "tokenizer_files.h"

namespace icedit {
namespace {

std::string lower(const std::string& text) {
  std::u32string out;
  for (const char32_t c : from_utf8(text)) append_lower(c, out);
  std::string utf8;
  for (const char32_t c : out) append_utf8(c, utf8);
  return utf8;
}

std::string composed(const std::string& text) {
  std::string utf8;
  for (const char32_t c : nfc(from_utf8(text))) append_utf8(c, utf8);
  return utf8;
}

TEST(Unicode, LowerCase) {
  EXPECT_EQ(lower("STRASSE \u00c9\u1e9e"), "strasse \u00e9\u00df");
  EXPECT_EQ(lower("\u0130"), "i\u0307");
  EXPECT_EQ(lower("\u039f\u0394\u03a3"), "\u03bf\u03b4\u03c3");                  // no final sigma
  EXPECT_EQ(lower("\ua7cb\U00010d55\U00016ea0"), "\u0264\U00010d75\U00016ebb");  // Unicode 16, 17
}

TEST(Unicode, CompositionOfVersionNine) {
  EXPECT_EQ(composed("e\u0301"), "\u00e9");
  EXPECT_EQ(composed("e\u0323\u0302"), "\u1ec7");
  EXPECT_EQ(composed("q\u0301\u0323"), "q\u0323\u0301");
  EXPECT_EQ(composed("q\u0898\u0334"), "q\u0898\u0334");  // a mark of Unicode 14 stays in its place
  EXPECT_EQ(composed("\U00011935\U00011930"), "\U00011935\U00011930");  // composes since 13
}

TEST(Unicode, Classes) {
  EXPECT_TRUE(is_letter(0x13460) && is_letter(0x2ebf0) && is_letter(U'\u00aa'));  // 16, 15.1, 1.1
  EXPECT_FALSE(is_letter(0x1345f) && is_letter(0x143fb));
  EXPECT_FALSE(is_letter(0xa7ce));  // Unicode 17
  EXPECT_TRUE(is_number(0x10d49) && is_number(U'\u00bd') && is_number(U'\u3007'));
  EXPECT_TRUE(is_white_space(0x85) && is_white_space(0x3000) && is_white_space(0x2028));
  EXPECT_FALSE(is_white_space(0x200b) || is_white_space(0xfeff) || is_white_space(0x180e));
}

TEST(Unicode, Space) {
  EXPECT_EQ(without_trailing_space("a \u3000\n"), "a");
  EXPECT_EQ(without_leading_space("\u3000\u0085 a "), "a ");
  EXPECT_EQ(up_to_space("\u732b\u2003b"), "\u732b");
  EXPECT_EQ(up_to_space("ab"), "ab");
  EXPECT_EQ(without_trailing_space(" "), "");
}

std::vector<int32_t> encoded(const Bpe& bpe, const std::string& word) {
  std::vector<int32_t> ids;
  bpe.encode(word, ids);
  return ids;
}

TEST(BpeTest, TheEarliestMergeGoesFirstAndTheLeftmostOfEqualOnes) {
  BpeVocabulary v;
  v.ids = {{"?", 0},  {"a", 1},      {"b", 2},  {"c</w>", 3},
           {"ab", 4}, {"bc</w>", 5}, {"aa", 6}, {"a</w>", 7}};
  v.merges = {{"b", "c</w>"}, {"a", "b"}, {"a", "a"}};
  const Bpe bpe(v, "?");
  EXPECT_EQ(encoded(bpe, "abc"), (Ids{1, 5}));
  EXPECT_EQ(encoded(bpe, "abba"), (Ids{4, 2, 7}));
  EXPECT_EQ(encoded(bpe, "aaaa"), (Ids{6, 1, 7}));
  EXPECT_EQ(encoded(bpe, "a!"), (Ids{1, 0}));
  EXPECT_EQ(encoded(bpe, ""), Ids{});
  EXPECT_EQ(bpe.bytes(5), "bc</w>");
  EXPECT_EQ(bpe.bytes(99), "");
}

TEST(BpeTest, AVocabularyThatLacksTokensIsAnError) {
  BpeVocabulary v;
  v.where = "vocab.json";
  v.ids = {{"?", 0}, {"a", 1}, {"b", 2}};
  v.merges = {{"a", "b"}};
  const std::string message = message_of<CheckpointError>([&] { Bpe bpe(v, "?"); });
  EXPECT_NE(message.find("merge 1, 'a b'"), std::string::npos) << message;
  v.merges.clear();
  EXPECT_NE(message_of<CheckpointError>([&] { Bpe bpe(v, "<unk>"); }).find("unknown token '<unk>'"),
            std::string::npos);
}

std::vector<int32_t> encoded(const Unigram& unigram, const std::string& word) {
  std::vector<int32_t> ids;
  unigram.encode(word, ids);
  return ids;
}

TEST(UnigramTest, TheBestSumWins) {
  const Unigram unigram(
      {{"", 0}, {"b", -5}, {"?", 0}, {"a", -1}, {"ab", -3}, {"abc", -9}, {"c", -2}, {"cab", -1}}, 2,
      "x");
  EXPECT_EQ(encoded(unigram, "abc"), (Ids{4, 6}));    // -5 beats abc's -9
  EXPECT_EQ(encoded(unigram, "abcab"), (Ids{4, 7}));  // -4
  EXPECT_EQ(encoded(unigram, "zz\u732b"), (Ids{2}));  // one token for a run of unknowns
  EXPECT_EQ(encoded(unigram, "zaz"), (Ids{2, 3, 2}));
  EXPECT_EQ(encoded(unigram, ""), Ids{});
  EXPECT_EQ(unigram.find("abc"), 5);
  EXPECT_EQ(unigram.find("bc"), -1);
}

TEST(UnigramTest, OfTheSamePiecesTheLastOneCounts) {
  const Unigram unigram({{"a", -1}, {"a", -2}, {"?", 0}, {"a", -3}}, 2, "x");
  EXPECT_EQ(encoded(unigram, "a"), (Ids{3}));
}

// A tie goes to the piece that starts first, since a later one must be better to replace it.
TEST(UnigramTest, ATieGoesToTheLongerLastPiece) {
  const Unigram unigram({{"ab", -1}, {"c", -1}, {"?", 0}, {"a", -1}, {"bc", -1}}, 2, "x");
  EXPECT_EQ(encoded(unigram, "abc"), (Ids{3, 4}));
}

TEST(CharsmapTest, WithoutATableNothingChanges) {
  EXPECT_EQ(Charsmap("", "x").normalise("\ufb01\u00bd a"), "\ufb01\u00bd a");
}

// nmt_nfkc as the tokenizers library applies it: a grapheme of up to five bytes is looked up whole,
// and what the table has for its shortest prefix replaces all of it.
TEST(CharsmapTest, WholeGraphemesFirst) {
  const Json json = read_json(nano("tokenizer_2") / "tokenizer.json");
  const Charsmap charsmap(
      Charsmap::decode_base64(json["normalizer"]["precompiled_charsmap"].get<std::string>(), "x"),
      "x");
  EXPECT_EQ(charsmap.normalise("\ufb01ne \u00bd \uff21"), "fine 1\u20442 A");
  EXPECT_EQ(charsmap.normalise("e\u0301"), "\u00e9");
  EXPECT_EQ(charsmap.normalise("a\r\nb"), "a b");
  EXPECT_EQ(charsmap.normalise("\ufb01\u0301"),
            "fi");  // five bytes: the accent is lost with the ligature
  EXPECT_EQ(charsmap.normalise(std::string("\0\u00ad\u200b", 6)), std::string("\0\u00ad ", 4));
}

std::string described(const AddedTokens& tokens, const std::string& text) {
  std::string out;
  std::vector<int32_t> ids = tokens.encode(
      text, [](std::string_view s) { return lower(std::string(s)); },
      [&](std::string_view s, std::vector<int32_t>& into) {
        out += str("[", s, "]");
        into.push_back(-7);
      });
  return str(out, " ", ids);
}

AddedTokens added(std::vector<AddedToken> tokens) {
  return {std::move(tokens), [](std::string_view s) { return lower(std::string(s)); }};
}

TEST(AddedTokensTest, TheLongestAtTheLeftmostPlace) {
  const AddedTokens tokens = added(
      {{.content = "<a>", .id = 1}, {.content = "<a><b>", .id = 2}, {.content = "<b>", .id = 3}});
  EXPECT_EQ(described(tokens, "x<a><b><a>y<B>"), "[x][y<b>] [-7, 2, 1, -7]");
  EXPECT_EQ(described(tokens, ""), " []");
}

TEST(AddedTokensTest, NormalisedOnesMatchInAnyCase) {
  const AddedTokens tokens = added({{.content = "<A>", .normalized = true, .id = 1}});
  EXPECT_EQ(described(tokens, "x<a>Y<A>"), "[x][y] [-7, 1, -7, 1]");
}

TEST(AddedTokensTest, WhiteSpaceGoesWithTheToken) {
  const AddedTokens both = added({{.content = "#", .lstrip = true, .rstrip = true, .id = 1}});
  EXPECT_EQ(described(both, "a # \n # b"), "[a][b] [-7, 1, 1, -7]");
  const AddedTokens left = added({{.content = "#", .lstrip = true, .id = 1}});
  EXPECT_EQ(described(left, " # b"), "[ b] [1, -7]");
}

}  // namespace
}  // namespace icedit
