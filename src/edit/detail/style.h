#pragma once
// Edits that paint the whole picture anew, a mosaic or thick strokes: there is nothing to keep.
#include "edit/detail/plane.h"

namespace icedit {

// |correlation| of two lumas as seen from afar, blurred by 1 / 64 of the width: 0 ... 1.
double likeness(const Plane& a, const Plane& b);

// Whether the edit looks like the reconstruction from afar, but most of the structure of a few
// pixels that stands out of the noise is gone for another; sign and gain do not count. The means
// over windows, by which changes are found, hardly show that. All of one size, 0 ... 255.
bool is_painted_anew(const Planes& source, const Planes& reconstruction, const Planes& edit,
                     int threads);

}  // namespace icedit
