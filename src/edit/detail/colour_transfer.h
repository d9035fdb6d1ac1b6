#pragma once
// What an edit did to colours, as an affine map for every pixel: edit = M reconstruction + b.
#include <array>

#include "edit/detail/plane.h"

namespace icedit {

struct ColourMaps {
  // Row by row: [0] ... [8] are M, [9] ... [11] are b.
  Planes parameters;

  std::array<float, 3> apply(size_t pixel, const std::array<float, 3>& rgb) const;
};

ColourMaps unchanged_colours(int width, int height);

// How much of the edit the maps leave unexplained, over squares of 2 radius + 1, in standard
// deviations of noise.
Plane residual_score(const Planes& edit, const Planes& reconstruction, const ColourMaps& colours,
                     const Plane& noise, int radius, int threads);

// Least squares in windows, coarse to fine (the whole picture, radius width / 8, width / 48), each
// level drawn to the one before where the picture has too little colour to tell, and left at it
// where that explains the edit. `noise`: variance of the reconstruction's error. All of one size, 0
// ... 255.
ColourMaps fit_colours(const Planes& edit, const Planes& reconstruction, const Plane& noise,
                       int threads);

// Variances over squares of 2 radius + 1, means of the channels: of the reconstruction, and of the
// edit, split in what the best affine map of the window explains and the rest.
struct Variances {
  Plane reconstruction, explained, rest;
};

Variances explained_variances(const Planes& edit, const Planes& reconstruction, const Plane& noise,
                              int radius, int threads);

}  // namespace icedit
