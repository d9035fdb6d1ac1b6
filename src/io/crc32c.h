#pragma once
// CRC-32C (Castagnoli), as TFRecord files have it.
#include <cstdint>
#include <string_view>

namespace icedit {

uint32_t crc32c(std::string_view bytes);
// Rotated and offset, so that the sum of bytes that contain sums is not degenerate.
// Source: tensorflow's lib/hash/crc32c.h.
uint32_t masked_crc32c(std::string_view bytes);

}  // namespace icedit
