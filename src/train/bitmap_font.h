#pragma once
// Small capital letters for captions in pictures, so that no font file is needed.
#include <string>

#include "io/image.h"

namespace icedit {

constexpr int kLetterWidth = 6, kLetterHeight = 9;  // with the gap to the next, unscaled

// Dark on whatever is there, at most to the picture's right edge. Letters are drawn as capitals; a
// character that the font has not is drawn as a box.
void draw_text(Image& onto, int left, int top, const std::string& text, int scale = 1);

// The text in lines of at most `letters`, broken between words where that can be; the last of at
// most `lines` ends in "..." where something was left out.
std::vector<std::string> broken_text(const std::string& text, size_t letters, size_t lines);

}  // namespace icedit
