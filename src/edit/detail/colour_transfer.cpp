#include "edit/detail/colour_transfer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "edit/detail/symmetric3.h"

namespace icedit {
namespace {

constexpr float kCorrelation = 1.5f;  // of the noise: a mean over windows has so much more of it
constexpr double kPriorWeight = 0.5;  // of the noise
constexpr float kMeanExplained = 2;   // standard deviations of a mean's noise
constexpr float kExplained = 1.1f, kExplainedOver = 0.4f;  // standard deviations of noise

using Matrix3 = std::array<double, 9>;

// Means over a window: e (3), r (3), e r^T (9), r r^T (6), the noise.
constexpr size_t kE = 0, kR = 3, kEr = 6, kRr = 15, kNoise = 21, kMoments = 22;
using Moments = std::array<double, kMoments>;

// M = (Cov(e, r) + l M0) (Cov(r, r) + l I)^-1 and b = mean e - M mean r.
std::array<double, 12> solve(const Moments& m, const Matrix3& prior) {
  const double l = kPriorWeight * m[kNoise];
  std::array<double, 6> rr;
  for (size_t i = 0, at = 0; i < 3; ++i)
    for (size_t j = i; j < 3; ++j, ++at)
      rr[at] = m[kRr + at] - m[kR + i] * m[kR + j] + (i == j ? l : 0);
  const Matrix3 inverted = inverse(rr);
  std::array<double, 12> out;
  for (size_t i = 0; i < 3; ++i) {
    std::array<double, 3> left;
    for (size_t j = 0; j < 3; ++j)
      left[j] = m[kEr + 3 * i + j] - m[kE + i] * m[kR + j] + l * prior[3 * i + j];
    out[9 + i] = m[kE + i];
    for (size_t j = 0; j < 3; ++j) {
      out[3 * i + j] =
          left[0] * inverted[j] + left[1] * inverted[3 + j] + left[2] * inverted[6 + j];
      out[9 + i] -= out[3 * i + j] * m[kR + j];
    }
  }
  return out;
}

// What the moments are means of.
Planes products(const Planes& e, const Planes& r, const Plane& noise, int threads) {
  Planes p(kMoments);
  run_parallel(kMoments, threads, [&](int index) {
    const auto k = static_cast<size_t>(index);
    if (k < kEr) {
      p[k] = k < kR ? e[k] : r[k - kR];
    } else if (k == kNoise) {
      p[k] = noise;
    } else {
      constexpr std::array<size_t, 6> kFirst = {0, 0, 0, 1, 1, 2}, kSecond = {0, 1, 2, 1, 2, 2};
      const Plane& a = k < kRr ? e[(k - kEr) / 3] : r[kFirst[k - kRr]];
      const Plane& b = k < kRr ? r[(k - kEr) % 3] : r[kSecond[k - kRr]];
      p[k] = Plane(a.width, a.height);
      for (size_t i = 0; i < a.values.size(); ++i) p[k].values[i] = a.values[i] * b.values[i];
    }
  });
  return p;
}

Planes solve_all(const Planes& moments, const Planes& prior, int threads) {
  const int w = moments[0].width, h = moments[0].height;
  Planes out(12, Plane(w, h));
  run_rows(h, threads, [&](int begin, int end) {
    for (size_t i = size_t(begin) * w; i < size_t(end) * w; ++i) {
      Moments m;
      for (size_t k = 0; k < kMoments; ++k) m[k] = moments[k].values[i];
      Matrix3 before;
      for (size_t k = 0; k < 9; ++k) before[k] = prior[k].values[i];
      const auto solved = solve(m, before);
      for (size_t k = 0; k < 12; ++k) out[k].values[i] = static_cast<float>(solved[k]);
    }
  });
  return out;
}

}  // namespace

std::array<float, 3> ColourMaps::apply(size_t pixel, const std::array<float, 3>& rgb) const {
  std::array<float, 3> out;
  for (size_t c = 0; c < 3; ++c) {
    out[c] = parameters[9 + c].values[pixel];
    for (size_t k = 0; k < 3; ++k) out[c] += parameters[3 * c + k].values[pixel] * rgb[k];
  }
  return out;
}

ColourMaps unchanged_colours(int width, int height) {
  ColourMaps maps;
  for (size_t k = 0; k < 12; ++k)
    maps.parameters.emplace_back(width, height, k == 0 || k == 4 || k == 8 ? 1.0f : 0.0f);
  return maps;
}

Plane residual_score(const Planes& edit, const Planes& reconstruction, const ColourMaps& colours,
                     const Plane& noise, int radius, int threads) {
  const int w = noise.width, h = noise.height;
  Plane p(w, h);
  run_rows(h, threads, [&](int begin, int end) {
    for (size_t i = size_t(begin) * w; i < size_t(end) * w; ++i) {
      const auto made = colours.apply(i, {reconstruction[0].values[i], reconstruction[1].values[i],
                                          reconstruction[2].values[i]});
      for (size_t c = 0; c < 3; ++c) p.values[i] += squared(edit[c].values[i] - made[c]) / 3;
    }
  });
  p = box_mean(p, radius);
  run_rows(h, threads, [&](int begin, int end) {
    for (size_t i = size_t(begin) * w; i < size_t(end) * w; ++i) {
      float size = 0;
      for (size_t k = 0; k < 9; ++k) size += squared(colours.parameters[k].values[i]) / 3;
      p.values[i] = std::sqrt(p.values[i] / (noise.values[i] * std::max(1.0f, size)));
    }
  });
  return p;
}

// One map for much of the picture has less noise than many: where the maps before explain the edit,
// in its means over windows and in its detail, they stay.
void keep_what_explains(Planes& maps, const Planes& before, const Planes& edit,
                        const Planes& reconstruction, const Plane& noise, int radius, int threads) {
  const int w = noise.width, h = noise.height;
  const Plane detail = residual_score(edit, reconstruction, {before}, noise, radius, threads);
  Planes off(3, Plane(w, h));
  const ColourMaps old{before};
  run_rows(h, threads, [&](int begin, int end) {
    for (size_t i = size_t(begin) * w; i < size_t(end) * w; ++i) {
      const auto made = old.apply(i, {reconstruction[0].values[i], reconstruction[1].values[i],
                                      reconstruction[2].values[i]});
      for (size_t c = 0; c < 3; ++c) off[c].values[i] = edit[c].values[i] - made[c];
    }
  });
  box_means(off, radius, threads);
  const float averaged = kCorrelation / static_cast<float>(2 * radius + 1);
  run_rows(h, threads, [&](int begin, int end) {
    for (size_t i = size_t(begin) * w; i < size_t(end) * w; ++i) {
      float sum = 0;
      for (size_t c = 0; c < 3; ++c) sum += squared(off[c].values[i]) / 3;
      const float mean = std::sqrt(sum / noise.values[i]) / averaged;
      const float share = std::clamp(
          std::max((detail.values[i] - kExplained) / kExplainedOver, mean / kMeanExplained - 1),
          0.0f, 1.0f);
      for (size_t k = 0; k < 12; ++k) {
        const float was = before[k].values[i];
        maps[k].values[i] = was + share * (maps[k].values[i] - was);
      }
    }
  });
}

ColourMaps fit_colours(const Planes& edit, const Planes& reconstruction, const Plane& noise,
                       int threads) {
  const int w = edit[0].width, h = edit[0].height;
  const Planes p = products(edit, reconstruction, noise, threads);
  Moments whole;
  for (size_t k = 0; k < kMoments; ++k)
    whole[k] = std::accumulate(p[k].values.begin(), p[k].values.end(), 0.0) /
               static_cast<double>(p[k].values.size());
  const auto first = solve(whole, {1, 0, 0, 0, 1, 0, 0, 0, 1});
  Planes maps;
  for (size_t k = 0; k < 12; ++k) maps.emplace_back(w, h, static_cast<float>(first[k]));
  const int fine = std::max(1, static_cast<int>(std::lround(w / 48.0)));
  for (const int radius : {std::max(2, static_cast<int>(std::lround(w / 8.0))), fine}) {
    Planes moments = p;
    box_means(moments, radius, threads);
    const Planes before = std::move(maps);
    maps = solve_all(moments, before, threads);
    box_means(maps, radius, threads);
    keep_what_explains(maps, before, edit, reconstruction, noise, radius, threads);
  }
  return {maps};
}

Variances explained_variances(const Planes& edit, const Planes& reconstruction, const Plane& noise,
                              int radius, int threads) {
  const int w = noise.width, h = noise.height;
  Planes p = products(edit, reconstruction, noise, threads);
  p.emplace_back(w, h);
  for (const Plane& e : edit)
    for (size_t i = 0; i < e.values.size(); ++i) p.back().values[i] += squared(e.values[i]);
  box_means(p, radius, threads);
  Variances out{Plane(w, h), Plane(w, h), Plane(w, h)};
  run_rows(h, threads, [&](int begin, int end) {
    for (size_t i = size_t(begin) * w; i < size_t(end) * w; ++i) {
      Moments m;
      for (size_t k = 0; k < kMoments; ++k) m[k] = p[k].values[i];
      const auto map = solve(m, {});
      double edited = p.back().values[i], before = 0, explained = 0;
      for (size_t c = 0, at = 0; c < 3; at += 3 - c, ++c) {
        edited -= m[kE + c] * m[kE + c];
        before += m[kRr + at] - m[kR + c] * m[kR + c];
        for (size_t k = 0; k < 3; ++k)
          explained += map[3 * c + k] * (m[kEr + 3 * c + k] - m[kE + c] * m[kR + k]);
      }
      out.reconstruction.values[i] = static_cast<float>(before / 3);
      out.explained.values[i] = static_cast<float>(explained / 3);
      out.rest.values[i] = static_cast<float>((edited - explained) / 3);
    }
  });
  return out;
}

}  // namespace icedit
