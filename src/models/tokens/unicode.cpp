#include "models/tokens/unicode.h"

#include <unicode/brkiter.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>
#include <unicode/utext.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <iterator>
#include <memory>

#include "base/error.h"
#include "io/utf8.h"

namespace icedit {
namespace {

struct Range {
  char32_t first, last;
};

// What Unicode 15.1 and 16 added, for an ICU that is older (Debian 12 has 15.0).
constexpr Range kNewLetters[] = {
    {0x1c89, 0x1c8a},   {0xa7cb, 0xa7cd},   {0xa7da, 0xa7dc},   {0x105c0, 0x105f3},
    {0x10d4a, 0x10d65}, {0x10d6f, 0x10d85}, {0x10ec2, 0x10ec4}, {0x11380, 0x11389},
    {0x1138b, 0x1138b}, {0x1138e, 0x1138e}, {0x11390, 0x113b5}, {0x113b7, 0x113b7},
    {0x113d1, 0x113d1}, {0x113d3, 0x113d3}, {0x11bc0, 0x11be0}, {0x13460, 0x143fa},
    {0x16100, 0x1611d}, {0x16d40, 0x16d6c}, {0x18cff, 0x18cff}, {0x1e5d0, 0x1e5ed},
    {0x1e5f0, 0x1e5f0}, {0x2ebf0, 0x2ee5d},
};
constexpr Range kNewNumbers[] = {
    {0x10d40, 0x10d49}, {0x116d0, 0x116e3}, {0x11bf0, 0x11bf9}, {0x16130, 0x16139},
    {0x16d70, 0x16d79}, {0x1ccf0, 0x1ccf9}, {0x1e5f1, 0x1e5fa},
};

// Lower case that came with Unicode 16 and 17.
struct Lower {
  char32_t first, last, lower;  // of `first`; the others follow it
};
constexpr Lower kNewLower[] = {
    {0x1c89, 0x1c89, 0x1c8a},    {0xa7cb, 0xa7cb, 0x264},  {0xa7cc, 0xa7cc, 0xa7cd},
    {0xa7ce, 0xa7ce, 0xa7cf},    {0xa7d2, 0xa7d2, 0xa7d3}, {0xa7d4, 0xa7d4, 0xa7d5},
    {0xa7da, 0xa7da, 0xa7db},    {0xa7dc, 0xa7dc, 0x19b},  {0x10d50, 0x10d65, 0x10d70},
    {0x16ea0, 0x16eb8, 0x16ebb},
};

template <size_t N>
bool contains(const Range (&ranges)[N], char32_t c) {
  const auto* end = std::end(ranges);
  const auto* it = std::lower_bound(std::begin(ranges), end, c,
                                    [](const Range& r, char32_t v) { return r.last < v; });
  return it != end && it->first <= c;
}

bool has_category(char32_t c, uint32_t mask) {
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & mask) != 0;
}

// An ICU newer than Unicode 16 knows letters that the library's regular expressions do not.
bool is_of_unicode_16(char32_t c) {
  UVersionInfo age;
  u_charAge(static_cast<UChar32>(c), age);
  return age[0] <= 16;
}

void check_icu(UErrorCode status) {
  if (U_FAILURE(status))
    throw Error(ExitCode::kFailure, str("ICU's Unicode data cannot be used: ", u_errorName(status),
                                        ". Is the package libicu whole?"));
}

const icu::Normalizer2& nfc_of_unicode_9() {
  static const auto normalizer = [] {
    UErrorCode status = U_ZERO_ERROR;
    const icu::Normalizer2* current = icu::Normalizer2::getNFCInstance(status);
    static const icu::UnicodeSet known(u"[:age=9.0:]", status);
    check_icu(status);
    return std::make_unique<const icu::FilteredNormalizer2>(*current, known);
  }();
  return *normalizer;
}

// Where the first such character begins; the text's size if there is none.
size_t first_that(std::string_view text, bool (*is_it)(char32_t)) {
  const auto size = static_cast<int64_t>(text.size());
  for (int64_t i = 0; i < size;) {
    const auto begin = static_cast<size_t>(i);
    UChar32 c;
    U8_NEXT_OR_FFFD(text.data(), i, size, c);
    if (is_it(static_cast<char32_t>(c))) return begin;
  }
  return text.size();
}

}  // namespace

std::u32string from_utf8(std::string_view utf8) {
  std::u32string out;
  out.reserve(utf8.size());
  const auto size = static_cast<int64_t>(utf8.size());
  for (int64_t i = 0; i < size;) {
    UChar32 c;
    U8_NEXT_OR_FFFD(utf8.data(), i, size, c);
    out.push_back(static_cast<char32_t>(c));
  }
  return out;
}

void append_utf8(char32_t c, std::string& out) {
  char bytes[U8_MAX_LENGTH];
  size_t size = 0;
  U8_APPEND_UNSAFE(bytes, size, static_cast<uint32_t>(c));
  out.append(bytes, size);
}

std::u32string nfc(const std::u32string& text) {
  if (std::all_of(text.begin(), text.end(), [](char32_t c) { return c < 0x300; })) return text;
  const auto utf16 = icu::UnicodeString::fromUTF32(reinterpret_cast<const UChar32*>(text.data()),
                                                   static_cast<int32_t>(text.size()));
  UErrorCode status = U_ZERO_ERROR;
  const icu::UnicodeString composed = nfc_of_unicode_9().normalize(utf16, status);
  check_icu(status);
  std::u32string out;
  out.reserve(text.size());
  for (int32_t i = 0; i < composed.length(); i = composed.moveIndex32(i, 1))
    out.push_back(static_cast<char32_t>(composed.char32At(i)));
  return out;
}

void append_lower(char32_t c, std::u32string& out) {
  if (c == 0x130) {  // I with a dot above
    out += U"i\u0307";
    return;
  }
  for (const Lower& row : kNewLower)
    if (row.first <= c && c <= row.last) {
      out.push_back(row.lower + (c - row.first));
      return;
    }
  out.push_back(static_cast<char32_t>(u_tolower(static_cast<UChar32>(c))));
}

bool is_letter(char32_t c) {
  return (has_category(c, U_GC_L_MASK) && is_of_unicode_16(c)) || contains(kNewLetters, c);
}

bool is_number(char32_t c) {
  return (has_category(c, U_GC_N_MASK) && is_of_unicode_16(c)) || contains(kNewNumbers, c);
}

bool is_white_space(char32_t c) {
  return u_isUWhiteSpace(static_cast<UChar32>(c));
}

std::vector<std::string_view> graphemes(std::string_view utf8) {
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<UText, decltype(&utext_close)> text(
      utext_openUTF8(nullptr, utf8.data(), static_cast<int64_t>(utf8.size()), &status),
      &utext_close);
  const std::unique_ptr<icu::BreakIterator> breaks(
      icu::BreakIterator::createCharacterInstance(icu::Locale::getRoot(), status));
  check_icu(status);
  breaks->setText(text.get(), status);
  check_icu(status);
  std::vector<std::string_view> out;
  for (int32_t start = breaks->first(), end = breaks->next(); end != icu::BreakIterator::DONE;
       start = end, end = breaks->next())
    out.push_back(utf8.substr(static_cast<size_t>(start),
                              static_cast<size_t>(end) - static_cast<size_t>(start)));
  return out;
}

std::string_view without_trailing_space(std::string_view text) {
  auto end = static_cast<int32_t>(text.size());
  for (int32_t at = end; at > 0;) {
    UChar32 c;
    U8_PREV_OR_FFFD(reinterpret_cast<const uint8_t*>(text.data()), 0, at, c);
    if (!is_white_space(static_cast<char32_t>(c))) break;
    end = at;
  }
  return text.substr(0, static_cast<size_t>(end));
}

std::string_view without_leading_space(std::string_view text) {
  return text.substr(first_that(text, [](char32_t c) { return !is_white_space(c); }));
}

std::string_view up_to_space(std::string_view text) {
  return text.substr(0, first_that(text, is_white_space));
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (size_t at = text.find(from); at != std::string_view::npos; at = text.find(from)) {
    out.append(text.substr(0, at)).append(to);
    text.remove_prefix(at + from.size());
  }
  return out.append(text);
}

}  // namespace icedit
