#pragma once
// How much of the edit is seen at each pixel around a mask.
#include <vector>

#include "io/image.h"

namespace icedit {

// 1 where the mask is white (128 and more). Outside it falls smoothly with the distance from the
// mask's edge, from 1 there to 0 at `feather` pixels; 0 beyond. Row by row.
std::vector<float> feather_weights(const Image& mask, int feather);

}  // namespace icedit
