#pragma once
// How values lie for products: tiles as AMX loads them, 1 KiB each, here in columns of 8 bits.
#include <cstdint>

namespace icedit::kernels {

constexpr int64_t kTileRows = 16, kTileColumns = 64, kTileBytes = kTileRows * kTileColumns;

constexpr int64_t kTileHalves = kTileColumns / 2;         // columns of bf16
constexpr int64_t kTileValues = kTileRows * kTileHalves;  // of bf16

constexpr int64_t kBlock = 2 * kTileRows;  // rows and outputs of one step of a product
constexpr int64_t kBlockSums = kBlock * kBlock;

constexpr int64_t tiles_for(int64_t count, int64_t size) {
  return (count + size - 1) / size;
}
constexpr int64_t inner_tiles(int64_t columns) {
  return tiles_for(columns, kTileColumns);
}

}  // namespace icedit::kernels
