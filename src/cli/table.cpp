#include "cli/table.h"

#include <algorithm>
#include <iostream>

namespace icedit::cli {

void print_row(const std::vector<std::string>& cells, const std::vector<size_t>& widths) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    std::string cell = cells[i];
    if (i < widths.size()) cell.resize(std::max(widths[i], cell.size()), ' ');
    line += (i > 0 ? "  " : "") + cell;
  }
  std::cout << line.substr(0, line.find_last_not_of(' ') + 1) << "\n";
}

}  // namespace icedit::cli
