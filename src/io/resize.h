#pragma once
// Pillow's Image.resize to the last bit, for 8-bit pictures. RGBA is resized premultiplied, as
// Pillow does. Source: Pillow's libImaging/Resample.c (method) and Geometry.c (nearest); the
// goldens under image/ hold the pixels.
#include "io/image.h"

namespace icedit {

struct Size {
  int width = 0, height = 0;
  bool operator==(const Size&) const = default;
};

enum class Filter { kNearest, kBilinear, kBicubic, kLanczos };

Image resize(const Image& image, int width, int height, Filter filter);

// The part [x0, x1) x [y0, y1); what lies outside the picture is 0, as Pillow's crop.
Image crop(const Image& image, int x0, int y0, int x1, int y1);

// What would lie outside `onto` is left out. Grey becomes grey of `onto`'s channels.
void paste(const Image& picture, Image& onto, int left, int top = 0);

}  // namespace icedit
