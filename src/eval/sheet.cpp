#include "eval/sheet.h"

#include <algorithm>
#include <array>

#include "io/resize.h"

namespace icedit {
namespace {

constexpr int kTile = 96, kFrame = 3, kGap = 6;  // pixels
constexpr int kCellWidth = 3 * kTile + 4 * kFrame, kCellHeight = kTile + 2 * kFrame;

using Colour = std::array<uint8_t, 3>;
constexpr Colour kGreen = {40, 170, 70}, kRed = {210, 50, 45}, kGrey = {150, 150, 150};

void fill(Image& sheet, int x0, int y0, int width, int height, const Colour& colour) {
  for (int y = y0; y < y0 + height; ++y) {
    for (int x = x0; x < x0 + width; ++x) std::copy(colour.begin(), colour.end(), sheet.at(x, y));
  }
}

// Whole, as large as fits into the tile, in its middle.
void put(Image& sheet, int x0, int y0, const Image& image) {
  if (image.width < 1 || image.height < 1) return;
  const double scale = double(kTile) / std::max(image.width, image.height);
  const int w = std::clamp(static_cast<int>(image.width * scale + 0.5), 1, kTile);
  const int h = std::clamp(static_cast<int>(image.height * scale + 0.5), 1, kTile);
  const Image small = resize(image, w, h, Filter::kLanczos);
  paste(small, sheet, x0 + (kTile - w) / 2, y0 + (kTile - h) / 2);
}

const Colour& frame_of(const SheetEntry& entry) {
  if (!entry.success) return kGrey;
  return *entry.success ? kGreen : kRed;
}

}  // namespace

Image contact_sheet(const std::vector<SheetEntry>& entries) {
  const int count = static_cast<int>(
      std::min<size_t>(entries.size(), size_t(kSheetColumns) * size_t(kSheetLines)));
  if (count == 0) return {};
  const int columns = std::min(count, kSheetColumns), lines = (count + columns - 1) / columns;
  Image sheet(columns * (kCellWidth + kGap) + kGap, lines * (kCellHeight + kGap) + kGap);
  std::fill(sheet.pixels.begin(), sheet.pixels.end(), 255);
  for (int i = 0; i < count; ++i) {
    const SheetEntry& entry = entries[i];
    const int x = kGap + i % columns * (kCellWidth + kGap);
    const int y = kGap + i / columns * (kCellHeight + kGap);
    fill(sheet, x, y, kCellWidth, kCellHeight, frame_of(entry));
    int at = x + kFrame;
    for (const Image* image : {&entry.source, &entry.result, &entry.target}) {
      fill(sheet, at, y + kFrame, kTile, kTile, {255, 255, 255});
      put(sheet, at, y + kFrame, *image);
      at += kTile + kFrame;
    }
  }
  return sheet;
}

}  // namespace icedit
