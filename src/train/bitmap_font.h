#pragma once
// Small letters for captions in pictures: those of stb_easy_font, so that no font file is needed.
#include <string>

#include "io/image.h"

namespace icedit {

// Room for one, unscaled, with the gap to the next; few letters are as wide.
constexpr int kLetterWidth = 7, kLetterHeight = 11;

// Dark on whatever is there, at most to the picture's right edge. A character that the font has not
// is drawn as a question mark.
void draw_text(Image& onto, int left, int top, const std::string& text, int scale = 1);

// The text in lines of at most `letters`, broken between words where that can be; the last of at
// most `lines` ends in "..." where something was left out.
std::vector<std::string> broken_text(const std::string& text, size_t letters, size_t lines);

}  // namespace icedit
