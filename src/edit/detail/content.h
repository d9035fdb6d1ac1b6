#pragma once
// What is painted where a change of colour does not explain the edit: the model's pixels, less
// soft.
#include "edit/detail/plane.h"

namespace icedit {

// Unsharp masking at the model's size: takes back some of what enlarging will lose, at little cost
// to the error (docs/photographs.md has the figures). `enlarged`: by what factor; 1 needs none.
Planes sharpened(const Planes& edit, double enlarged, int threads);

// Where edit and reconstruction have the same structure in their luma, the factor between them, at
// most 1.5; else 0. So much of the original's finer detail belongs into the painting.
Plane agreement(const Plane& edit_luma, const Plane& reconstruction_luma, int threads);

}  // namespace icedit
