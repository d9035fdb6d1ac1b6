#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace icedit::cli {

// Prints the cells of a line side by side, the first of them at least so wide, none cut off.
void print_row(const std::vector<std::string>& cells, const std::vector<size_t>& widths);

}  // namespace icedit::cli
