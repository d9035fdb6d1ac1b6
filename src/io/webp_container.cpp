#include "io/webp_container.h"

namespace icedit::webp {
namespace {

// 4 bytes name, 4 bytes size, data, a byte of padding after an odd size. Stops where one does not
// fit.
std::vector<Chunk> chunks_of(std::string_view bytes) {
  std::vector<Chunk> chunks;
  size_t at = 0;
  while (at + 8 <= bytes.size()) {
    const uint64_t size = little_endian(bytes, at + 4, 4);
    if (size > bytes.size() - at - 8) break;
    chunks.push_back({bytes.substr(at, 4), bytes.substr(at + 8, size)});
    at += 8 + size + size % 2;
  }
  return chunks;
}

}  // namespace

uint32_t little_endian(std::string_view bytes, size_t at, int size) {
  uint32_t value = 0;
  for (int i = 0; i < size; ++i) value |= uint32_t(uint8_t(bytes[at + i])) << (8 * i);
  return value;
}

std::string little_endian(uint32_t value, int size) {
  std::string bytes;
  for (int i = 0; i < size; ++i) bytes += char(value >> (8 * i) & 0xff);
  return bytes;
}

Container::Container(std::string_view file) {
  if (file.size() < 12) return;
  chunks = chunks_of(file.substr(12, little_endian(file, 4, 4) - size_t{4}));
  const Chunk* extended = find("VP8X");
  if (!extended || extended->data.size() < 10) return;
  flags = uint8_t(extended->data[0]);
  width = int(little_endian(extended->data, 4, 3)) + 1;
  height = int(little_endian(extended->data, 7, 3)) + 1;
}

const Chunk* Container::find(std::string_view name) const {
  for (const Chunk& c : chunks)
    if (c.name == name) return &c;
  return nullptr;
}

std::string chunk(std::string_view name, std::string_view data) {
  std::string bytes = std::string(name) + little_endian(uint32_t(data.size()), 4);
  bytes += data;
  if (data.size() % 2) bytes += '\0';
  return bytes;
}

}  // namespace icedit::webp
