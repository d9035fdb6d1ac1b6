#pragma once
// Contact sheets: many edits at a glance.
#include <optional>
#include <vector>

#include "io/image.h"

namespace icedit {

// source, result and target side by side in a frame: green for a success, red for a failure, grey
// where there was nothing to judge.
struct SheetEntry {
  Image source, result, target;  // RGB, of any size
  std::optional<bool> success;
};

constexpr int kSheetColumns = 4, kSheetLines = 20;

// At most kSheetColumns x kSheetLines entries, row by row; none gives an empty picture.
Image contact_sheet(const std::vector<SheetEntry>& entries);

}  // namespace icedit
