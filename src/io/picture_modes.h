#pragma once
// Pictures as Pillow holds them before any conversion: its Image.resize goes by the mode, so a data
// set's `resize(...).convert("RGB")` is another picture than a resize of the RGB one.
#include <string>

#include "io/resize.h"

namespace icedit {

struct OpenedImage {
  Image image;           // 3 channels, or 4 where there is alpha; upright
  bool nearest = false;  // a palette or one-bit picture, which Pillow resizes by nearest
};

// Differs from Pillow for 16-bit grey and CMYK, which are converted here and not after resizing.
// Throws NoInputError as decode_image.
OpenedImage open_image(Bytes bytes, const std::string& where, int64_t max_pixels = kMaxPixels);

// Pillow's resize((width, height)).convert("RGB"): bicubic on premultiplied colours, or nearest;
// then alpha is dropped.
Image resize_to_rgb(const OpenedImage& opened, int width, int height);

// Upright, from the headers alone. Throws NoInputError: no picture, no size in it.
Size picture_size(Bytes bytes, const std::string& where);

}  // namespace icedit
