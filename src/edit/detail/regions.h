#pragma once
// Sets of pixels: grown, closed, filled.
#include <cstdint>
#include <vector>

#include "edit/detail/plane.h"

namespace icedit {

struct Region {
  int width = 0, height = 0;
  std::vector<uint8_t> inside;  // 0 or 1

  Region() = default;
  Region(int w, int h) : width(w), height(h), inside(size_t(w) * h) {}
  double share() const;  // of the picture, 0 ... 1
};

// Where `value` is above `high`, and what is connected with it above `low`. 8 neighbours.
Region hysteresis(const Plane& value, float low, float high);
// As far as it lies in `within`.
Region hysteresis(const Plane& value, float low, float high, const Region& within);

Region complement(Region region);
Region dilated(const Region& region, int radius);  // by a disk
Region eroded(const Region& region, int radius);   // what is outside the picture takes nothing
Region closed(const Region& region, int radius);
Region opened(const Region& region, int radius);

// Adds the connected parts of its complement that are smaller than so many pixels.
void fill_islands(Region& region, double pixels);
// Adds the connected parts of its complement that do not touch the border, are part of `within`
// and smaller than so many pixels.
void fill_holes(Region& region, const Region& within, double pixels);

// Where so large a share of a connected part of `within` is in the region, all of the part is.
void fill_parts(Region& region, const Region& within, double share);

void add(Region& region, const Region& other);
void intersect(Region& region, const Region& other);

Plane to_plane(const Region& region);  // 0 and 1

}  // namespace icedit
