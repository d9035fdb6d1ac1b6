#include "edit/detail/noise.h"

namespace icedit {
namespace {

constexpr float kLeastNoise = 1.5f, kMisplaced = 0.15f;  // levels; pixels

// Mean over the channels of |a - b|^2.
Plane squared_distance(const Planes& a, const Planes& b) {
  Plane out(a[0].width, a[0].height);
  for (size_t c = 0; c < 3; ++c)
    for (size_t i = 0; i < out.values.size(); ++i)
      out.values[i] += squared(a[c].values[i] - b[c].values[i]) / 3;
  return out;
}

}  // namespace

Plane noise_variance(const Planes& source, const Planes& reconstruction) {
  Plane noise = box_mean(squared_distance(reconstruction, source), 6);
  Plane slope = sobel_magnitude(luma(reconstruction));
  for (float& v : slope.values) v *= v;
  slope = box_mean(slope, 1);
  for (size_t i = 0; i < noise.values.size(); ++i)
    noise.values[i] += squared(kLeastNoise) + 4 * squared(kMisplaced) * slope.values[i];
  return noise;
}

}  // namespace icedit
