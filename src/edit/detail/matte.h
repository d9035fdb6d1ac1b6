#pragma once
// Where the border of a change lies in the original's own colours.
#include "edit/detail/regions.h"

namespace icedit {

// The guided filter of He, Sun and Tang (2013), `changed` led by the source's colours, before they
// are multiplied in: at the colour of a pixel of the original, planes 0 ... 2 times red, green and
// blue and plane 3 added give its share of the change, about 0 ... 1. All of one size.
Planes border_matte(const Region& changed, const Planes& source, int threads);

}  // namespace icedit
