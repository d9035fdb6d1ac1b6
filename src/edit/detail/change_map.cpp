#include "edit/detail/change_map.h"

#include <algorithm>
#include <cmath>

#include "edit/detail/noise.h"

namespace icedit {
namespace {

constexpr float kChangedLow = 2.5f, kChangedHigh = 6;
constexpr double kMuch = 0.3;                    // of the picture is changed
constexpr float kFaint = 2, kCorrelated = 1.5f;  // standard deviations; as neighbours' noise is
constexpr float kLeastSeen = 0.05f;              // of a window
constexpr float kBorderScore = 2.5f;
constexpr float kBorder = 0.27f, kPaintBorder = 0.2f;  // of the largest score near
constexpr float kStructure = 5, kOther = 2;            // of the variance of noise
constexpr float kGone = 0.1f;                          // of the variance before
constexpr float kGoneOfOther = 2, kOtherOfSame = 0.5f;
constexpr float kContentLow = 1.5f, kContentHigh = 4;
constexpr float kDrift = 8, kMostDrift = 3;           // levels
constexpr double kIsland = 0.005, kEverything = 0.6;  // of the picture
constexpr double kMostOfPart = 0.4;

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

// Where the picture has much noise, a faint change hides in it: an edit of so much of the picture
// is likely one of all of it, so that what seems unchanged is looked at by means over wide windows
// of it alone, in which there is less noise.
Region faint_changes(const Planes& edit, const Planes& reconstruction, const Plane& noise,
                     const Region& changed, int threads) {
  const int w = noise.width, h = noise.height;
  const int radius = std::max(2, static_cast<int>(std::lround(w / 16.0)));
  Planes mean(4, Plane(w, h));
  for (size_t i = 0; i < changed.inside.size(); ++i) {
    if (changed.inside[i]) continue;
    for (size_t c = 0; c < 3; ++c)
      mean[c].values[i] = edit[c].values[i] - reconstruction[c].values[i];
    mean[3].values[i] = 1;
  }
  box_means(mean, radius, threads);
  Region faint(w, h);
  for (size_t i = 0; i < faint.inside.size(); ++i) {
    const float seen = mean[3].values[i];
    if (changed.inside[i] || seen < kLeastSeen) continue;
    float sum = 0;
    for (size_t c = 0; c < 3; ++c) sum += squared(mean[c].values[i] / seen) / 3;
    const float deviation =
        std::sqrt(noise.values[i] / seen) * kCorrelated / static_cast<float>(2 * radius + 1);
    faint.inside[i] = std::sqrt(sum) > std::max(kMostDrift, kFaint * deviation);
  }
  return faint;
}

// Where there was structure, and the edit has none of it (an object was removed) or other (it was
// swapped): in windows that are wider than those of the colour maps, which would leave the old
// object embossed in the new colours.
Region lost_structure(const Planes& edit, const Planes& reconstruction, const Plane& noise,
                      int threads) {
  const int radius = std::max(2, static_cast<int>(std::lround(noise.width / 24.0)));
  const Variances v = explained_variances(edit, reconstruction, noise, radius, threads);
  Region lost(noise.width, noise.height);
  for (size_t i = 0; i < lost.inside.size(); ++i) {
    const float n = noise.values[i], before = v.reconstruction.values[i];
    const float same = v.explained.values[i], other = v.rest.values[i];
    const bool is_gone = same < kGone * before && same < n && same < kGoneOfOther * other;
    const bool is_other = other > kOther * n && other > kOtherOfSame * same;
    lost.inside[i] = before > kStructure * n && (is_gone || is_other);
  }
  return lost;
}

// The largest of the square of 2 radius + 1.
Plane largest_near(const Plane& plane, int radius) {
  const int w = plane.width, h = plane.height;
  Plane across(w, h), out(w, h);
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x)
      across.at(x, y) = *std::max_element(plane.row(y) + std::max(0, x - radius),
                                          plane.row(y) + std::min(w, x + radius + 1));
  for (int y = 0; y < h; ++y)
    for (int near = std::max(0, y - radius); near < std::min(h, y + radius + 1); ++near)
      for (int x = 0; x < w; ++x) out.at(x, y) = std::max(out.at(x, y), across.at(x, near));
  return out;
}

// What was grown and closed reaches beyond the change: from outside, and at most so many pixels
// deep, is given back but for a pixel what lies below the score, or far below what is near it, as
// the blur beside a change does.
Region drawn_in(const Region& changed, const Region& painted, const Plane& score, float low,
                int depth) {
  const int w = changed.width, h = changed.height;
  const Plane most = largest_near(score, 2);
  Region outside = complement(changed);
  std::vector<int> front;
  for (size_t i = 0; i < outside.inside.size(); ++i) {
    if (outside.inside[i]) front.push_back(static_cast<int>(i));
  }
  for (int step = 0; step < depth; ++step) {
    std::vector<int> next;
    for (const int i : front) {
      const int x = i % w, y = i / w;
      for (const auto& [dx, dy] : {std::pair{-1, 0}, {1, 0}, {0, -1}, {0, 1}}) {
        if (x + dx < 0 || x + dx >= w || y + dy < 0 || y + dy >= h) continue;
        const int n = i + dy * w + dx;
        const float share = painted.inside[n] ? kPaintBorder : kBorder;
        if (outside.inside[n] || score.values[n] > std::max(low, share * most.values[n])) continue;
        outside.inside[n] = 1;
        next.push_back(n);
      }
    }
    front = std::move(next);
  }
  Region in = dilated(complement(outside), 1);
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
  if (changed.share() > kMuch)
    add(changed, faint_changes(edit, reconstruction, noise, changed, threads));
  ChangeMap map;
  map.content = Region(w, h);
  if (changed.share() == 0) {
    map.changed = changed;
    map.colours = unchanged_colours(w, h);
    return map;
  }
  changed = closed(changed, 2 * k);

  map.colours = fit_colours(edit, reconstruction, noise, threads);
  const Plane residual = residual_score(edit, reconstruction, map.colours, noise, 2, threads);
  Region content = hysteresis(residual, kContentLow * t, kContentHigh * t, changed);
  Region lost = lost_structure(edit, reconstruction, noise, threads);
  intersect(lost, changed);
  add(content, lost);
  content = closed(content, 2 * k);
  fill_holes(content, changed, pixels);
  content = dilated(opened(content, 1), k);

  add(changed, content);
  fill_islands(changed, kIsland * pixels);
  changed = dilated(changed, k + 1);
  const Plane near = change_score(mean_difference(edit, reconstruction, 1, threads), noise);
  map.changed = drawn_in(changed, dilated(content, k + 1), near, kBorderScore * t, 2 * k + 4);
  intersect(content, map.changed);
  add(map.changed, dilated(content, 1));  // what is painted has a border of its own
  fill_parts(content, map.changed, kMostOfPart);
  if (map.changed.share() > kEverything && content.share() > kEverything * map.changed.share())
    content = map.changed;
  intersect(content, map.changed);
  map.content = content;
  return map;
}

}  // namespace icedit
