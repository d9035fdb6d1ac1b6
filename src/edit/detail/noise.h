#pragma once
#include "edit/detail/plane.h"

namespace icedit {

// How wrong a pixel of the reconstruction is: the variance of what the VAE does to a picture, and
// of a small misplacement at edges. Both of one size, 0 ... 255.
Plane noise_variance(const Planes& source, const Planes& reconstruction);

}  // namespace icedit
