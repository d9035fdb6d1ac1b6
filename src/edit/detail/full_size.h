#pragma once
// The last step: the edit's changes on the original's pixels.
#include "edit/detail/change_map.h"
#include "edit/detail/similar.h"

namespace icedit {

// original + m (c painting + (1 - c) (M original + b) - original), by rows. The painting is `edit`
// by Lanczos and `agreement` times what the original's luma has beyond `source_luma` by Lanczos,
// and, as far as that leaves room, the same of places that are like what was painted;
// the maps are bilinear. m: how much is changed, c: how much of that is content, both 0 ... 1; m is
// less where the matte says that the pixel's colour is not of the change. Where m is 0 the pixel is
// the original's. `weight` of the original's size multiplies m; empty: 1.
struct SmallEdit {
  Planes edit;  // aligned, 0 ... 255
  ColourMaps colours;
  Plane changed, content;  // m and c
  Planes matte;            // border_matte
  Plane agreement, source_luma;
  Similar similar;  // of the painting, in what is kept
};
Image at_full_size(const Image& original, const SmallEdit& edit, const std::vector<float>& weight,
                   int threads, const std::function<void(double)>& on_progress);

}  // namespace icedit
