#include "edit/detail/change_map.h"

#include <algorithm>
#include <cmath>

namespace icedit {
namespace {

constexpr float kLeastNoise = 1.5f, kMisplaced = 0.15f;  // levels; pixels
constexpr float kChangedLow = 2.5f, kChangedHigh = 6;
constexpr float kContentLow = 1.5f, kContentHigh = 4;
constexpr float kDrift = 8, kMostDrift = 3;           // levels
constexpr double kIsland = 0.005, kEverything = 0.6;  // of the picture

float squared(float v) {
  return v * v;
}

// Mean over the channels of |a - b|^2.
Plane squared_distance(const Planes& a, const Planes& b) {
  Plane out(a[0].width, a[0].height);
  for (size_t c = 0; c < 3; ++c)
    for (size_t i = 0; i < out.values.size(); ++i)
      out.values[i] += squared(a[c].values[i] - b[c].values[i]) / 3;
  return out;
}

// Variance of what the VAE does to a picture, and of a small misplacement at edges.
Plane noise_variance(const Planes& source, const Planes& reconstruction) {
  Plane noise = box_mean(squared_distance(reconstruction, source), 6);
  Plane slope = sobel_magnitude(luma(reconstruction));
  for (float& v : slope.values) v *= v;
  slope = box_mean(slope, 1);
  for (size_t i = 0; i < noise.values.size(); ++i)
    noise.values[i] += squared(kLeastNoise) + 4 * squared(kMisplaced) * slope.values[i];
  return noise;
}

Planes mean_difference(const Planes& edit, const Planes& reconstruction, int threads) {
  Planes d = edit;
  for (size_t c = 0; c < 3; ++c)
    for (size_t i = 0; i < d[c].values.size(); ++i) d[c].values[i] -= reconstruction[c].values[i];
  box_means(d, 2, threads);
  return d;
}

// Models shift all colours by a level or two: the median of what changed little is taken off, but
// no more, or a faint edit of the whole picture would be lost.
void take_off_drift(Planes& edit, Planes& difference) {
  std::array<std::vector<float>, 3> little;
  const size_t count = difference[0].values.size();
  for (size_t i = 0; i < count; ++i) {
    const auto small = [&](size_t c) { return std::abs(difference[c].values[i]) < kDrift; };
    if (!small(0) || !small(1) || !small(2)) continue;
    for (size_t c = 0; c < 3; ++c) little[c].push_back(difference[c].values[i]);
  }
  if (little[0].size() * 4 <= count) return;
  for (size_t c = 0; c < 3; ++c) {
    const auto middle = little[c].begin() + static_cast<std::ptrdiff_t>(little[c].size() / 2);
    std::nth_element(little[c].begin(), middle, little[c].end());
    const float drift = std::clamp(*middle, -kMostDrift, kMostDrift);
    for (float& v : edit[c].values) v -= drift;
    for (float& v : difference[c].values) v -= drift;
  }
}

// How many standard deviations of noise the edit lies from the reconstruction.
Plane change_score(const Planes& difference, const Plane& noise) {
  Plane q(noise.width, noise.height);
  for (size_t i = 0; i < q.values.size(); ++i) {
    float sum = 0;
    for (size_t c = 0; c < 3; ++c) sum += squared(difference[c].values[i]) / 3;
    q.values[i] = std::sqrt(sum / (noise.values[i] / 4));
  }
  return q;
}

// How much of the edit the colour maps leave unexplained, in standard deviations of noise.
Plane residual_score(const Planes& edit, const Planes& reconstruction, const ColourMaps& colours,
                     const Plane& noise, int threads) {
  const int w = noise.width, h = noise.height;
  Plane p(w, h);
  run_rows(h, threads, [&](int begin, int end) {
    for (size_t i = size_t(begin) * w; i < size_t(end) * w; ++i) {
      const auto made = colours.apply(i, {reconstruction[0].values[i], reconstruction[1].values[i],
                                          reconstruction[2].values[i]});
      for (size_t c = 0; c < 3; ++c) p.values[i] += squared(edit[c].values[i] - made[c]) / 3;
    }
  });
  p = box_mean(p, 2);
  run_rows(h, threads, [&](int begin, int end) {
    for (size_t i = size_t(begin) * w; i < size_t(end) * w; ++i) {
      float size = 0;
      for (size_t k = 0; k < 9; ++k) size += squared(colours.parameters[k].values[i]) / 3;
      p.values[i] = std::sqrt(p.values[i] / (noise.values[i] * std::max(1.0f, size)));
    }
  });
  return p;
}

// Where there was structure and the edit has none: an object was removed, and the colour maps
// would leave it embossed.
Region lost_structure(const Planes& reconstruction, const ColourMaps& colours, const Plane& noise,
                      int radius, int threads) {
  const int w = noise.width, h = noise.height;
  Planes p(12, Plane(w, h));  // r, M r, their squares
  run_rows(h, threads, [&](int begin, int end) {
    for (size_t i = size_t(begin) * w; i < size_t(end) * w; ++i)
      for (size_t c = 0; c < 3; ++c) {
        const float r = reconstruction[c].values[i];
        float made = 0;
        for (size_t k = 0; k < 3; ++k)
          made += colours.parameters[3 * c + k].values[i] * reconstruction[k].values[i];
        p[c].values[i] = r, p[3 + c].values[i] = made;
        p[6 + c].values[i] = r * r, p[9 + c].values[i] = made * made;
      }
  });
  box_means(p, radius, threads);
  Region lost(w, h);
  for (size_t i = 0; i < lost.inside.size(); ++i) {
    float before = 0, after = 0;
    for (size_t c = 0; c < 3; ++c) {
      before += (p[6 + c].values[i] - squared(p[c].values[i])) / 3;
      after += (p[9 + c].values[i] - squared(p[3 + c].values[i])) / 3;
    }
    const float n = noise.values[i];
    lost.inside[i] = before > 9 * n && after < 0.02f * before && after < n;
  }
  return lost;
}

}  // namespace

ChangeMap find_changes(const Planes& source, const Planes& reconstruction, const Planes& aligned,
                       double tolerance, int threads) {
  const int w = source[0].width, h = source[0].height;
  const double pixels = double(w) * h;
  const auto t = static_cast<float>(tolerance);
  const int k = std::max(1, static_cast<int>(std::lround(w / 128.0)));
  Planes edit = aligned;
  const Plane noise = noise_variance(source, reconstruction);
  Planes difference = mean_difference(edit, reconstruction, threads);
  take_off_drift(edit, difference);
  Region changed = hysteresis(change_score(difference, noise), kChangedLow * t, kChangedHigh * t);
  ChangeMap map;
  map.content = Region(w, h);
  if (changed.share() == 0) {
    map.changed = changed;
    map.colours.parameters.assign(12, Plane(w, h));
    for (const size_t i : {0, 4, 8}) map.colours.parameters[i] = Plane(w, h, 1);
    return map;
  }
  changed = closed(changed, 2 * k);

  map.colours = fit_colours(edit, reconstruction, noise, threads);
  const Plane residual = residual_score(edit, reconstruction, map.colours, noise, threads);
  Region content = hysteresis(residual, kContentLow * t, kContentHigh * t, changed);
  Region lost = lost_structure(reconstruction, map.colours, noise,
                               std::max(1, static_cast<int>(std::lround(w / 48.0))), threads);
  intersect(lost, changed);
  add(content, lost);
  content = closed(content, 2 * k);
  fill_holes(content, changed, pixels);
  content = dilated(opened(content, 1), k);

  add(changed, content);
  fill_islands(changed, kIsland * pixels);
  map.changed = dilated(changed, k + 1);
  if (map.changed.share() > kEverything && content.share() > kEverything * map.changed.share())
    content = map.changed;
  intersect(content, map.changed);
  map.content = content;
  return map;
}

}  // namespace icedit
