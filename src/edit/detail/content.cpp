#include "edit/detail/content.h"

#include <algorithm>
#include <cmath>

namespace icedit {
namespace {

constexpr double kSharpSigma = 0.6;  // pixels of the model
constexpr double kSharpAmount = 0.15;
constexpr float kAgreesFrom = 0.6f, kAgreesFully = 0.9f;  // correlation
constexpr float kMostSlope = 1.5f;

}  // namespace

Planes sharpened(const Planes& edit, double enlarged, int threads) {
  const auto amount = static_cast<float>(kSharpAmount * std::clamp(enlarged - 1, 0.0, 1.0));
  Planes out(edit.size());
  run_parallel(static_cast<int>(edit.size()), threads, [&](int c) {
    out[c] = gaussian(edit[c], kSharpSigma);
    for (size_t i = 0; i < out[c].values.size(); ++i) {
      const float v = edit[c].values[i];
      out[c].values[i] = std::clamp(v + amount * (v - out[c].values[i]), 0.0f, 255.0f);
    }
  });
  return out;
}

Plane agreement(const Plane& e, const Plane& r, int threads) {
  const int radius = std::max(2, static_cast<int>(std::lround(e.width / 64.0)));
  Planes p(5, Plane(e.width, e.height));  // e, r, ee, rr, er
  for (size_t i = 0; i < e.values.size(); ++i) {
    const float a = e.values[i], b = r.values[i];
    p[0].values[i] = a, p[1].values[i] = b;
    p[2].values[i] = a * a, p[3].values[i] = b * b, p[4].values[i] = a * b;
  }
  box_means(p, radius, threads);
  Plane out(e.width, e.height);
  for (size_t i = 0; i < out.values.size(); ++i) {
    const float a = p[0].values[i], b = p[1].values[i];
    const float covariance = p[4].values[i] - a * b;
    const float edited = p[2].values[i] - a * a, before = p[3].values[i] - b * b;
    const float correlation = covariance / std::sqrt(std::max(edited * before, 1.0f));
    const float weight =
        std::clamp((correlation - kAgreesFrom) / (kAgreesFully - kAgreesFrom), 0.0f, 1.0f);
    out.values[i] = weight * std::clamp(covariance / std::max(before, 1.0f), 0.0f, kMostSlope);
  }
  return out;
}

}  // namespace icedit
