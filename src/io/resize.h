#pragma once
// Pillow's Image.resize to the last bit, for 8-bit pictures. RGBA is resized premultiplied, as
// Pillow does. Source: Pillow's libImaging/Resample.c (method) and Geometry.c (nearest); the
// goldens under image/ hold the pixels.
#include "io/image.h"

namespace icedit {

enum class Filter { kNearest, kBilinear, kBicubic, kLanczos };

Image resize(const Image& image, int width, int height, Filter filter);

// Whether Pillow opens this file as mode P or 1 (a PNG with a palette or of 1 bit): its resize then
// takes the nearest pixel, whatever filter it is given. For those who resize a file's picture
// before converting it to RGB.
bool resized_by_nearest(Bytes file);

// The part [x0, x1) x [y0, y1); what lies outside the picture is 0, as Pillow's crop.
Image crop(const Image& image, int x0, int y0, int x1, int y1);

}  // namespace icedit
