#include "train/samples.h"

#include <algorithm>
#include <stdexcept>

#include "io/resize.h"
#include "train/bitmap_font.h"

namespace icedit {
namespace {

constexpr int kGap = 4;
constexpr uint8_t kPaper = 245;
constexpr size_t kCaptionLines = 2;

struct Grid {
  int columns = 0, width = 0, height = 0;  // of a cell
  int scale = 1;                           // of the letters

  int line() const { return kLetterHeight * scale; }
  int left(int column) const { return kGap + column * (width + kGap); }
  int total_width() const { return left(columns); }
  size_t letters() const { return size_t((total_width() - 2 * kGap) / (kLetterWidth * scale)); }
  int row_height(size_t lines) const { return int(lines) * line() + kGap + height + kGap; }
};

Grid grid_of(const std::vector<std::string>& titles, const std::vector<SampleRow>& rows) {
  Grid grid;
  grid.columns = int(titles.size());
  for (const SampleRow& row : rows) {
    grid.columns = std::max(grid.columns, int(row.pictures.size()));
    for (const Image& picture : row.pictures) {
      grid.width = std::max(grid.width, picture.width);
      grid.height = std::max(grid.height, picture.height);
    }
  }
  if (grid.width == 0) throw std::invalid_argument("sample_grid: there is no picture");
  grid.scale = std::max(1, grid.width / 256);
  return grid;
}

}  // namespace

Image sample_grid(const std::vector<std::string>& titles, const std::vector<SampleRow>& rows) {
  const Grid grid = grid_of(titles, rows);
  std::vector<std::vector<std::string>> captions;
  int height = kGap + (titles.empty() ? 0 : grid.line());
  for (const SampleRow& row : rows) {
    captions.push_back(broken_text(row.caption, grid.letters(), kCaptionLines));
    height += grid.row_height(captions.back().size());
  }
  Image picture(grid.total_width(), height);
  std::fill(picture.pixels.begin(), picture.pixels.end(), kPaper);
  const auto letters = size_t(grid.width / (kLetterWidth * grid.scale));
  for (size_t i = 0; i < titles.size(); ++i) {
    const auto lines = broken_text(titles[i], letters, 1);
    if (!lines.empty()) draw_text(picture, grid.left(int(i)), kGap / 2, lines[0], grid.scale);
  }
  int top = kGap + (titles.empty() ? 0 : grid.line());
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t l = 0; l < captions[r].size(); ++l)
      draw_text(picture, kGap, top + int(l) * grid.line(), captions[r][l], grid.scale);
    const int below = top + int(captions[r].size()) * grid.line() + kGap;
    for (size_t i = 0; i < rows[r].pictures.size(); ++i) {
      const Image& cell = rows[r].pictures[i];
      paste(cell, picture, grid.left(int(i)) + (grid.width - cell.width) / 2,
            below + (grid.height - cell.height) / 2);
    }
    top += grid.row_height(captions[r].size());
  }
  return picture;
}

}  // namespace icedit
