#pragma once
// Which pixels an edit meant to change, and whether a change of colour explains what it did there.
#include "edit/detail/colour_transfer.h"
#include "edit/detail/regions.h"

namespace icedit {

struct ChangeMap {
  Region changed, content;  // content is part of changed
  ColourMaps colours;
};

// Of an edit that lies as its reconstruction does; all of one size, 0 ... 255. `tolerance`
// multiplies what counts as noise.
ChangeMap find_changes(const Planes& source, const Planes& reconstruction, const Planes& edit,
                       double tolerance, int threads);

}  // namespace icedit
