// A picture that is accepted is whole; one that is not is an error of ours. The limit keeps one
// case short.
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "io/image.h"

namespace {

using namespace icedit;

uint32_t crc_of(const uint8_t* data, size_t size) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < size; ++i) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

// A PNG's chunks with checksums that fit: otherwise every change ends at the first checksum.
std::string with_checksums(std::string file) {
  auto* data = reinterpret_cast<uint8_t*>(file.data());
  size_t at = 8;
  while (file.size() - at >= 12) {
    size_t length = 0;
    for (int i = 0; i < 4; ++i) length = length << 8 | data[at + i];
    if (length > file.size() - at - 12) break;
    const uint32_t crc = crc_of(data + at + 4, length + 4);
    for (int i = 0; i < 4; ++i) {
      data[at + 8 + length + i] = static_cast<uint8_t>(crc >> (24 - 8 * i));
    }
    at += 12 + length;
  }
  return file;
}

void decode(const std::string& file) {
  const Bytes bytes(reinterpret_cast<const std::byte*>(file.data()), file.size());
  for (const bool exact : {false, true}) {
    ReadOptions options;
    options.max_pixels = 1 << 16;
    options.pillow_exact = exact;
    options.keep_alpha = !exact;
    try {
      const Image image = decode_image(bytes, "fuzz", options);
      const int64_t pixels = int64_t{image.width} * image.height;
      if (image.width <= 0 || image.height <= 0 || pixels > options.max_pixels) std::abort();
      if (image.channels != 3 && image.channels != 4) std::abort();
      if (image.pixels.size() != static_cast<size_t>(pixels * image.channels)) std::abort();
    } catch (const Error&) {
    }
  }
  try {
    const std::string profile = read_colour_profile(bytes, "fuzz");
    if (!profile.empty())  // what is read can be written
      encode_image(Image(1, 1), ImageFormat::kPng, {}, 95, profile);
  } catch (const NoInputError&) {
  }
  try {
    const std::string exif = read_photo_exif(bytes, "fuzz", /*keep_location=*/true);
    if (!exif.empty()) encode_image(Image(1, 1), ImageFormat::kPng, {}, 95, {}, exif);
  } catch (const NoInputError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string file(reinterpret_cast<const char*>(data), size);
  decode(file);
  if (file.size() > 8 && file.starts_with("\x89PNG")) decode(with_checksums(file));
  return 0;
}
