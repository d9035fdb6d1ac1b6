#pragma once
// Where the edit's pixels came from: models shift, zoom and bend pictures by a pixel or two. Found
// on features that know neither sign nor gain of contrast, so that a negative or a night aligns.
#include "edit/detail/regions.h"

namespace icedit {

// A point x of the reconstruction, in pixels from the picture's centre, is found in the edit at
// zoom * x + shift.
struct GlobalFit {
  double shift_x = 0, shift_y = 0, zoom = 1;
};

struct Registration {
  GlobalFit global;
  Plane dx, dy;     // added to it, on a coarse grid; empty: nothing
  double cell = 1;  // pixels of the picture to a pixel of the grid

  // Where pixel (x, y) of the reconstruction is in the edit.
  struct Point {
    float x, y;
  };
  Point at(int x, int y, int width, int height) const;
};

struct Rectangle {
  int x0 = 0, y0 = 0, x1 = 0, y1 = 0;  // [x0, x1) x [y0, y1)
};

// Robust Gauss-Newton, coarse to fine. The identity where it would move a corner by more than 2 %
// of the width: then the two have too little in common.
GlobalFit fit_globally(const Plane& edit_luma, const Plane& reconstruction_luma, int threads);
// The same on what is left of both after a blur of 1 / 24 of the width: for an edit whose finer
// structure is not the picture's.
GlobalFit fit_from_afar(const Plane& edit_luma, const Plane& reconstruction_luma, int threads);
// Adds a smooth displacement of at most 4 pixels (Lucas and Kanade), not led by what is in
// `ignored` (may be empty).
Registration fit_locally(const Plane& edit_luma, const Plane& reconstruction_luma,
                         const GlobalFit& global, const Region& ignored, int threads);

// The edit as the reconstruction lies, by a Lanczos window of 4.
Planes warped(const Planes& edit, const Registration& registration, int threads);
// Where it needs nothing from outside the edit.
Rectangle covered(const Registration& registration, int width, int height);

}  // namespace icedit
