#include "edit/detail/regions.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

namespace icedit {
namespace {

// Walks from `start` over the unseen pixels that `joins` takes, and marks them; their indices.
template <class Joins>
std::vector<int> connected(int width, int height, int start, std::vector<uint8_t>& seen,
                           bool diagonal, Joins joins) {
  std::vector<int> found = {start};
  seen[start] = 1;
  for (size_t i = 0; i < found.size(); ++i) {
    const int x = found[i] % width, y = found[i] / width;
    for (int dy = -1; dy <= 1; ++dy)
      for (int dx = -1; dx <= 1; ++dx) {
        if (!diagonal && dx != 0 && dy != 0) continue;
        const int nx = x + dx, ny = y + dy;
        if (nx < 0 || ny < 0 || nx >= width || ny >= height) continue;
        const int next = ny * width + nx;
        if (seen[next] || !joins(next)) continue;
        seen[next] = 1;
        found.push_back(next);
      }
  }
  return found;
}

// Calls part(indices) for every connected part (4 neighbours) of what is not in `region`.
template <class Part>
void for_complement(const Region& region, Part part) {
  std::vector<uint8_t> seen(region.inside.size());
  const std::vector<uint8_t> inside = region.inside;
  for (size_t i = 0; i < seen.size(); ++i) {
    if (seen[i] || inside[i]) continue;
    part(connected(region.width, region.height, static_cast<int>(i), seen, false,
                   [&](int next) { return !inside[next]; }));
  }
}

bool on_border(int index, const Region& r) {
  const int x = index % r.width, y = index / r.width;
  return x == 0 || y == 0 || x == r.width - 1 || y == r.height - 1;
}

// Distance along the row to the nearest pixel of the region.
std::vector<int> distance_in_rows(const Region& r) {
  constexpr int kFar = std::numeric_limits<int>::max() / 2;
  std::vector<int> distance(r.inside.size(), kFar);
  for (int y = 0; y < r.height; ++y) {
    int* row = &distance[size_t(y) * r.width];
    const uint8_t* inside = &r.inside[size_t(y) * r.width];
    int last = kFar;
    for (int x = 0; x < r.width; ++x) row[x] = last = inside[x] ? 0 : std::min(last + 1, kFar);
    last = kFar;
    for (int x = r.width - 1; x >= 0; --x)
      row[x] = std::min(row[x], last = inside[x] ? 0 : std::min(last + 1, kFar));
  }
  return distance;
}

}  // namespace

double Region::share() const {
  return inside.empty() ? 0 : std::accumulate(inside.begin(), inside.end(), 0.0) / inside.size();
}

Region hysteresis(const Plane& value, float low, float high, const Region& within) {
  Region out(value.width, value.height);
  for (size_t i = 0; i < out.inside.size(); ++i) {
    if (out.inside[i] || !within.inside[i] || value.values[i] <= high) continue;
    connected(value.width, value.height, static_cast<int>(i), out.inside, true,
              [&](int next) { return within.inside[next] && value.values[next] > low; });
  }
  return out;
}

Region hysteresis(const Plane& value, float low, float high) {
  Region all(value.width, value.height);
  std::fill(all.inside.begin(), all.inside.end(), uint8_t{1});
  return hysteresis(value, low, high, all);
}

Region dilated(const Region& region, int radius) {
  Region out(region.width, region.height);
  const std::vector<int> distance = distance_in_rows(region);
  for (int dy = -radius; dy <= radius; ++dy) {
    const int reach = static_cast<int>(std::sqrt(double(radius) * radius - double(dy) * dy));
    for (int y = std::max(0, -dy); y < std::min(region.height, region.height - dy); ++y) {
      const int* from = &distance[size_t(y + dy) * region.width];
      uint8_t* to = &out.inside[size_t(y) * region.width];
      for (int x = 0; x < region.width; ++x) to[x] |= from[x] <= reach;
    }
  }
  return out;
}

Region complement(Region region) {
  for (uint8_t& v : region.inside) v = !v;
  return region;
}

Region eroded(const Region& region, int radius) {
  return complement(dilated(complement(region), radius));
}

Region closed(const Region& region, int radius) {
  return eroded(dilated(region, radius), radius);
}

Region opened(const Region& region, int radius) {
  return dilated(eroded(region, radius), radius);
}

void fill_islands(Region& region, double pixels) {
  for_complement(region, [&](const std::vector<int>& part) {
    if (double(part.size()) >= pixels) return;
    for (const int i : part) region.inside[i] = 1;
  });
}

void fill_holes(Region& region, const Region& within, double pixels) {
  for_complement(region, [&](const std::vector<int>& part) {
    if (double(part.size()) >= pixels) return;
    for (const int i : part) {
      if (!within.inside[i] || on_border(i, region)) return;
    }
    for (const int i : part) region.inside[i] = 1;
  });
}

void fill_parts(Region& region, const Region& within, double share) {
  std::vector<uint8_t> seen(within.inside.size());
  for (size_t i = 0; i < seen.size(); ++i) {
    if (seen[i] || !within.inside[i]) continue;
    const auto part = connected(within.width, within.height, static_cast<int>(i), seen, true,
                                [&](int next) { return within.inside[next]; });
    const auto in =
        std::count_if(part.begin(), part.end(), [&](int k) { return region.inside[k]; });
    if (double(in) < share * double(part.size())) continue;
    for (const int k : part) region.inside[k] = 1;
  }
}

void add(Region& region, const Region& other) {
  for (size_t i = 0; i < region.inside.size(); ++i) region.inside[i] |= other.inside[i];
}

void intersect(Region& region, const Region& other) {
  for (size_t i = 0; i < region.inside.size(); ++i) region.inside[i] &= other.inside[i];
}

Plane to_plane(const Region& region) {
  Plane plane(region.width, region.height);
  std::copy(region.inside.begin(), region.inside.end(), plane.values.begin());
  return plane;
}

}  // namespace icedit
