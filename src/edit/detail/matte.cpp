#include "edit/detail/matte.h"

#include "edit/detail/symmetric3.h"

namespace icedit {
namespace {

constexpr int kMatteRadius = 2;        // pixels of the model
constexpr double kMatteRidge = 5 * 5;  // levels, squared

// What a window's means are of: the colours, the share, colours times share, colours' products.
constexpr size_t kShare = 3, kColourShare = 4, kProducts = 7, kMeans = 13;

Planes sums_of(const Region& changed, const Planes& source) {
  Planes p(kMeans, Plane(changed.width, changed.height));
  for (size_t i = 0; i < changed.inside.size(); ++i) {
    const float share = changed.inside[i];
    p[kShare].values[i] = share;
    for (size_t c = 0, at = kProducts; c < 3; ++c) {
      const float v = source[c].values[i];
      p[c].values[i] = v, p[kColourShare + c].values[i] = v * share;
      for (size_t d = c; d < 3; ++d, ++at) p[at].values[i] = v * source[d].values[i];
    }
  }
  return p;
}

}  // namespace

Planes border_matte(const Region& changed, const Planes& source, int threads) {
  Planes mean = sums_of(changed, source);
  box_means(mean, kMatteRadius, threads);
  Planes out(4, Plane(changed.width, changed.height));
  for (size_t i = 0; i < changed.inside.size(); ++i) {
    const auto m = [&](size_t k) { return double(mean[k].values[i]); };
    out[3].values[i] = mean[kShare].values[i];
    if (m(kShare) == 0 || m(kShare) == 1) continue;  // no border near
    std::array<double, 6> spread;
    std::array<double, 3> common;
    for (size_t c = 0, at = 0; c < 3; ++c) {
      common[c] = m(kColourShare + c) - m(c) * m(kShare);
      for (size_t d = c; d < 3; ++d, ++at)
        spread[at] = m(kProducts + at) - m(c) * m(d) + (c == d ? kMatteRidge : 0);
    }
    const std::array<double, 9> inverted = inverse(spread);
    double rest = m(kShare);
    for (size_t c = 0; c < 3; ++c) {
      const double a = inverted[3 * c] * common[0] + inverted[3 * c + 1] * common[1] +
                       inverted[3 * c + 2] * common[2];
      out[c].values[i] = static_cast<float>(a);
      rest -= a * m(c);
    }
    out[3].values[i] = static_cast<float>(rest);
  }
  box_means(out, kMatteRadius, threads);
  return out;
}

}  // namespace icedit
