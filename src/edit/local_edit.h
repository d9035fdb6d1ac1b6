#pragma once
// Local edits of large photos: a part is edited at the model's full width and put back.
#include <optional>
#include <string>

#include "io/resize.h"

namespace icedit {

// Pixels of the upright picture; no width says: around the mask.
struct Box {
  int x = 0, y = 0, width = 0, height = 0;
  bool around_mask() const { return width == 0; }
  bool operator==(const Box&) const = default;
};

// "X,Y,W,H" or "auto". Nothing where a text is neither.
std::optional<Box> parse_box(const std::string& text);
std::string box_text(const Box& box);

// What is edited for a box that was asked for, of a picture of this size. `mask`: nullptr for none.
// "auto" is the box of the mask's white with a quarter of its longer side around it, within the
// picture, and at least `least` pixels a side where the picture has them. Throws UsageError for a
// box that leaves the picture or is smaller than 16 pixels a side, and for "auto" without a mask.
Box resolved_box(const Box& asked, Size picture, const Image* mask, int least);

Image crop(const Image& image, const Box& box);

// `part` back into `whole` at the box. Along those sides of the box that are not the picture's the
// two are blended over a sixteenth of its shorter side, so that no seam is seen.
Image put_back(const Image& whole, const Image& part, const Box& box);

}  // namespace icedit
