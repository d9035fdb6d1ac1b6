#include "train/bitmap_font.h"

#include <stb/stb_easy_font.h>

#include <algorithm>
#include <cctype>
#include <cmath>

namespace icedit {
namespace {

struct Corner {  // as stb_easy_font writes it: four of them a rectangle, the third one opposite
  float x, y, z;
  uint8_t colour[4];
};
constexpr size_t kMostRectangles = 16;  // of a letter

// The font has ASCII; another character is a question mark.
std::string ascii(const std::string& utf8) {
  std::string out;
  for (const char c : utf8) {
    if ((uint8_t(c) & 0xC0) == 0x80) continue;  // the rest of a character
    out += c >= ' ' && c <= '~' ? c : '?';
  }
  return out;
}

}  // namespace

void draw_text(Image& onto, int left, int top, const std::string& text, int scale) {
  std::string letters = ascii(text);
  std::vector<Corner> corners(4 * kMostRectangles * letters.size());
  const int count = stb_easy_font_print(0, 0, letters.data(), nullptr, corners.data(),
                                        int(corners.size() * sizeof(Corner)));
  for (size_t i = 0; i < size_t(count); ++i) {
    const Corner &first = corners[4 * i], &opposite = corners[4 * i + 2];
    const int right = std::min(left + int(opposite.x) * scale, onto.width);
    const int bottom = std::min(top + int(opposite.y) * scale, onto.height);
    for (int y = top + int(first.y) * scale; y < bottom; ++y)
      for (int x = left + int(first.x) * scale; x < right; ++x)
        std::fill_n(onto.at(x, y), onto.channels, uint8_t(30));
  }
}

std::vector<std::string> broken_text(const std::string& text, size_t letters, size_t lines) {
  std::vector<std::string> broken;
  std::string rest = text;
  std::replace_if(
      rest.begin(), rest.end(), [](char c) { return std::isspace(uint8_t(c)) != 0; }, ' ');
  letters = std::max<size_t>(letters, 4);
  while (!rest.empty() && broken.size() < lines) {
    if (rest.size() <= letters) {
      broken.push_back(rest);
      break;
    }
    if (broken.size() + 1 == lines) {
      broken.push_back(rest.substr(0, letters - 3) + "...");
      break;
    }
    size_t end = rest.rfind(' ', letters);
    if (end == std::string::npos || end == 0) end = letters;
    broken.push_back(rest.substr(0, end));
    rest.erase(0, rest.find_first_not_of(' ', end));
  }
  return broken;
}

}  // namespace icedit
