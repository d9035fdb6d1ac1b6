#include "edit/detail/change_map.h"

#include <algorithm>
#include <cmath>

namespace icedit {
namespace {

constexpr float kLeastNoise = 1.5f, kMisplaced = 0.15f;  // levels; pixels
constexpr float kChangedLow = 2.5f, kChangedHigh = 6;
constexpr float kStructure = 0.5f;  // of the variance of noise
constexpr float kBorderScore = 2.5f;
constexpr float kContentLow = 1.5f, kContentHigh = 4;
constexpr float kDrift = 8, kMostDrift = 3;           // levels
constexpr double kIsland = 0.005, kEverything = 0.6;  // of the picture
constexpr double kMostOfPart = 0.4;
constexpr double kLeastStructure = 0.02, kStillThere = 0.5;

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

Planes mean_difference(const Planes& edit, const Planes& reconstruction, int radius, int threads) {
  Planes d = edit;
  for (size_t c = 0; c < 3; ++c)
    for (size_t i = 0; i < d[c].values.size(); ++i) d[c].values[i] -= reconstruction[c].values[i];
  box_means(d, radius, threads);
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

// What means do not show: other structure of the same colours, as of a mosaic. Whether, where the
// reconstruction has structure of a few pixels above its noise, the edit has lost most of it.
bool has_other_structure(const Planes& edit, const Planes& reconstruction, const Plane& noise,
                         const Region& where) {
  const auto band = [](const Planes& rgb) {
    const Plane grey = luma(rgb);
    Plane fine = gaussian(grey, 0.8);
    const Plane coarse = gaussian(grey, 2.5);
    for (size_t i = 0; i < fine.values.size(); ++i) fine.values[i] -= coarse.values[i];
    return fine;
  };
  const Plane e = band(edit), r = band(reconstruction);
  Plane energy = r;
  for (float& v : energy.values) v *= v;
  energy = box_mean(energy, 6);
  double common = 0, own = 0, count = 0;
  for (size_t i = 0; i < energy.values.size(); ++i) {
    if (!where.inside[i] || energy.values[i] < kStructure * noise.values[i]) continue;
    common += double(e.values[i]) * r.values[i], own += double(r.values[i]) * r.values[i];
    ++count;
  }
  return count > kLeastStructure * double(energy.values.size()) && common < kStillThere * own;
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

// What was grown and closed reaches beyond the change: from outside, and at most so many pixels
// deep, what lies below the score is given back, but for a pixel.
Region drawn_in(const Region& changed, const Plane& score, float low, int depth) {
  const int w = changed.width, h = changed.height;
  Region outside(w, h);
  std::vector<int> front;
  for (size_t i = 0; i < outside.inside.size(); ++i) {
    outside.inside[i] = !changed.inside[i];
    if (outside.inside[i]) front.push_back(static_cast<int>(i));
  }
  for (int step = 0; step < depth; ++step) {
    std::vector<int> next;
    for (const int i : front) {
      const int x = i % w, y = i / w;
      for (const auto& [dx, dy] : {std::pair{-1, 0}, {1, 0}, {0, -1}, {0, 1}}) {
        if (x + dx < 0 || x + dx >= w || y + dy < 0 || y + dy >= h) continue;
        const int n = i + dy * w + dx;
        if (outside.inside[n] || score.values[n] > low) continue;
        outside.inside[n] = 1;
        next.push_back(n);
      }
    }
    front = std::move(next);
  }
  Region in(w, h);
  for (size_t i = 0; i < in.inside.size(); ++i) in.inside[i] = !outside.inside[i];
  in = dilated(in, 1);
  intersect(in, changed);
  return in;
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
  Planes difference = mean_difference(edit, reconstruction, 2, threads);
  take_off_drift(edit, difference);
  Region changed = hysteresis(change_score(difference, noise), kChangedLow * t, kChangedHigh * t);
  const bool is_style =
      has_other_structure(edit, reconstruction, noise, complement(dilated(changed, 2 * k + 2)));
  if (is_style) std::fill(changed.inside.begin(), changed.inside.end(), uint8_t{1});
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
  const Plane residual = residual_score(edit, reconstruction, map.colours, noise, 2, threads);
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
  changed = dilated(changed, k + 1);
  const Plane near = change_score(mean_difference(edit, reconstruction, 1, threads), noise);
  map.changed = drawn_in(changed, near, kBorderScore * t, 2 * k + 4);
  intersect(content, map.changed);
  add(map.changed, dilated(content, 2));  // what is painted has a border of its own
  fill_parts(content, map.changed, kMostOfPart);
  if (is_style) content = map.changed;
  if (map.changed.share() > kEverything && content.share() > kEverything * map.changed.share())
    content = map.changed;
  intersect(content, map.changed);
  map.content = content;
  return map;
}

}  // namespace icedit
