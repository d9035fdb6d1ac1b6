#pragma once
// The RIFF container of WebP files.
// Source: https://developers.google.com/speed/webp/docs/riff_container
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace icedit::webp {

// Flags of the VP8X chunk.
inline constexpr uint8_t kAnimated = 0x02, kExif = 0x08, kAlpha = 0x10, kIccp = 0x20;

uint32_t little_endian(std::string_view bytes, size_t at, int size);
std::string little_endian(uint32_t value, int size);

struct Chunk {
  std::string_view name;  // 4 characters
  std::string_view data;
};

// "RIFF", size of what follows, "WEBP", chunks. Malformed ones and what comes after them are left
// out.
struct Container {
  std::vector<Chunk> chunks;
  int width = 0, height = 0;  // of the canvas; 0 where there is no VP8X chunk
  uint8_t flags = 0;

  explicit Container(std::string_view file);       // which must outlive it
  const Chunk* find(std::string_view name) const;  // the first; null where there is none
};

// The bytes of a chunk, with padding.
std::string chunk(std::string_view name, std::string_view data);

}  // namespace icedit::webp
