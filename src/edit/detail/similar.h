#pragma once
// Where a photo looks like what the model painted: there is detail to borrow.
#include "edit/detail/regions.h"

namespace icedit {

// For a pixel of the painting the centre of a like patch of the source, and how like it is, 0
// ... 1.
struct Similar {
  struct Match {
    int16_t x = 0, y = 0;
    float weight = 0;
  };
  int width = 0, height = 0;
  std::vector<Match> matches;  // empty: nothing is alike, or nothing was painted

  const Match& at(int x, int y) const { return matches[size_t(y) * width + x]; }
};

// Of the lumas, patches of 5 x 5 without their means, those of `painted` looked for in `kept`. By
// PatchMatch (Barnes et al. 2009): good matches, not the best ones. The same at every run.
Similar find_similar(const Plane& edit_luma, const Plane& source_luma, const Region& painted,
                     const Region& kept);

}  // namespace icedit
