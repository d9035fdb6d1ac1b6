#include "edit/detail/style.h"

#include <cmath>

#include "edit/detail/noise.h"

namespace icedit {
namespace {

constexpr double kAlike = 0.85, kSeenFrom = 64;
constexpr float kStructure = 0.5f;      // of the variance of noise
constexpr float kSameStructure = 0.6f;  // correlation
constexpr double kLeast = 0.02;         // of the picture has structure
constexpr double kMostOther = 0.5;      // of that is another's
constexpr int kWindow = 6;

// What has a size of a few pixels.
Plane band(const Planes& rgb) {
  const Plane grey = luma(rgb);
  Plane fine = gaussian(grey, 0.8);
  const Plane coarse = gaussian(grey, 2.5);
  for (size_t i = 0; i < fine.values.size(); ++i) fine.values[i] -= coarse.values[i];
  return fine;
}

}  // namespace

double likeness(const Plane& a, const Plane& b) {
  const Plane x = gaussian(a, a.width / kSeenFrom), y = gaussian(b, b.width / kSeenFrom);
  const auto n = static_cast<double>(x.values.size());
  double sx = 0, sy = 0, xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < x.values.size(); ++i) {
    const double u = x.values[i], v = y.values[i];
    sx += u, sy += v, xx += u * u, yy += v * v, xy += u * v;
  }
  const double spread = (xx - sx * sx / n) * (yy - sy * sy / n);
  return spread > 0 ? std::abs(xy - sx * sy / n) / std::sqrt(spread) : 0;
}

bool is_painted_anew(const Planes& source, const Planes& reconstruction, const Planes& edit,
                     int threads) {
  if (likeness(luma(edit), luma(reconstruction)) < kAlike) return false;
  const Plane noise = noise_variance(source, reconstruction);
  const Plane e = band(edit), r = band(reconstruction);
  Planes p(3, Plane(noise.width, noise.height));  // ee, rr, er
  for (size_t i = 0; i < e.values.size(); ++i) {
    p[0].values[i] = squared(e.values[i]), p[1].values[i] = squared(r.values[i]);
    p[2].values[i] = e.values[i] * r.values[i];
  }
  box_means(p, kWindow, threads);
  double structured = 0, other = 0;
  for (size_t i = 0; i < e.values.size(); ++i) {
    const float before = p[1].values[i];
    if (before < kStructure * noise.values[i]) continue;
    ++structured;
    other += std::abs(p[2].values[i]) < kSameStructure * std::sqrt(p[0].values[i] * before);
  }
  return structured > kLeast * double(e.values.size()) && other > kMostOther * structured;
}

}  // namespace icedit
