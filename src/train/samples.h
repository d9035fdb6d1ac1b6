#pragma once
// Sample pictures of a run: a row for each validation pair, [source | target | edit], with the
// instruction above it.
#include <string>
#include <vector>

#include "io/image.h"

namespace icedit {

struct SampleRow {
  std::string caption;          // usually the instruction
  std::vector<Image> pictures;  // RGB or grey, of any size; empty ones leave their place free
};

// `titles`: above the columns. Cells are as large as the largest picture; smaller ones stand in
// their middle. At least one row with a picture.
Image sample_grid(const std::vector<std::string>& titles, const std::vector<SampleRow>& rows);

}  // namespace icedit
