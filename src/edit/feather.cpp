#include "edit/feather.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace icedit {
namespace {

constexpr float kFar = 1e12f;  // squared; beyond any picture, and finite so that differences are

// The lower envelope of the parabolas values[q] + (x - q)^2, at every x, in place.
// Source: Felzenszwalb and Huttenlocher, Distance Transforms of Sampled Functions, 2012.
class Envelope {
 public:
  explicit Envelope(int length) : value_(length), vertex_(length), begin_(length + 1) {}

  // Of `length` values that stand `step` apart.
  void apply(float* values, size_t length, size_t step) {
    for (size_t q = 0; q < length; ++q) value_[q] = values[q * step];
    size_t top = 0;
    vertex_[0] = 0;
    begin_[0] = -std::numeric_limits<double>::infinity();
    for (size_t q = 1; q < length; ++q) {
      double meets = where_they_meet(vertex_[top], q);
      while (meets <= begin_[top]) meets = where_they_meet(vertex_[--top], q);
      vertex_[++top] = q;
      begin_[top] = meets;
    }
    for (size_t x = length, k = top + 1; x-- > 0;) {
      while (begin_[k - 1] > static_cast<double>(x)) --k;
      const double d = static_cast<double>(x) - static_cast<double>(vertex_[k - 1]);
      values[x * step] = static_cast<float>(d * d + value_[vertex_[k - 1]]);
    }
  }

 private:
  // Left of it the parabola of p is the lower one, p < q.
  double where_they_meet(size_t p, size_t q) const {
    const auto a = static_cast<double>(p), b = static_cast<double>(q);
    return (value_[q] + b * b - value_[p] - a * a) / (2 * (b - a));
  }

  std::vector<double> value_;
  std::vector<size_t> vertex_;
  std::vector<double> begin_;
};

}  // namespace

std::vector<float> feather_weights(const Image& mask, int feather) {
  const size_t width = mask.width, height = mask.height;
  std::vector<float> weight(mask.pixels.size());
  for (size_t i = 0; i < weight.size(); ++i) weight[i] = mask.pixels[i] >= 128 ? 0.0f : kFar;
  if (feather > 0) {  // to the square of the distance between pixels' centres
    Envelope envelope(std::max(mask.width, mask.height));
    for (size_t x = 0; x < width; ++x) envelope.apply(&weight[x], height, width);
    for (size_t y = 0; y < height; ++y) envelope.apply(&weight[y * width], width, 1);
  }
  for (float& w : weight) {
    // The edge runs half a pixel outside the last white centre.
    const float t =
        w == 0 ? 0 : (std::sqrt(w) - 0.5f) / std::max(static_cast<float>(feather), 0.5f);
    w = t >= 1 ? 0.0f : 1 - t * t * (3 - 2 * t);
  }
  return weight;
}

}  // namespace icedit
